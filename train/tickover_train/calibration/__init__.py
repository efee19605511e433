"""Picks the value of every limit: residual spread, input drift correction, false-alarm budget."""
