"""Whole pieces of work without a daemon: replay, record, play, the view of a fleet."""
