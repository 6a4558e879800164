"""Appending the rows of a SELECT to an Iceberg table: files first, then one commit.

This module must not know the SQL of users, how tables are named, or who asks.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
from pyiceberg.io import FileIO
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.transforms import VoidTransform
from pyiceberg.typedef import Record
from pyiceberg.types import FixedType

from scoter.engine.types import duckdb_type, literal, quote
from scoter.engine.writing.checks import check_required, checked, doubtful, refusal, unfit, unfit_rows
from scoter.engine.writing.commit import commit_append, commit_create
from scoter.engine.writing.datafiles import (
    Leaf,
    WrittenFile,
    asks_for_whole_bounds,
    data_file,
    field_ids,
    leaves,
)
from scoter.engine.writing.overwriting import Overwritten, commit_overwrite
from scoter.engine.writing.partitioning import Partitioning, partitioning, register_buckets
from scoter.engine.writing.replacement import commit_replace, replaced
from scoter.errors import (
    InternalError,
    NotSupported,
    NumericOutOfRange,
    OutcomeUnknown,
    UndefinedSnapshot,
)
from scoter.suggestions import closest

QUERY_ID = "scoter.query-id"
"""Key of the snapshot summary under which the statement that made it is found."""

FILE_BYTES = 256 * 1024 * 1024
"""Bytes at which a file is closed and the next one begun."""

ROW_GROUP = 122_880
"""Rows of a row group: DuckDB's own unit of parallel reading."""

# Iceberg's names of the codecs and DuckDB's.
_CODECS = {
    "gzip": "gzip",
    "lz4": "lz4_raw",
    "none": "uncompressed",
    "snappy": "snappy",
    "uncompressed": "uncompressed",
    "zstd": "zstd",
}

_COPIES = 4  # files copied to an object store at once
_PART = 8 * 1024 * 1024  # bytes after which a copy looks whether it is still wanted

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """What a write has put into a table; ``snapshot_id`` is None when there was nothing to commit."""

    rows: int
    snapshot_id: int | None
    files: int
    bytes: int


@dataclass(frozen=True)
class _Place:
    """The directory that one statement writes: as Iceberg's URI and as DuckDB's path.

    What is not ``local`` is written to ``path`` and copied to its URI when all of it is there.
    """

    uri: str
    path: str
    local: bool
    io: FileIO

    @classmethod
    def under(cls, location: str, io: FileIO, staging: Path) -> _Place:
        name = str(uuid.uuid4())
        uri = f"{location.rstrip('/')}/data/{name}"
        path = uri.removeprefix("file://")
        local = path.startswith("/")
        return cls(uri, path if local else str(staging / name), local, io)

    def uri_of(self, filename: str) -> str:
        return self.uri + filename.removeprefix(self.path)

    def copy(self, files: Sequence[WrittenFile], check: Callable[[], None]) -> None:
        """Copy what was written to where it belongs, several files at once; ``check`` raises to end it."""
        if self.local:
            return
        with ThreadPoolExecutor(_COPIES) as pool:
            # All have ended when one has failed, or what it made could not be deleted.
            for done in [pool.submit(self._copy, file, check) for file in files]:
                done.result()
        shutil.rmtree(self.path, ignore_errors=True)

    def _copy(self, file: WrittenFile, check: Callable[[], None]) -> None:
        written = Path(self.path + file.uri.removeprefix(self.uri))
        output = self.io.new_output(file.uri)
        with written.open("rb") as source, output.create() as target:
            while part := source.read(_PART):
                check()
                target.write(part)
        written.unlink()

    def remove(self, files: Sequence[WrittenFile]) -> None:
        """Delete what was written; a file that can not be deleted stays as an orphan."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.local:
            return
        for file in files:
            try:
                self.io.delete(file.uri)
            except OSError:
                _log.warning("an orphaned file could not be deleted", exc_info=True)


def _nothing() -> None:
    """Be called before a commit and do nothing."""


def append(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    table: Table,
    *,
    properties: Mapping[str, str],
    create: CreateTableTransaction | None = None,
    replace: Schema | None = None,
    overwrite: Overwritten | None = None,
    parameters: object = None,
    branch: str = MAIN_BRANCH,
    before_commit: Callable[[], None] = _nothing,
    staging: Path | None = None,
) -> Written:
    """Write the rows of ``select`` into Parquet files of ``table`` and commit them once.

    ``connection`` must have the setting ``async_threads`` at 0: with DuckDB 2.0's asynchronous writes a
    COPY that fails or is interrupted can wait for itself forever.

    ``select`` yields the table's columns in order. ``properties`` go into the snapshot's summary.
    With ``create`` the table and its rows appear together, also when there are no rows, and ``table``
    is only used for its catalog. With ``replace`` the rows take the place of all rows of the main branch,
    and these columns that of the table's. With ``overwrite`` they take the place of the files that it names.
    Without any of them zero rows make no commit. ``before_commit`` is
    called once the files are written, and while they are copied to an object store from the directory
    ``staging``; what it raises ends the write with nothing committed.

    Raises NotNullViolation, InvalidValue, NumericOutOfRange for rows that do not fit; WriteConflict,
    DuplicateTable, UndefinedSchema, UndefinedSnapshot, OutcomeUnknown as `commit_append` and
    `commit_create` do; NotSupported for a table that can not be written. duckdb.Error from ``select``
    passes through. Whenever it is certain that nothing was committed, no data file stays.
    """
    metadata = table.metadata if create is None else create.table_metadata
    if replace is not None:
        metadata = replaced(metadata, replace)
    schema = metadata.schema()
    check_writable(metadata, branch)
    division = partitioning(schema, metadata.spec())
    place = _Place.under(metadata.location, table.io, staging or Path(tempfile.gettempdir()))
    files: list[WrittenFile] = []
    try:
        files = _copy(connection, select, schema, division, place, metadata.properties, parameters=parameters)
        columns = leaves(schema)
        check_required(schema, files)
        _check_times(connection, schema, files, columns, place)
        whole = asks_for_whole_bounds(metadata.properties)
        added = [
            data_file(file, columns, division.record(file.keys), metadata.default_spec_id, whole=whole)
            for file in files
        ]
        _check_partitions(schema, metadata.spec(), [file.partition for file in added])
        place.copy(files, before_commit)
        before_commit()
        summary = {QUERY_ID: str(uuid.uuid4()), **properties}
        if create is not None:
            snapshot_id: int | None = commit_create(create, table, added, summary, branch)
        elif replace is not None:
            snapshot_id = commit_replace(table, replace, added, summary)
        elif overwrite is not None:
            snapshot_id = commit_overwrite(table, overwrite, added, summary)
        elif added:
            snapshot_id = commit_append(table, added, summary, branch)
        else:
            snapshot_id = None
    except OutcomeUnknown:
        # The files may belong to the table now.
        raise
    except BaseException:
        place.remove(files)
        raise
    if not files:
        place.remove(files)
    return Written(
        rows=sum(file.rows for file in files),
        snapshot_id=snapshot_id,
        files=len(files),
        bytes=sum(file.size for file in files),
    )


def check_writable(metadata: TableMetadata, branch: str = MAIN_BRANCH) -> None:
    """Raise NotSupported for a table that can not be written, UndefinedSnapshot for what is no branch of it."""
    schema = metadata.schema()
    if metadata.format_version > 2:
        raise NotSupported(f"tables of Iceberg format {metadata.format_version} can not be written yet")
    folded = [field.name.casefold() for field in schema.fields]
    if len(set(folded)) < len(folded):
        raise NotSupported("a table with columns that differ only by case can not be written")
    for leaf in leaves(schema):
        if isinstance(leaf.kind, FixedType):
            raise NotSupported(f'column "{".".join(leaf.path)}" of type {leaf.kind} can not be written')
    ref = metadata.refs.get(branch)
    if branch != MAIN_BRANCH and ref is None:
        raise UndefinedSnapshot(
            f'branch "{branch}" does not exist', hint=closest(branch, list(metadata.refs))
        )
    if ref is not None and ref.snapshot_ref_type != SnapshotRefType.BRANCH:
        raise UndefinedSnapshot(f'"{branch}" is a tag, which can not be written')


def _copy(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    schema: Schema,
    division: Partitioning,
    place: _Place,
    properties: Mapping[str, str],
    *,
    parameters: object,
) -> list[WrittenFile]:
    if division.has_buckets:
        register_buckets(connection)
    Path(place.path).mkdir(parents=True)
    if parameters is None and len(connection.sql(select).columns) != len(schema.fields):
        # The list of aliases below would hide surplus columns.
        raise InternalError("the rows to write have another number of columns than the table")
    sql = _copy_sql(select, schema, division, place.path, properties)
    try:
        rows = connection.execute(sql, parameters).fetchall()
    except duckdb.Error as error:
        refused = refusal(str(error), schema)
        if refused is None:
            raise
        raise refused from error
    written: list[WrittenFile] = []
    for filename, count, size, _footer, statistics, keys, *_rest in rows:
        if count:
            written.append(WrittenFile(place.uri_of(filename), count, size, statistics, keys or {}))
        else:
            Path(filename).unlink()
    return written


def _check_partitions(schema: Schema, spec: PartitionSpec, records: Sequence[Record]) -> None:
    """Refuse partition values that pyiceberg can not name in the summary, as years beyond 9999."""
    for place, field in enumerate(spec.fields):
        if isinstance(field.transform, VoidTransform):
            continue  # of format version 1, which keeps it when its column has gone
        kind = schema.find_type(field.source_id)
        for record in records:
            try:
                field.transform.to_human_string(kind, record[place])
            except (OverflowError, ValueError) as error:
                raise NumericOutOfRange(
                    f'a value of partition field "{field.name}" is out of range'
                ) from error


def _compression(properties: Mapping[str, str]) -> list[str]:
    """Return COPY's options for the codec that a table asks for; Iceberg's default is zstd.

    Raises NotSupported for a codec or level that can not be had.
    """
    codec = properties.get("write.parquet.compression-codec", "zstd").casefold()
    if codec not in _CODECS:
        raise NotSupported(
            f'the table asks for the codec "{codec}", which can not be written',
            hint=f"its property write.parquet.compression-codec may be {', '.join(sorted(_CODECS))}",
        )
    options = [f"COMPRESSION {_CODECS[codec]}"]
    level = properties.get("write.parquet.compression-level", "null")
    if codec == "zstd" and level != "null":
        if not level.isascii() or not level.isdigit() or not 1 <= int(level) <= 22:
            raise NotSupported(f'the table asks for the zstd level "{level}"', hint="levels are 1 to 22")
        options.append(f"COMPRESSION_LEVEL {int(level)}")
    return options


def _copy_sql(
    select: str, schema: Schema, division: Partitioning, path: str, properties: Mapping[str, str]
) -> str:
    given = [f"c{position}" for position in range(len(schema.fields))]
    cast = [
        f"CAST({column} AS {duckdb_type(field.field_type)}) AS {quote(field.name)}"
        for column, field in zip(given, schema.fields, strict=True)
    ]
    kept = [f"{checked(field, quote(field.name))} AS {quote(field.name)}" for field in schema.fields]
    kept += [f"{column.sql} AS {quote(column.name)}" for column in division.computed]
    rows = f"SELECT {', '.join(cast)} FROM ({select}\n) AS given({', '.join(given)})"
    options = [
        "FORMAT parquet",
        *_compression(properties),
        f"ROW_GROUP_SIZE {ROW_GROUP}",
        f"FILE_SIZE_BYTES {FILE_BYTES}",
        f"FIELD_IDS {field_ids(schema)}",
        "RETURN_STATS",
    ]
    if division.computed:
        keys = ", ".join(quote(column.name) for column in division.computed)
        # Without directories: a key may be any text, of any length.
        options += [f"PARTITION_BY ({keys})", "HIVE_FILE_PATTERN false"]
    return (
        f"COPY (SELECT {', '.join(kept)} FROM ({rows}) AS fitted) TO {literal(path)} ({', '.join(options)})"
    )


def _check_times(
    connection: duckdb.DuckDBPyConnection,
    schema: Schema,
    files: Sequence[WrittenFile],
    columns: Sequence[Leaf],
    place: _Place,
) -> None:
    for file in files:
        names = doubtful(columns, file)
        if not names:
            continue
        path = literal(place.path + file.uri.removeprefix(place.uri))
        for name in sorted(names):
            query = (
                f"SELECT count(*) FROM read_parquet({path}, hive_partitioning = false)"
                f" WHERE {unfit_rows(schema, frozenset([name]))}"
            )
            if connection.execute(query).fetchall() != [(0,)]:
                raise unfit(name)
