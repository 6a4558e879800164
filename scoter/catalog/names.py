"""Names of tables and models: how they are written, compared and checked.

This module must not know whether a name exists, nor where anything is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scoter.errors import InvalidDefinition

MAX_LENGTH = 128

# Letters, digits, '_', ' ', '$' and '-': a name is part of a directory's name, so nothing in it may be
# a path separator, a glob character or part of a URI's syntax. A space at an end would be stripped by
# pyiceberg.
_ALLOWED = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ $-]*[A-Za-z0-9_$-])?", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PRINCIPAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@+-]*[A-Za-z0-9_])?", re.ASCII)

_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "default",
        "deferrable",
        "desc",
        "describe",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lambda",
        "lateral",
        "leading",
        "limit",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "pivot",
        "pivot_longer",
        "pivot_wider",
        "placing",
        "primary",
        "qualify",
        "references",
        "returning",
        "select",
        "show",
        "some",
        "summarize",
        "symmetric",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "unpivot",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ]
)


@dataclass(frozen=True, order=True)
class TableName:
    """A table's full name; ``schema`` may be dotted for nested namespaces."""

    catalog: str
    schema: str
    name: str

    def __str__(self) -> str:
        return ".".join(quoted(part) for part in (self.catalog, *self.schema.split("."), self.name))

    @property
    def folded(self) -> tuple[str, str, str]:
        """Return what all spellings of the name have in common."""
        return folded(self.catalog), folded(self.schema), folded(self.name)

    @property
    def identifier(self) -> tuple[str, ...]:
        """Return the name inside its catalog as Iceberg writes it: levels of the schema, then the table."""
        return (*self.schema.split("."), self.name)


@dataclass(frozen=True, order=True)
class ModelName:
    """A model's name; models live in the metastore by schema, in no catalog."""

    schema: str
    name: str

    def __str__(self) -> str:
        return ".".join(quoted(part) for part in (*self.schema.split("."), self.name))


def quoted(name: str) -> str:
    """Return ``name`` as it can stand in SQL, in double quotes only where they are needed.

    >>> quoted("flights"), quoted("order"), quoted('a"b')
    ('flights', '"order"', '"a""b"')
    """
    if _PLAIN.fullmatch(name) and name.casefold() not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def folded(name: str) -> str:
    """Return the form in which two spellings of one name are equal."""
    return name.casefold()


def check_name(name: str, kind: str) -> str:
    """Return ``name`` if a new table, schema, model or alias (``kind``) may be called so.

    Raises InvalidDefinition for an empty name, one of more than 128 characters, or one with other
    characters than letters A-Z, digits, underscore, space, dollar sign and hyphen.
    """
    if len(name) > MAX_LENGTH:
        raise InvalidDefinition(
            f"the {kind} name is too long", hint=f"a name has at most {MAX_LENGTH} characters"
        )
    if not _ALLOWED.fullmatch(name):
        raise InvalidDefinition(
            f"{kind} name {quoted(name)} can not be used",
            hint="a name begins with a letter or underscore and holds letters A-Z, digits, _, -, $ and spaces",
        )
    return name


def check_schema_name(schema: str) -> str:
    """Return ``schema`` if each of its dotted levels may name a schema; raises InvalidDefinition."""
    if len(schema) > MAX_LENGTH:
        raise InvalidDefinition(
            "the schema name is too long", hint=f"a name has at most {MAX_LENGTH} characters"
        )
    for level in schema.split("."):
        check_name(level, "schema")
    return schema


def check_principal_name(name: str) -> str:
    """Return ``name`` if a user may be called so; raises InvalidDefinition.

    Users may have dots, ``@`` and ``+`` in their names, so that mail addresses serve as names.
    """
    if len(name) > MAX_LENGTH or not _PRINCIPAL.fullmatch(name):
        raise InvalidDefinition(
            f"user name {quoted(name[:MAX_LENGTH])} can not be used",
            hint=f"at most {MAX_LENGTH} letters A-Z, digits and . _ @ + - between them",
        )
    return name
