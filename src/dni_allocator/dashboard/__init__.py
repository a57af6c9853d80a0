"""Pages for people: what an operator looks at and changes, drawn on the server.

Stands on the shapes and conversions of `api`, so a form and a JSON body mean the same, and on the
services; knows no store. `docs/dashboard.md`, ADR 33.
"""
