"""Asks this machine: clock, memory allocator, systemd, certificates, TOML files."""
