"""Measures a detector: injected faults and labelled anomalies against its alarms; no torch."""
