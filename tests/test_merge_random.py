"""Random MERGE, UPDATE and DELETE on random tables: what DuckDB's own make of the same rows, ours must make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st
from mutation import often
from plain_values import plain
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, IntegerType, LongType, NestedField, StringType
from random_tables import KEY, NAMES, RandomTable, kinds, value_of
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName
from scoter.engine.ingest import Mode, Present, ingest

APPEND = Mode(create=False, present=Present.APPEND)
NUMBERS = count()
# What is refused because no read would be right, or because a table can not be written beside such names.
REFUSED = (
    "holds none of the fields inside column",
    "a column with renamed inner fields and a column stored as another type can not be read together",
    "beside which _file, _pos",
)
JOINED = (
    "t.{k} = s.{k}",
    "t.{k} IS NOT DISTINCT FROM s.{k}",
    "t.{k} = s.{k} AND t.{k} > 1",
    "t.{k} + 3 = s.{k}",
)
OF_BOTH = ("s.{k} % 2 = 0", "t.{k} > 2", "t.{k} <> s.{k}", "s.{k} IS NULL")
OF_SOURCE = ("s.{k} % 2 = 0", "{k} > 3", "s.{k} IS NOT NULL", "{k} + 1 < 10")
OF_TARGET = ("t.{k} % 2 = 0", "{k} > 3", "t.{k} IS NOT NULL")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("lake")) as engine:
        yield InProcess(engine)


@often(calls=60, share=0.3)
@given(data=st.data())
def test_random_merges(session: InProcess, judge: duckdb.DuckDBPyConnection, data: Any) -> None:
    made = table(session, data)
    for _ in range(data.draw(st.integers(1, 7))):
        made.step()
    note("\n".join(made.steps))
    judge.register("arrow", made.current().rows)
    judge.execute("CREATE OR REPLACE TABLE t AS FROM arrow")
    for _ in range(data.draw(st.integers(1, 3))):
        if not merged(session, judge, made, data):
            return


def table(session: InProcess, data: Any) -> RandomTable:
    """Make an empty table of a random schema."""
    name = f"t{next(NUMBERS)}"
    simple = st.sampled_from([IntegerType(), LongType(), DoubleType(), StringType()])
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique_by=str.casefold))
    columns = [NestedField(i + 2, n, data.draw(simple | kinds())) for i, n in enumerate(names)]
    schema = Schema(NestedField(1, "k", LongType()), *columns)
    made = session.engine.lake.create_table(TableName("lake", "main", name), schema)
    note(str(schema))

    def insert(rows: pa.Table) -> None:
        ingest(session.engine, name, rows.to_reader(), session.context, mode=APPEND)

    directory = Path(made.location().removeprefix("file://"))
    return RandomTable(made, data.draw, directory, insert)


def merged(session: InProcess, judge: duckdb.DuckDBPyConnection, made: RandomTable, data: Any) -> bool:
    """Merge some rows on both sides and compare what is told and what is there then; say whether ours does it."""
    made.table = made.table.refresh()
    schema, source = made.table.schema(), f"s{next(NUMBERS)}"
    rows = source_rows(made, schema, data)
    session.engine.lake.create_table(TableName("lake", "main", source), schema)
    ingest(session.engine, source, rows.to_reader(), session.context, mode=APPEND)
    judge.register("given", rows)
    sql = statement(schema, data)
    note(sql)
    note(str(rows.to_pylist()))
    before = files(made)
    wanted, refused = counted(lambda: judge.execute(filled(sql, "t", "given")).fetchone()[0])
    found, error = counted(lambda: session.update(filled(sql, made.table.name()[-1], source)))
    if any(words in error for words in REFUSED):
        event("refused")
        return False
    assert bool(refused) == bool(error), error
    assert not refused or ("more than once" in refused and "[21000] CARDINALITY_VIOLATION" in error)
    event("more than once" if wanted is None else "changed" if wanted else "nothing to do")
    assert found == wanted
    if not wanted:
        assert files(made) == before
    rows_there = session.query(f"SELECT * FROM main.{made.table.name()[-1]}")
    assert spelled(rows_there) == spelled(judge.sql("FROM t").to_arrow_table())
    if not made.equality:
        assert spelled(made.table.refresh().scan().to_arrow()) == spelled(rows_there)
    return True


def counted(run: Callable[[], int]) -> tuple[int | None, str]:
    """Return what a statement counts, or None and why it fails."""
    try:
        return run(), ""
    except (duckdb.InvalidInputException, Refused) as error:
        return None, str(error)


def filled(sql: str, target: str, source: str) -> str:
    return sql.replace("{t}", target).replace("{s}", source)


def source_rows(made: RandomTable, schema: Schema, data: Any) -> pa.Table:
    """Draw the rows of a source: some keys of the table, some new ones, NULL, and now and then a key twice."""
    keys = [row.values[KEY] for row in made.rows] + [next(made.numbers) for _ in range(2)]
    unique = data.draw(st.integers(0, 3)) > 0
    chosen = data.draw(st.lists(st.sampled_from(keys), max_size=6, unique=unique))
    chosen += [None] * data.draw(st.integers(0, 1))
    drawn = [
        {field.field_id: value_of(data.draw, field.field_type) for field in schema.fields} | {KEY: key}
        for key in chosen
    ]
    return RandomTable._arrow(schema, [_Held(values) for values in drawn])


class _Held:
    def __init__(self, values: dict[int, Any]) -> None:
        self.values = values


def statement(schema: Schema, data: Any) -> str:
    """Draw a statement that changes ``{t}`` by ``{s}``, which are in it as t and s."""
    key = quoted(schema.find_field(KEY).name)
    draw = data.draw
    if draw(st.integers(0, 3)) == 0:
        return of_one_table(schema, draw).replace("{k}", key)
    clauses = []
    for kind, of in (("MATCHED", OF_BOTH), ("NOT MATCHED", OF_SOURCE), ("NOT MATCHED BY SOURCE", OF_TARGET)):
        number = draw(st.integers(0, 2))
        for place in range(number):
            bare = place == number - 1 and draw(st.booleans())
            condition = "" if bare else f" AND {draw(st.sampled_from(of))}"
            clauses.append(f"WHEN {kind}{condition} THEN {action(kind, schema, draw)}")
    if not clauses:
        clauses.append("WHEN MATCHED THEN DELETE")
    clauses = draw(st.permutations(clauses)) if all(" AND " in clause for clause in clauses) else clauses
    joined = draw(st.sampled_from(JOINED))
    text = f"MERGE INTO {{t}} AS t USING {{s}} AS s ON {joined} {' '.join(clauses)}"
    return text.replace("{k}", key)


def of_one_table(schema: Schema, draw: Any) -> str:
    """Draw an UPDATE or DELETE."""
    conditions = (*OF_TARGET, "{k} IN (SELECT {k} FROM {s} AS s)", "{k} = (SELECT max({k}) FROM {t})", "true")
    where = f" WHERE {draw(st.sampled_from(conditions))}" if draw(st.integers(0, 4)) else ""
    if draw(st.booleans()):
        return f"DELETE FROM {{t}} AS t{where}"
    return f"UPDATE {{t}} AS t SET {assigned(('t',), schema, draw)}{where}"


def action(kind: str, schema: Schema, draw: Any) -> str:
    """Draw what a clause does."""
    names = [quoted(field.name) for field in schema.fields]
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    if kind == "NOT MATCHED":
        if draw(st.integers(0, 5)) == 0:
            return "DO NOTHING"
        if draw(st.booleans()):
            return f"INSERT VALUES ({', '.join(f's.{name}' for name in names)})"
        return f"INSERT ({', '.join(chosen)}) VALUES ({', '.join(chosen)})"
    way = draw(st.integers(0, 5))
    if way == 0:
        return "DO NOTHING"
    if way == 1:
        return "DELETE"
    return f"UPDATE SET {assigned(('s', 't') if kind == 'MATCHED' else ('t',), schema, draw)}"


def assigned(sides: Sequence[str], schema: Schema, draw: Any) -> str:
    """Draw what SET gives to some columns, of the same columns of these tables."""
    names = [quoted(field.name) for field in schema.fields]
    key = quoted(schema.find_field(KEY).name)
    values = []
    for name in draw(st.lists(st.sampled_from(names), min_size=1, unique=True)):
        value = "NULL" if draw(st.integers(0, 3)) == 0 else f"{draw(st.sampled_from(sides))}.{name}"
        if name == key:
            value = draw(st.sampled_from([f"t.{key} + 1000", "7", "NULL"]))
        values.append(f"{name} = {value}")
    return ", ".join(values)


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def files(made: RandomTable) -> set[str]:
    """Return the data files of a table."""
    return (
        {task.file.file_path for task in made.table.refresh().scan().plan_files()}
        if not made.equality
        else set()
    )


def spelled(rows: pa.Table) -> list[tuple[str, ...]]:
    """Return the rows in one spelling and in order."""
    columns = [list(map(plain, column.to_pylist())) for column in rows.columns]
    return sorted(zip(*columns, strict=True))
