"""Load on a running service: the benchmark (`bench`) and traffic like a website's."""
