"""Reads sqllogictest files and compares what a session answers with what they say.

Records, separated by empty lines; a line that starts with `#` is a comment:

    statement ok                    the statement succeeds
    statement count 3               it succeeds and reports 3 rows
    statement error 42P01 [text]    it fails with this SQLSTATE or condition; the message holds the text
    query IT [rowsort] [colnames]   the rows behind `----`; one letter a column says its type on the wire
    query TT holds                  each line behind `----` stands somewhere in the rows
    let name                        the one value of the query stands for ${name} from here on
    connection name                 what follows runs in the session of that name; the first is `default`
    onlyif / skipif place           the next record runs there only / not there; place is process, adbc or duckdb

Values of a row are separated by two or more spaces. This module must not know how a session reaches the
engine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import types as arrow

LETTERS: dict[str, Callable[[pa.DataType], bool]] = {
    "I": arrow.is_integer,
    "R": arrow.is_floating,
    "N": arrow.is_decimal128,
    "T": arrow.is_string,
    "B": arrow.is_boolean,
    "D": arrow.is_date32,
    "C": arrow.is_time64,
    "S": lambda kind: arrow.is_timestamp(kind) and kind.tz is None,
    "Z": lambda kind: arrow.is_timestamp(kind) and kind.tz == "UTC",
    "X": arrow.is_binary,
    "V": arrow.is_interval,
    "L": arrow.is_list,
    "O": arrow.is_struct,
    "M": arrow.is_map,
}


class Refused(Exception):
    """A statement failed; the text is what a user sees."""


class Session(Protocol):
    """One connection to a lake."""

    def query(self, sql: str) -> pa.Table:
        """Return the rows; raises Refused."""

    def update(self, sql: str) -> int:
        """Return the number of rows that a statement reports; raises Refused."""


@dataclass(frozen=True)
class Record:
    """One record of a file."""

    line: int
    words: tuple[str, ...]
    sql: str
    expected: tuple[str, ...] = ()
    places: dict[str, bool] = field(default_factory=dict)

    def runs_in(self, place: str) -> bool:
        """Say whether `onlyif` and `skipif` let the record run."""
        return all((name == place) is wanted for name, wanted in self.places.items())


def records(text: str) -> Iterator[Record]:
    """Yield the records of a file."""
    places: dict[str, bool] = {}
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith("#"):
            at += 1
            continue
        start, words = at, tuple(lines[at].split())
        at += 1
        if words[0] in {"onlyif", "skipif"}:
            places[words[1]] = words[0] == "onlyif"
            continue
        if words[0] == "connection":
            yield Record(start + 1, words, "")
            continue
        body: list[str] = []
        while at < len(lines) and lines[at].strip() and lines[at] != "----":
            body.append(lines[at])
            at += 1
        expected: list[str] = []
        if at < len(lines) and lines[at] == "----":
            at += 1
            while at < len(lines) and lines[at].strip():
                expected.append(lines[at])
                at += 1
        yield Record(start + 1, words, "\n".join(body), tuple(expected), places)
        places = {}


def run(
    path: Path, place: str, connect: Callable[[], Session], known: dict[str, str], *, errors: bool = True
) -> int:
    """Run a file against fresh sessions; return how many records ran.

    Without ``errors``, statements that must fail are left out.

    Raises AssertionError with every record that did not answer as expected.
    """
    values = dict(known)
    sessions = {"default": connect()}
    session = sessions["default"]
    count = 0
    failures = []
    for record in records(path.read_text("utf-8")):
        if not record.runs_in(place) or (record.words[:2] == ("statement", "error") and not errors):
            continue
        if record.words[0] == "connection":
            name = record.words[1]
            session = sessions[name] if name in sessions else sessions.setdefault(name, connect())
            continue
        try:
            _check(record, session, values)
        except AssertionError as error:
            failures.append(f"{path.name}:{record.line}: {error}")
        count += 1
    assert not failures, "\n\n".join([f"{len(failures)} of {count} records", *failures])
    return count


def _check(record: Record, session: Session, values: dict[str, str]) -> None:
    sql = _filled(record.sql, values)
    match record.words:
        case ("statement", "ok"):
            _answer(session.query, sql)
        case ("statement", "count", number):
            found = _answer(session.update, sql)
            assert found == int(number), f"{found} rows reported, {number} expected\n{sql}"
        case ("statement", "error", code, *text):
            _must_fail(session, sql, code, _filled(" ".join(text), values))
        case ("query", letters, *options):
            expected = [_filled(line, values) for line in record.expected]
            _compare(_answer(session.query, sql), letters, options, expected, sql)
        case ("let", name):
            table = _answer(session.query, sql)
            assert table.shape == (1, 1), f"not one value\n{table}"
            values[name] = written(table.column(0)[0])
        case _:
            raise AssertionError(f"a record of the kind {' '.join(record.words)}")


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)


def _answer(call: Callable[[str], Any], sql: str) -> Any:
    try:
        return call(sql)
    except Refused as error:
        raise AssertionError(f"{error}\n{sql}") from error


def _must_fail(session: Session, sql: str, code: str, text: str) -> None:
    try:
        table = session.query(sql)
    except Refused as error:
        shown = str(error)
        found = re.search(r"\[(\w{5})\] (\w+): ", shown)
        assert found is not None, f"an error without SQLSTATE and condition: {shown}\n{sql}"
        assert code in found.groups(), f"{code} expected\n{shown}\n{sql}"
        assert text in shown, f"{text!r} expected in\n{shown}\n{sql}"
        return
    raise AssertionError(f"{code} expected, it succeeded\n{sql}\n{table}")


def _compare(table: pa.Table, letters: str, options: list[str], expected: list[str], sql: str) -> None:
    kinds = [one.type for one in table.schema]
    fits = len(kinds) == len(letters) and all(
        LETTERS[letter](kind) for letter, kind in zip(letters, kinds, strict=False)
    )
    assert fits, f"types {letters} expected, found {', '.join(map(str, kinds))}\n{sql}"
    rows = [[written(value) for value in row] for row in zip(*table.columns, strict=True)]
    shown = "\n".join("  ".join(row) for row in rows)
    if "holds" in options:
        missing = [line for line in expected if line not in shown.replace("\\n", "\n")]
        assert expected, f"nothing expected\n{sql}"
        assert not missing, f"{missing} expected in\n{shown}\n{sql}"
        return
    wanted = [re.split(r"\t| {2,}", line.strip()) for line in expected]
    if "colnames" in options:
        assert wanted[:1] == [table.schema.names], f"columns {table.schema.names}\n{sql}"
        wanted = wanted[1:]
    if "rowsort" in options:
        rows, wanted = sorted(rows), sorted(wanted)
        shown = "\n".join("  ".join(row) for row in rows)
    assert rows == wanted, f"found\n{shown}\n{sql}"


def written(value: pa.Scalar) -> str:
    """Return a value as files write it.

    >>> written(pa.scalar([1, None]))
    '[1, NULL]'
    """
    kind = value.type
    if not value.is_valid:
        return "NULL"
    if arrow.is_list(kind):
        return f"[{', '.join(written(part) for part in value)}]"
    if arrow.is_struct(kind):
        # By position, because names may repeat.
        fields = [f"{kind.field(i).name}: {written(value[i])}" for i in range(kind.num_fields)]
        return f"{{{', '.join(fields)}}}"
    if arrow.is_map(kind):
        entries = [f"{written(entry[0])}: {written(entry[1])}" for entry in value.values]
        return f"{{{', '.join(entries)}}}"
    return _scalar(value, kind)


def _scalar(value: pa.Scalar, kind: pa.DataType) -> str:
    if arrow.is_boolean(kind):
        return "true" if value.as_py() else "false"
    if arrow.is_binary(kind):
        return f"\\x{value.as_py().hex()}"
    if arrow.is_interval(kind):
        months, days, nanoseconds = value.as_py()
        return f"{months}m {days}d {nanoseconds // 1000}us"
    if arrow.is_decimal128(kind):
        return f"{value.as_py():f}"
    text = str(pa.array([value], kind).cast(pa.string())[0])
    if arrow.is_timestamp(kind) or arrow.is_time64(kind):
        text = re.sub(r"(\.\d*?)0+(Z?)$", r"\1\2", text).replace(".Z", "Z").removesuffix(".")
    if arrow.is_string(kind):
        return text.replace("\n", "\\n") or "(empty)"
    return text
