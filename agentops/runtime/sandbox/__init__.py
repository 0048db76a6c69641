"""A small local server that stands in for the world outside: a scripted model, a payment provider and a mail server.

Standard library only, without Django, in a process of its own: `python -m agentops.runtime.sandbox`. What it did is in
SQLite, so that counting effects survives whatever happens to it.
"""
