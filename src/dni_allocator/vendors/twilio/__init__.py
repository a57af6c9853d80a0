"""Twilio: its webhooks, and what it is answered."""
