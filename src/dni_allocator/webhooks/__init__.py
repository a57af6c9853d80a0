"""Delivery of events to other systems: signed, retried, never lost."""
