"""Arrays of an archive that may be larger than memory: kept in a file, read one at a time, and figures over all."""
