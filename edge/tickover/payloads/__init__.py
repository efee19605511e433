"""The bytes of a message to rows of readings, a file a payload shape."""
