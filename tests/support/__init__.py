"""Parts that tests share: a real server, a real browser, patience."""
