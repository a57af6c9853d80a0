"""Whatever may be sent or typed, in bulk and at random."""
