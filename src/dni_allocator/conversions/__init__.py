"""What is spoken to advertisers' systems: pure builders of requests, files, and verdicts."""
