"""The workshop: trains detectors, sets their limits, and measures them on recorded trips."""
