"""A reference downstream store: what a receiver of our events looks like."""
