"""The only room that knows Redis: keys, scripts, and what each of them means."""
