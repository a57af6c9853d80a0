"""The real store against a model of its promises, over random histories."""
