"""The judge: what a model would catch, and at how many false alarms. No torch here."""
