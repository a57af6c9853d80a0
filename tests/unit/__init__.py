"""Pure rules, without any part."""
