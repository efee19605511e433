"""The page of a fleet: `tickover web` keeps what a fleet publishes and shows it in a browser (extra ``web``)."""
