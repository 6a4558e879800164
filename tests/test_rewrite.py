"""Every rewrite rule on the statements of tests/rewrite/RULE.sql: what they become, and that it means the same.

A file holds blocks, separated by empty lines. A block is a title in comments, the statement, and behind
`-- becomes` what the rule makes of it. `-- same as` gives a statement without models to compare the rows
with; without it they are compared with those of the statement itself, run without the rule. `-- scored 5`
says how many rows are given to models when the rewritten statement runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa
import pytest
from sessions import InProcess, opened
from slt import written
from sqlglot import exp

from scoter.engine import column_names, pipeline, querying
from scoter.engine.dialect import Scoter, parse, to_duckdb
from scoter.engine.execute import Running
from scoter.engine.from_clauses import ColumnsOf
from scoter.engine.marks import VOLATILE_CALL
from scoter.engine.querying import Bound
from scoter.engine.resolve import resolve
from scoter.engine.resolved import Source
from scoter.engine.rules.call_models import call_models, given_by
from scoter.engine.rules.pin_now import pin_now
from scoter.engine.rules.pin_session import pin_session, settle_words
from scoter.engine.rules.read_tables import read_tables
from scoter.engine.rules.score_apart import APART, score_apart
from scoter.engine.rules.score_before_join import score_before_join
from scoter.engine.rules.score_once import score_once
from scoter.engine.rules.score_qualified import score_qualified
from scoter.engine.rules.score_together import score_together
from scoter.engine.rules.spell_alike import spell_alike
from scoter.engine.rules.unfold import unfold
from scoter.engine.statements import Predict

RULES = Path(__file__).parent.parent / "scoter" / "engine" / "rules"
FILES = Path(__file__).with_name("rewrite")
SETUP = (
    "CREATE TABLE t (id INTEGER, a INTEGER, b INTEGER, c INTEGER)",
    "INSERT INTO t VALUES (1, 1, 0, 9), (2, 2, 1, 9), (3, 0, 2, 8), (4, NULL, 1, 8), (5, 5, 0, NULL)",
    "CREATE TABLE u (id INTEGER, d INTEGER)",
    "INSERT INTO u VALUES (1, 10), (2, 20), (2, 21), (9, 90)",
    "CREATE SCHEMA other",
    "CREATE TABLE other.t (id INTEGER, e VARCHAR)",
    "INSERT INTO other.t VALUES (1, 'x'), (3, 'z')",
)


@dataclass(frozen=True)
class Case:
    """One block of a file."""

    title: str
    sql: str
    becomes: str
    same_as: str | None
    scored: int | None


def cases(rule: str) -> Iterator[Case]:
    """Yield the blocks of a rule's file."""
    for block in re.split(r"\n{2,}", (FILES / f"{rule}.sql").read_text("utf-8").strip()):
        title: list[str] = []
        parts: dict[str, list[str]] = {"": []}
        scored = None
        part = ""
        for line in block.splitlines():
            words = line.removeprefix("--").strip()
            if line.startswith("--") and words in {"becomes", "same as"}:
                part = words
                parts[part] = []
            elif line.startswith("-- scored "):
                scored = int(words.split()[1])
            elif line.startswith("--"):
                title.append(words)
            else:
                parts[part].append(line)
        texts = {name: "\n".join(lines).strip().removesuffix(";") for name, lines in parts.items()}
        if texts[""]:
            yield Case(" ".join(title), texts[""], texts.get("becomes", ""), texts.get("same as"), scored)


def of(*rules: str) -> pytest.MarkDecorator:
    """Parametrise a test by the blocks of the rules' files."""
    found = [case for rule in rules for case in cases(rule)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case.title)


def test_every_rule_has_a_file() -> None:
    rules = {path.stem for path in RULES.glob("*.py")} - {"__init__"}
    assert {path.stem for path in FILES.glob("*.sql")} == rules


class Rules:
    """Applies rules to statements of a lake, and runs what they make."""

    def __init__(self, session: InProcess) -> None:
        self.session = session
        self.engine = session.engine
        self.parts = session.engine._parts

    def bound(self, sql: str) -> Bound:
        """Return a statement with its names and types settled, before any rule."""
        tree = pipeline.parse(sql, self.parts)
        context, parts = self.session.context, self.parts
        resolved = resolve(tree, context, parts.lake, parts.models, parts.binder.instant, None)
        return querying.bind(tree, resolved, parts.binder, context)

    def run(
        self, bound: Bound, tree: exp.Expr, *, inline: bool = False
    ) -> tuple[list[list[str]], list[str], int]:
        """Return the sorted rows of a tree, its columns, and how many rows were given to models."""
        tree, calls = call_models(tree.copy(), bound.resolved, bound.arguments, inline=inline)

        def relation(_: exp.Table, source: Source) -> str:
            return self.parts.scans.build(source.metadata, None, None, None, name="t").sql

        sql = to_duckdb(read_tables(tree, bound.resolved, relation))
        running = Running(self.engine.instances, self.session.context, 0)
        try:
            running.prepare(calls, {})
            table = running.connection.sql(sql).to_arrow_table()
            scored = running.instance.run.total.rows
        finally:
            running.finish()
        return sorted_rows(table), table.schema.names, scored


def sorted_rows(table: pa.Table) -> list[list[str]]:
    """Return rows as texts in one order."""
    return sorted([written(value) for value in row] for row in zip(*table.columns, strict=True))


def text(tree: exp.Expr) -> str:
    """Return a tree in one spelling."""
    return Scoter().generate(tree, identify=True, comments=False)


def reread(sql: str, parts: object) -> str:
    """Return SQL text in one spelling."""
    return text(pipeline.parse(sql, parts))


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory, model_files: Path) -> Iterator[Rules]:
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for sql in SETUP:
            session.update(sql)
        for name in ("pair", "linear", "city", "vote", "mixed"):
            inputs = " INPUT (p FLOAT, q FLOAT)" if name == "vote" else ""
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'{inputs}")
        session.update(f"CREATE MODEL named FROM '{model_files}/pair.onnx' INPUT (a FLOAT, b FLOAT)")
        yield Rules(session)


@pytest.fixture(scope="module")
def bare() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the same tables under the same names, and nothing of ours."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS lake; USE lake.main; SET TimeZone = 'Europe/Amsterdam'")
    for sql in SETUP:
        connection.execute(sql)
    yield connection
    connection.close()


@of("pin_now")
def test_pin_now(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    fixed = datetime.fromisoformat("2024-02-29T23:30:00.123456+00:00")

    def pinned(instant: datetime) -> exp.Expr:
        return pin_now(pipeline.parse(case.sql, rules.parts), instant, "Europe/Amsterdam")

    assert text(pinned(fixed)) == reread(case.becomes, rules.parts)
    # Inside one transaction DuckDB's own now() stands still.
    bare.execute("BEGIN")
    try:
        instant = bare.sql("SELECT now()").to_arrow_table()[0][0].as_py()
        expected = sorted_rows(bare.sql(case.sql).to_arrow_table())
        found = sorted_rows(bare.sql(to_duckdb(pinned(instant))).to_arrow_table())
    finally:
        bare.execute("ROLLBACK")
    assert found == expected


@of("pin_session")
def test_pin_session(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    who = dict.fromkeys(("user", "current_user", "session_user"), "duckdb")
    where = {"current_schema": "main", "current_catalog": "lake", "current_database": "lake"}
    tree = pipeline.parse(case.sql, rules.parts)
    settle_words(tree, [("id", "INTEGER")])
    pin_session(tree, {**who, **where, "version": "v2"})
    assert text(tree) == reread(case.becomes, rules.parts)
    written, original = bare.sql(to_duckdb(tree)), bare.sql(case.same_as or case.sql)
    assert written.types == original.types
    assert case.same_as is not None or written.columns == original.columns
    assert sorted_rows(written.to_arrow_table()) == sorted_rows(original.to_arrow_table())


@of("unfold")
def test_unfold(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    tree = unfold(pipeline.parse(case.sql, rules.parts))
    assert text(tree) == reread(case.becomes, rules.parts)
    written, original = bare.sql(to_duckdb(tree)), bare.sql(case.sql)
    assert written.types == original.types
    assert sorted_rows(written.to_arrow_table()) == sorted_rows(original.to_arrow_table())


@pytest.mark.parametrize("sql", ["SELECT len(range(300000000))", "SELECT length(lpad('a', 1000000000, 'b'))"])
def test_planning_computes_no_large_constant(sql: str, rules: Rules) -> None:
    before = psutil.Process().memory_info().rss
    rules.session.engine.plan(sql, rules.session.context)
    assert psutil.Process().memory_info().rss - before < 256 * 1024 * 1024


@of("read_tables")
def test_read_tables(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    tree = pipeline.parse(case.sql, rules.parts)
    parts = rules.parts
    resolved = resolve(tree, rules.session.context, parts.lake, parts.models, parts.binder.instant, None)

    def relation(_: exp.Table, source: Source) -> str:
        name = source.name
        return f'(SELECT * FROM "{name.catalog}"."{name.schema}"."{name.name}")'

    found = read_tables(tree.copy(), resolved, relation)
    assert text(found) == reread(case.becomes, rules.parts)
    expected = bare.sql(case.sql).to_arrow_table()
    actual = bare.sql(to_duckdb(found)).to_arrow_table()
    assert sorted_rows(actual) == sorted_rows(expected)
    assert actual.schema.names == expected.schema.names


@of("call_models")
def test_call_models(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    tree, calls = call_models(bound.tree.copy(), bound.resolved, bound.arguments)
    shown = text(tree)
    for call in calls:
        shown = shown.replace(call.function.name, f"{call.function.kind}_{call.pin.name.name}")
    assert shown == Scoter().generate(_named(case.becomes), identify=True)
    rows, _, _ = rules.run(bound, bound.tree)
    assert case.same_as is not None, "say what the models compute"
    assert rows == sorted_rows(bare.sql(case.same_as).to_arrow_table())


@of("inline_linear")
def test_inline_linear(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    if case.becomes:
        tree, calls = call_models(bound.tree.copy(), bound.resolved, bound.arguments, inline=True)
        shown = text(tree)
        for call in calls:
            shown = shown.replace(call.function.name, f"{call.function.kind}_{call.pin.name.name}")
        assert shown == Scoter().generate(_named(case.becomes), identify=True)
    rows, names, _ = rules.run(bound, bound.tree)
    found, found_names, scored = rules.run(bound, bound.tree, inline=True)
    assert (found, found_names, scored) == (rows, names, case.scored)
    assert case.same_as is not None, "say what the models compute"
    assert rows == sorted_rows(bare.sql(case.same_as).to_arrow_table())


def _named(sql: str) -> exp.Expr:
    """Read SQL with functions that the gate does not know."""
    return parse(sql, 1 << 20)


@of("score_apart")
def test_score_apart(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    tree = score_apart(bound.tree.copy(), lambda node: column_names.names_of(bound.resolved.source(node)))
    marked = tree.copy()
    for subquery in [found for found in marked.find_all(exp.Subquery) if APART in found.meta]:
        subquery.this.append("expressions", exp.alias_(exp.Literal.string("apart"), "mark"))
    assert text(marked) == text(_named(case.becomes))
    rows, names, _ = rules.run(bound, bound.tree)
    found, found_names, scored = rules.run(bound, tree)
    assert (found, found_names) == (rows, names)
    assert scored == case.scored
    if case.same_as is not None:
        assert found == sorted_rows(bare.sql(case.same_as).to_arrow_table())


@of("score_together")
def test_score_together(case: Case, rules: Rules) -> None:
    bound = rules.bound(case.sql)
    tree = score_together(bound.tree.copy())
    assert text(tree) == text(_named(case.becomes))
    rows, names, _ = rules.run(bound, bound.tree)
    found, found_names, scored = rules.run(bound, tree)
    assert (found, found_names) == (rows, names)
    assert case.scored in {scored, None}


@of("spell_alike")
def test_spell_alike(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    given = partial(given_by, resolved=bound.resolved, types=bound.arguments)
    tree = spell_alike(bound.tree.copy(), names_of(bound), given)
    check(case, tree, bound, rules, bare)


@of("score_qualified")
def test_score_qualified(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    check(case, score_qualified(bound.tree.copy(), names_of(bound)), bound, rules, bare)


@of("score_before_join")
def test_score_before_join(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    check(case, score_before_join(bound.tree.copy(), names_of(bound)), bound, rules, bare)


# score_joined is the part of score_once that deals with several relations.
@of("score_once", "score_joined")
def test_score_once(case: Case, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    bound = rules.bound(case.sql)
    check(case, score_once(bound.tree.copy(), names_of(bound)), bound, rules, bare)


def names_of(bound: Bound) -> ColumnsOf:
    return lambda node: column_names.seen_names(node, bound.resolved.source(node))


def check(case: Case, tree: exp.Expr, bound: Bound, rules: Rules, bare: duckdb.DuckDBPyConnection) -> None:
    """Compare what a rule made of a case with the case's text, rows, names and number of rows scored."""
    marked = tree.copy()
    for call in list(marked.find_all(Predict)):
        if call.meta.get(VOLATILE_CALL):
            call.replace(exp.Anonymous(this="once", expressions=[call.copy()]))
    assert text(marked) == text(_named(case.becomes))
    rows, names, _ = rules.run(bound, bound.tree)
    found, found_names, scored = rules.run(bound, tree)
    assert (found, found_names, scored) == (rows, names, case.scored)
    if case.same_as is not None:
        assert found == sorted_rows(bare.sql(case.same_as).to_arrow_table())
