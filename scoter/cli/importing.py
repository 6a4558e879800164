"""`scoter import`: the rows of files on this machine as Arrow batches, and into a table with them.

This module must not know how a table is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from scoter.catalog.names import folded, quoted
from scoter.cli.console import notice
from scoter.cli.running import duration
from scoter.cli.sessions import LOCAL, open_lake
from scoter.cli.waiting import Meter, wait_for
from scoter.engine.cancellation import Cancellation
from scoter.engine.ingest import Ingested, columns_of, ingest
from scoter.engine.service import Engine
from scoter.engine.types import literal, quote
from scoter.errors import ConfigurationError, InvalidValue

_READERS = {
    ".parquet": "read_parquet({files}, union_by_name = true)",
    ".csv": "read_csv({files}, union_by_name = true, sample_size = -1{types})",
    ".tsv": "read_csv({files}, union_by_name = true, sample_size = -1{types})",
    ".json": "read_json({files}, union_by_name = true, sample_size = -1)",
    ".jsonl": "read_json({files}, union_by_name = true, sample_size = -1)",
    ".ndjson": "read_json({files}, union_by_name = true, sample_size = -1)",
}
_COMPRESSIONS = {".gz", ".zst"}
_BATCH = 100_000


def import_files(directory: Path, table: str, files: list[Path]) -> None:
    """Load files of one kind into a table with one commit, and say what was done; raises ScoterError."""
    _ending(files)
    engine = open_lake(directory, create=True)
    started = time.perf_counter()
    try:
        done = load_files(engine, table, files)
    finally:
        engine.close()
    what = f"into the new table {table}" if done.created else f"into {table}"
    elapsed = duration(time.perf_counter() - started)
    notice(f"imported {done.written.rows:,} rows {what} · {elapsed}")


def load_files(engine: Engine, table: str, files: list[Path]) -> Ingested:
    """Load files of one kind into a table of an open lake; Ctrl-C cancels. Raises ScoterError."""
    cancellation = Cancellation()
    meter = Meter(f"reading {len(files)} file{'s' * (len(files) > 1)}")
    return wait_for(lambda: _load(engine, table, files, meter, cancellation), cancellation.cancel, meter)


def _load(
    engine: Engine, table: str, files: list[Path], meter: Meter, cancellation: Cancellation
) -> Ingested:
    ending = _ending(files)
    with duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    ) as reading:
        cancellation.attach(reading.interrupt)
        reading.execute("SET TimeZone = 'UTC'")
        listed = "[" + ", ".join(literal(_escaped(file)) for file in files) + "]"
        columns = columns_of(engine, table, engine.context(LOCAL))
        texts = frozenset(folded(name) for name, kind in columns.items() if _is_text(kind))
        try:
            source = _source(reading, ending, listed, texts)
            if ending == ".parquet":
                sql = f"SELECT sum(num_rows) FROM parquet_file_metadata({listed})"
                meter.total = int(reading.execute(sql).fetchall()[0][0] or 0)
            relation = reading.sql(f"SELECT {_columns(reading, source)} FROM {source}")
            rows = relation.to_arrow_reader(_BATCH)
        except duckdb.Error as error:
            raise _unreadable(error) from error
        reader = pa.RecordBatchReader.from_batches(rows.schema, _counted(rows, meter))
        return ingest(engine, table, reader, engine.context(LOCAL), cancellation)


def _counted(rows: pa.RecordBatchReader, meter: Meter) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = rows.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError, duckdb.Error) as error:
            raise _unreadable(error) from error
        meter.rows += batch.num_rows
        yield batch


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _source(reading: duckdb.DuckDBPyConnection, ending: str, files: str, texts: frozenset[str]) -> str:
    """Return the table function that reads the files; what goes into text columns stays text, as 007."""
    source = _READERS[ending].format(files=files, types="")
    if not texts or "{types}" not in _READERS[ending]:
        return source
    names = reading.sql(f"SELECT * FROM {source} LIMIT 0").columns
    pairs = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names if folded(name) in texts)
    return _READERS[ending].format(files=files, types=f", types = {{{pairs}}}" if pairs else "")


def _columns(reading: duckdb.DuckDBPyConnection, source: str) -> str:
    """Return the select list that turns types which Arrow has not, such as HUGEINT, into ones it has."""
    relation = reading.sql(f"SELECT * FROM {source} LIMIT 0")
    parts = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        wide = {"HUGEINT": "DECIMAL(38, 0)", "UHUGEINT": "DECIMAL(38, 0)"}.get(str(kind))
        parts.append(f"CAST({quote(name)} AS {wide}) AS {quote(name)}" if wide else quote(name))
    return ", ".join(parts)


def _ending(files: list[Path]) -> str:
    """Return the one kind of all files; raises ConfigurationError."""
    endings = set()
    for file in files:
        if not file.is_file():
            raise ConfigurationError(f"there is no file {file}")
        suffixes = [suffix.casefold() for suffix in file.suffixes]
        if suffixes and suffixes[-1] in _COMPRESSIONS:
            suffixes.pop()
        endings.add(suffixes[-1] if suffixes else "")
    if len(endings) > 1:
        raise ConfigurationError("the files are of different kinds", hint="import them one kind at a time")
    ending = endings.pop()
    if ending not in _READERS:
        raise ConfigurationError(
            f"files that end with {quoted(ending)} can not be read", hint=f"these can: {', '.join(_READERS)}"
        )
    return ending


def _escaped(file: Path) -> str:
    """Return a file's path as a pattern that only it matches."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(file.absolute()))


def _unreadable(error: Exception) -> InvalidValue:
    text = str(error).strip().split("\n", 1)[0]
    return InvalidValue(f"the files can not be read: {text.partition(' Error: ')[2] or text}")
