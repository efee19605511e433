"""Trains the network: torch."""
