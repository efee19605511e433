"""The workshop's commands: a file each."""
