"""The use cases: allocation, attribution, pools, keys, sweeping. They speak the store's words."""
