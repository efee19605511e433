"""What lives on the truck: messages in, events through the fleet, alerts out, and no promise broken on the way."""
