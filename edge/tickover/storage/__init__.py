"""Makes data durable: files replaced whole, and the daemon's SQLite store (the only sqlite3 import)."""
