"""Where a result goes: a table on the terminal, or CSV, JSON lines or Parquet in a stream or file.

This module must not know who runs statements.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from scoter.cli import tables
from scoter.cli.cells import is_number, json_texts, texts
from scoter.cli.console import notice, output
from scoter.cli.formats import Format
from scoter.errors import ConfigurationError, InvalidValue

_ENDINGS = {
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".ndjson": Format.JSON,
    ".parquet": Format.PARQUET,
}


def format_of(path: Path | None, wanted: Format | None) -> Format:
    """Return the format asked for, else the one that the file's name says, else the table."""
    if wanted is not None:
        return wanted
    return Format.TABLE if path is None else _ENDINGS.get(path.suffix.casefold(), Format.TABLE)


class Sink(Protocol):
    """Takes the results of statements, one after the other."""

    rows: int
    on_terminal: bool

    def begin(self, schema: pa.Schema) -> None:
        """Take the columns of the next result."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take some of its rows."""

    def end(self) -> str:
        """Take its end; return what is to be said of it besides the number of rows."""

    def close(self) -> None:
        """Write what is left."""


class TableSink:
    """Keeps the first rows of a result and shows them at its end."""

    on_terminal = False  # nothing is written before the end

    def __init__(self, stream: BinaryIO | None = None, most: int = tables.ROWS) -> None:
        self.rows = 0
        self._most = most
        self._stream = stream
        self.to_file = stream is not None
        self._schema = pa.schema([])
        self._kept: list[pa.RecordBatch] = []

    def begin(self, schema: pa.Schema) -> None:
        """Take the columns of the next result."""
        self.rows = 0
        self._schema = schema
        self._kept = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep a batch's rows while there are few, and count them all."""
        room = self._most - self.rows
        if room > 0:
            self._kept.append(batch.slice(0, room))
        self.rows += batch.num_rows

    def end(self) -> str:
        """Print the table; return what of the result it does not show."""
        if not self._schema.names:
            return ""
        plan = self._schema.names == ["explain_key", "explain_value"]
        grid = tables.grid_of(self._schema, self._kept)
        console = output()
        if self._stream is None:
            hidden = tables.show(console, grid, keep_lines=plan)
        else:
            console.file = writer = io.TextIOWrapper(self._stream, encoding="utf-8")
            hidden = tables.show(console, grid, keep_lines=plan)
            writer.detach()
        notes = []
        if self.rows > self._most:
            notes.append(f"the first {self._most:,} shown")
        if hidden:
            notes.append(f"{hidden} columns not shown")
        return ", ".join(notes)

    def close(self) -> None:
        """Nothing is left."""


class CsvSink:
    """Writes RFC 4180 CSV with a header; NULL is an empty field without quotes, texts have quotes."""

    def __init__(self, stream: BinaryIO, *, on_terminal: bool = False) -> None:
        self.rows = 0
        self.on_terminal = on_terminal
        self._stream = stream
        self._writer: pcsv.CSVWriter | None = None
        self._schema = pa.schema([])

    def begin(self, schema: pa.Schema) -> None:
        """Write the header of the next result."""
        self.rows = 0
        fields = [pa.field(f.name, f.type if _csv_takes(f.type) else pa.string()) for f in schema]
        self._schema = pa.schema(fields)
        if fields:
            sink = pa.PythonFile(self._stream, mode="w")
            self._writer = pcsv.CSVWriter(sink, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch's rows."""
        self.rows += batch.num_rows
        columns = [
            column if _csv_takes(column.type) else pa.array(texts(column), pa.string())
            for column in batch.columns
        ]
        if self._writer is not None:
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def end(self) -> str:
        """Write out what the writer holds."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._stream.flush()
        return ""

    def close(self) -> None:
        """Nothing is left."""


class JsonSink:
    """Writes one JSON object a line for each row."""

    def __init__(self, stream: BinaryIO, *, on_terminal: bool = False) -> None:
        self.rows = 0
        self.on_terminal = on_terminal
        self._stream = stream
        self._keys: list[str] = []

    def begin(self, schema: pa.Schema) -> None:
        """Take the columns; a name that appears twice gets a number."""
        self.rows = 0
        self._keys = [json.dumps(name, ensure_ascii=False) + ": " for name in _distinct(schema.names)]

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch's rows."""
        self.rows += batch.num_rows
        columns = [json_texts(column) for column in batch.columns]
        lines = [
            "{" + ", ".join(map("".join, zip(self._keys, row, strict=True))) + "}\n"
            for row in zip(*columns, strict=True)
        ]
        self._stream.write("".join(lines).encode("utf-8", "replace"))

    def end(self) -> str:
        """Write out what the stream holds."""
        self._stream.flush()
        return ""

    def close(self) -> None:
        """Nothing is left."""


class ParquetSink:
    """Writes one result as one Parquet file."""

    on_terminal = False

    def __init__(self, stream: BinaryIO) -> None:
        self.rows = 0
        self._stream = stream
        self._writer: pq.ParquetWriter | None = None
        self._used = False

    def begin(self, schema: pa.Schema) -> None:
        """Take the columns; raises InvalidValue for a second result or types that Parquet has not."""
        self.rows = 0
        if not schema.names:
            return
        if self._used:
            raise InvalidValue("a Parquet file holds one result, and here is a second one")
        self._used = True
        fields = [
            pa.field(name, pa.string() if pa.types.is_interval(field.type) else field.type)
            for name, field in zip(_distinct(schema.names), schema, strict=True)
        ]
        self._writer = pq.ParquetWriter(self._stream, pa.schema(fields), compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch's rows."""
        self.rows += batch.num_rows
        if self._writer is None:
            return
        columns = [
            pa.array(texts(column), pa.string()) if pa.types.is_interval(column.type) else column
            for column in batch.columns
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._writer.schema))

    def end(self) -> str:
        """Do nothing: the file ends with close."""
        return ""

    def close(self) -> None:
        """Write the file's footer."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def open_sink(chosen: Format, path: Path | None, most: int = tables.ROWS) -> Iterator[Sink]:
    """Give a sink on standard output or on a file; the file appears only when all went well.

    Raises ConfigurationError for a file that can not be written, or Parquet on a terminal.
    """
    if path is None:
        if chosen is Format.TABLE:
            yield TableSink(most=most)
            return
        terminal = sys.stdout.isatty()
        if chosen is Format.PARQUET and terminal:
            raise ConfigurationError("Parquet can not be written to a terminal", hint="-o FILE names a file")
        sink = _sink(chosen, sys.stdout.buffer, most, terminal=terminal)
        yield sink
        sink.close()
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as stream:
            sink = _sink(chosen, stream, most, terminal=False)
            yield sink
            sink.close()
        part.replace(path)
    except OSError as error:
        _remove(part)
        raise ConfigurationError(f"{path} can not be written: {error.strerror or error}") from error
    except BaseException:
        _remove(part)
        raise
    notice(f"wrote {path}")


def _sink(chosen: Format, stream: BinaryIO, most: int, *, terminal: bool) -> Sink:
    match chosen:
        case Format.CSV:
            return CsvSink(stream, on_terminal=terminal)
        case Format.JSON:
            return JsonSink(stream, on_terminal=terminal)
        case Format.PARQUET:
            return ParquetSink(stream)
        case Format.TABLE:
            return TableSink(stream, most)


def _remove(part: Path) -> None:
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _csv_takes(kind: pa.DataType) -> bool:
    """Say whether the CSV writer writes a type as we would."""
    return bool(
        is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_date32(kind)
    )


def _distinct(names: list[str]) -> list[str]:
    """Return names of which none appears twice.

    >>> _distinct(["a", "b", "a"])
    ['a', 'b', 'a_2']
    """
    taken = set(names)
    seen: set[str] = set()
    distinct = []
    for name in names:
        chosen, number = name, 2
        while chosen in seen:
            candidate = f"{name}_{number}"
            chosen = candidate if candidate not in taken else chosen
            number += 1
        seen.add(chosen)
        distinct.append(chosen)
    return distinct
