"""The bodies and topics of all that is published, in one envelope."""
