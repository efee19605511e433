"""Recorded logs: their columns, units and ranges; reading readings from files, and writing scores to files."""
