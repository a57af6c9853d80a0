"""Each script of the store: a test for every reply, and for running it twice."""
