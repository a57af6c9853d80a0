"""The story of the product, one short test at a time. Newcomers: start here."""
