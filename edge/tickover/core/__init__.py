"""The detector's logic: values in, values out; no I/O, no clock."""
