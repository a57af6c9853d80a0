"""The cluster of this test process."""

from tests.support.cluster import cluster_url, valkey_cluster

__all__ = ["cluster_url", "valkey_cluster"]
