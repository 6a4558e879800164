"""`python -m scoter.cli` is the `scoter` command.

This module must not know more than where that begins.
"""

from scoter.cli.main import main

main()
