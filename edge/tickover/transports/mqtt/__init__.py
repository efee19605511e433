"""MQTT: the daemon's link and the client of people's commands (the only paho import)."""
