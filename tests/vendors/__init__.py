"""What telephony vendors send, and what they are answered."""
