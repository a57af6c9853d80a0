"""The service on a real cluster, and behind Sentinels."""
