"""Finds what a recorder did wrong in trips without faults (freezes, jumps), and leaves it out."""
