"""What a command works on: a lake's directory, or a server with a login.

This module must not know what is done there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from scoter.cli.console import notice
from scoter.cli.sessions import LocalSession, Session, connect, is_address, open_lake
from scoter.errors import ConfigurationError
from scoter.settings import client_password


def open_target(target: str, user: str | None, authority: Path | None) -> Session:
    """Return a session of a directory, which is made where it is missing, or of a server's address.

    The password of ``user`` is asked for, or in SCOTER_PASSWORD; ``authority`` is a PEM file with certificates to
    trust. Raises ScoterError.
    """
    if not is_address(target):
        if user is not None:
            raise ConfigurationError(
                "--user is for servers: whoever may read a lake's files may do all in it"
            )
        directory = Path(target)
        if not directory.exists():
            notice(f"a new lake is made in {directory}")
        return LocalSession(open_lake(directory, create=True))
    password = client_password()
    if user is not None and password is None:
        if not sys.stdin.isatty():
            raise ConfigurationError(
                "no password was given", hint="SCOTER_PASSWORD in the environment gives it"
            )
        password = typer.prompt(f"Password of {user}", hide_input=True, err=True)
    return connect(target, user, password, authority)
