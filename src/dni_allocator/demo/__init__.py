"""The demonstration that one command starts: a fictional company and its page.

It uses the service as a customer does, by HTTP and nothing else, so what it shows is what one gets.
"""
