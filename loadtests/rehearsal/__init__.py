"""A rehearsal of peak traffic: visitors as they behave, against any deployment, judged at the end.

`behaviour` and `shapes` decide what happens when, `visitor` does it over HTTP, `ledger` counts what
came back, `slo` judges, `report` draws. They know neither locust nor gevent, which would replace
the sockets of whatever process imports them: `locustfile.py` beside this folder joins the two.
"""
