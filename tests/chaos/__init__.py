"""Everything is broken on purpose while visitors come and go; what they saw is checked afterwards.

`history` records, `checker` judges, `visitors` act, `deployment` runs, `faults` break, `run` does
all of it by a seed.
"""
