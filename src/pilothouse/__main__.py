"""``python -m pilothouse`` is the command ``pilothouse``."""

from pilothouse.cli import main

main()
