"""Moves bytes between machines, behind the interface in ``base``."""
