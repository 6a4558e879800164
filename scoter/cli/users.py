"""`scoter user`: add users to a lake, change their passwords, list them.

This module must not know how passwords are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from scoter.catalog.metastore import Metastore
from scoter.catalog.principals import Principals, Role
from scoter.cli import tables
from scoter.cli.console import notice, output
from scoter.errors import ConfigurationError
from scoter.settings import client_password, load


def new_password(*, from_stdin: bool) -> str:
    """Return a password from standard input, from the environment, or asked for twice at the terminal.

    Raises ConfigurationError when there is nobody to ask.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    given = client_password()
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "no password was given", hint="use --password-stdin, or SCOTER_PASSWORD in the environment"
        )
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def add(directory: Path, name: str, role: str, password: str) -> None:
    """Add a user; raises InvalidValue, InvalidDefinition, ConfigurationError."""
    with _principals(directory) as principals:
        first = not principals.exist()
        principals.add(name, Role(role), password)
    notice(f"added user {name} with role {role}")
    if first:
        notice("it is the first: the server demands a login from its next start on")


def change_password(directory: Path, name: str, password: str) -> None:
    """Change a user's password; raises InvalidValue, ConfigurationError."""
    with _principals(directory) as principals:
        principals.set_password(name, password)
    notice(f"changed the password of {name}")


def show(directory: Path) -> None:
    """Print the users and their roles."""
    with _principals(directory) as principals:
        found = principals.list()
    columns = (tuple(p.name for p in found), tuple(p.role.value for p in found))
    tables.show(output(), tables.Grid(("name", "role"), (False, False), columns))


@contextmanager
def _principals(directory: Path) -> Iterator[Principals]:
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} is a file, not a lake's directory")
    metastore = Metastore.open(load(directory).metastore_url)
    try:
        yield Principals(metastore)
    finally:
        metastore.close()
