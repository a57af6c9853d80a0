"""The benchmark runs: its figures are nobody's test, its errors are."""
