"""Log and payload formats: they take bytes and values, never paths or sockets."""
