"""The sandbox: a vendor of fictional numbers, for trying things out."""
