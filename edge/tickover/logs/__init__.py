"""Recorded logs: columns, units and ranges, and how readings come out of a file and scores go into one."""
