"""Where alerts are handed on to: each kind a file, and a line in `registry`."""
