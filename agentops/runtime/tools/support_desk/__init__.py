"""The support desk's tools: customers and orders in Postgres, money through the payment provider, and e-mail.

One file for each tool, found by being here. They import Django only when they are called.
"""
