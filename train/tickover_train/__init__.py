"""The workshop: training, calibration and judging."""
