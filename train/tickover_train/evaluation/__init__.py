"""Compares alerts with labels and injected faults: pure functions, no torch."""
