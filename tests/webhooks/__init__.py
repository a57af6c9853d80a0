"""Delivery, over real connections."""
