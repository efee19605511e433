"""The doors to the outside: files, MQTT, SQLite."""
