"""The backend routes, one module a subject."""
