"""HTTP: the tag-facing edge, the backend routes, problem documents. Thin over the services."""
