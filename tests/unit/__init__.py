"""Parts alone: pure rules and small mechanisms, in microseconds."""
