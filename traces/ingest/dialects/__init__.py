"""Dialects of OTLP, one file each: which attributes an instrumentation writes, and what they say. Found by presence."""
