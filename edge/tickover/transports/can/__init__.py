"""A live CAN bus, read only: the kernel's sockets, or python-can for other interfaces. Nothing is ever sent."""
