"""The rules of number allocation, pure: no framework, no clock, no randomness, no I/O."""
