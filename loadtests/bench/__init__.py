"""`make bench`: what the hot path costs, beside what others cost, in one table of one run."""
