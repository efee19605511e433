"""The bodies and topics of what the daemon publishes; alerts and notices share one envelope."""
