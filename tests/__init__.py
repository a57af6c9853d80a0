"""The proof of the promises: see each folder for which."""
