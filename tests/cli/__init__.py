"""Commands, as somebody types them."""
