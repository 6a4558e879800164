"""The ``scoter`` command."""
