"""`scoter serve`: settings from flags, the ready line, notices for the person who starts it.

This module must not know the protocol or the engine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scoter.catalog.metastore import Metastore
from scoter.catalog.principals import Principals
from scoter.cli.console import notice
from scoter.errors import ConfigurationError
from scoter.server.serve import serve
from scoter.settings import Settings, load


def serve_lake(directory: Path, server: dict[str, Any]) -> None:
    """Serve a lake until a signal; raises ConfigurationError."""
    settings = load(directory, server=server)
    try:
        # Asked before the server opens the lake: one process holds a SQLite file open once, because
        # closing a second handle drops the locks of the first.
        open_to_all = not _has_users(settings)
        serve(settings, lambda address: _ready(settings, address, open_to_all=open_to_all))
    except OSError as error:
        raise ConfigurationError(f"the lake in {directory} can not be served: {error.strerror}") from error


def _ready(settings: Settings, address: str, *, open_to_all: bool) -> None:
    sys.stdout.write(f"scoter ready {address}\n")
    sys.stdout.flush()
    if open_to_all:
        notice(
            "no users: any login is user local with role admin; "
            f"`scoter user add NAME --role admin --lake {settings.directory}` adds one"
        )


def _has_users(settings: Settings) -> bool:
    metastore = Metastore.open(settings.metastore_url)
    try:
        return Principals(metastore).exist()
    finally:
        metastore.close()
