"""One file a log format: bytes of a stream to readings; never a path."""
