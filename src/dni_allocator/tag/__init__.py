"""The JavaScript tag that customers put on their pages, and the bytes the service serves of it.

Owns the source (`src/`), the committed bundle (`dist/dni.js`, made by
`python -m tests.support.tagbuild`) and how a pool's settings are put in front of it. Must not know
HTTP, Redis, pools or leases: routes pass in what is to be rendered.
"""
