"""Measurements and pictures of the running product; nothing of it is imported by the product."""
