"""Sets what surrounds the network: scales of residuals, input drift correction, limits for a budget; no torch."""
