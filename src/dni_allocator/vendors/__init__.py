"""Telephony vendors: their webhooks, their answers, their shops of numbers."""
