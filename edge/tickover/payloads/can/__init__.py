"""CAN frames to readings, for recordings and for the live bus alike; knows no file, no socket and no clock."""
