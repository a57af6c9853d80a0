"""Where the prefixes of the world's numbers lie: a packaged table and its reader.

What the table is made of, and under which licences: README.md beside this file.
"""
