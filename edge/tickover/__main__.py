"""``python -m tickover`` is the same as ``tickover``."""

from tickover.cli import main

main()
