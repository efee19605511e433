"""A model over a whole archive: its vehicles found, run side by side, what they said gathered. Can be gone on with."""
