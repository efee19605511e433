"""The network in torch: its training, how far back it sees, and the reference for the exported file."""
