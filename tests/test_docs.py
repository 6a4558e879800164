"""The documents say what is: every SQL block runs, every list is the code's own."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import flight_sql
import java
import pyarrow.parquet as pq
import pytest
from documents import ROOT, Block, blocks, differs, headings, shown, statements, table_of
from pyiceberg.types import IcebergType, ListType, MapType, StructType
from sessions import InProcess, OverTheWire
from sessions import opened as in_process
from slt import Refused

from scoter.catalog.names import TableName
from scoter.catalog.principals import Principal, Role
from scoter.engine import changes, functions
from scoter.engine import statements as ours
from scoter.engine.context import SETTINGS
from scoter.engine.dialect import parse
from scoter.engine.metadata.tables import METADATA_TABLES, OF_A_SNAPSHOT
from scoter.engine.scanning.lineage import HIDDEN
from scoter.engine.types import duckdb_type
from scoter.errors import ScoterError

DOCS = ROOT / "docs"
MODELS = "/srv/models"
ADDRESS = "grpc://127.0.0.1:31337"
SQL_TYPES = {
    "int16": "SMALLINT", "string": "VARCHAR", "double": "DOUBLE", "timestamp[us, tz=UTC]": "TIMESTAMPTZ"
}  # fmt: skip


class Lake:
    """A served lake with the example tables, and where documents' places are on this machine."""

    def __init__(self, running: flight_sql.Running, models: Path) -> None:
        self.session = InProcess(running.engine)
        self._places = {MODELS: str(models), ADDRESS: running.address}

    def run(self, block: Block) -> None:
        """Run a block and compare what comes out with what the document shows."""
        {"sql": self._sql, "python": self._python}[block.language](block)

    def load(self, *names: str) -> None:
        """Fill the tables of examples/flights."""
        for name in names:
            rows = pq.read_table(ROOT / "examples" / "flights" / f"{name}.parquet").combine_chunks()
            columns = ", ".join(f"{f.name} {SQL_TYPES[str(f.type)]}" for f in rows.schema)
            self.session.query(f"CREATE TABLE {name} ({columns})")
            marks = ", ".join("?" * rows.num_columns)
            count = self.session.update(f"INSERT INTO {name} VALUES ({marks})", rows.to_batches()[0])
            assert count == rows.num_rows

    def here(self, text: str) -> str:
        """Return a document's text with this machine's places."""
        for name, place in self._places.items():
            text = text.replace(name, place)
        return text

    def there(self, text: str) -> str:
        """Return a text of this machine with the document's places."""
        for name, place in self._places.items():
            text = text.replace(place, name)
        return text

    def _sql(self, block: Block) -> None:
        code = block.options.get("error")
        found: list[str] = []
        for sql in statements(block.text):
            found, refused = self._said(sql)
            if code is None:
                assert not refused, f"{block.where}: {found[0]}\n{sql}"
            else:
                assert refused, f"{block.where}: {code} expected, it succeeded\n{sql}"
                assert found[0].startswith(f"[{code}"), f"{block.where}: {code} expected\n{found[0]}\n{sql}"
        self._compare(block, found)

    def _said(self, sql: str) -> tuple[list[str], bool]:
        """Return what a statement gives, and whether that is an error."""
        try:
            return shown(self.session.query(self.here(sql))), False
        except Refused as refused:
            return [str(refused)], True

    def _python(self, block: Block) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(self.here(block.text), block.where, "exec"), {})  # noqa: S102  # our own documents
        self._compare(block, said.getvalue().splitlines())

    def _compare(self, block: Block, found: list[str]) -> None:
        lines = [self.there(line) for line in found]
        wrong = block.expected is not None and differs(lines, block.expected)
        assert not wrong, "\n".join(
            [f"{block.where}: found", *lines, "the document shows", str(block.expected)]
        )


def run_all(lake: Lake, found: list[Block]) -> None:
    """Run every block of a document and report all that are wrong."""
    wrong = []
    for block in found:
        if block.language in {"sql", "python"}:
            try:
                lake.run(block)
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, "\n\n".join(wrong)


@contextlib.contextmanager
def opened(directory: Path, models: Path) -> Iterator[Lake]:
    """Serve a lake with the example tables."""
    with flight_sql.served(directory, models={"allowed_prefixes": [str(models)]}) as running:
        found = Lake(running, models)
        found.load("flights", "weather", "planes", "airports", "airlines")
        yield found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, model_files: Path) -> Iterator[Lake]:
    with opened(tmp_path_factory.mktemp("docs"), model_files) as found:
        yield found


def test_every_block_of_the_sql_reference(lake: Lake) -> None:
    run_all(lake, blocks(DOCS / "sql.md"))


def test_the_guide_to_models(lake: Lake) -> None:
    run_all(lake, blocks(DOCS / "models.md"))
    wrong = []
    for heading, (case, sql, result) in table_of(DOCS / "models.md", "What a call gives"):
        assert heading == "What a call gives"
        found, refused = lake._said(
            f"SELECT {sql.strip('`')} AS r" + (" FROM flights" if "carrier" in sql else "")
        )
        given = found[0].partition(":")[0] if refused else found[-1].strip()
        if given != result.strip("`"):
            wrong.append(f"{case}: {sql} is {given}, the document says {result}")
    assert not wrong, "\n".join(wrong)


def test_the_sql_reference_runs_every_statement_of_ours() -> None:
    texts = [sql for b in blocks(DOCS / "sql.md") if b.language == "sql" for sql in statements(b.text)]
    seen: set[type] = set()
    for sql in texts:
        with contextlib.suppress(ScoterError):
            seen |= {type(node) for node in parse(sql, 1 << 20).walk()}
    kinds = {
        kind for kind in vars(ours).values() if isinstance(kind, type) and issubclass(kind, ours.Statement)
    }
    assert {k.__name__ for k in kinds - {ours.Statement} - seen} == set()


def test_roles_of_statements(lake: Lake) -> None:
    reader = InProcess(lake.session.engine, Principal("ada", Role.READER))
    writer = InProcess(lake.session.engine, Principal("bob", Role.WRITER))
    samples = {
        "INSERT INTO": "INSERT INTO airlines VALUES ('a', 'b')",
        "MERGE INTO": "MERGE INTO airlines AS t USING airlines AS s ON t.carrier = s.carrier WHEN MATCHED THEN DELETE",
        "UPDATE": "UPDATE airlines SET name = 'x'",
        "DELETE FROM": "DELETE FROM airlines",
        "CREATE TABLE": "CREATE TABLE x (a INTEGER)",
        "CREATE TABLE … AS": "CREATE TABLE x AS SELECT 1 AS a",
        "DROP TABLE": "DROP TABLE airlines",
        "CREATE VIEW": "CREATE VIEW x AS SELECT 1 AS a",
        "ALTER VIEW": "ALTER VIEW x RENAME TO y",
        "DROP VIEW": "DROP VIEW x",
        "CREATE SCHEMA": "CREATE SCHEMA x",
        "DROP SCHEMA": "DROP SCHEMA x",
        "COMMENT ON": "COMMENT ON TABLE airlines IS 'x'",
        "CREATE MODEL": "CREATE MODEL x FROM ?",
        "ALTER MODEL": "ALTER MODEL x DROP ALIAS y",
        "DROP MODEL": "DROP MODEL x",
        "COMMENT ON MODEL": "COMMENT ON MODEL x IS 'y'",
        "CALL system.register_table": "CALL system.register_table('x', '/x')",
    }
    seen = set()
    for heading, (names, _, role) in table_of(DOCS / "sql.md", "Statements"):
        for name in re.findall(r"`([^`]+)`", names):
            if role == "reader":
                continue
            seen.add(name)
            for session in (reader, writer):
                may = role == "writer" and session is writer
                if not may:
                    with pytest.raises(Refused, match="42501"):
                        session.query(samples[name])
        assert heading
    assert seen == set(samples)


def test_types_as_they_are_stored_and_sent(lake: Lake) -> None:
    rows = [cells for _, cells in table_of(DOCS / "sql.md", "Types")]
    for sql, *rest in (cells for cells in rows if len(cells) == 3):
        name, stored, sent = sql.strip("`"), rest[0].strip("`"), rest[1].strip("`")
        found = lake.session.query(f"SELECT CAST(NULL AS {name}) AS a").schema.field("a")
        # Clients do not see how the parts of a map are called.
        assert str(found.type).replace(" ('element')", "") == sent, name
        if stored == "—":
            with pytest.raises(Refused, match="42804"):
                lake.session.query(f"CREATE TABLE typed (a {name})")
        else:
            lake.session.query(f"CREATE TABLE typed (a {name})")
            table = lake.session.engine.lake.load(TableName("lake", "main", "typed"))
            assert short(table.schema().find_type("a")) == stored, name
            lake.session.query("DROP TABLE typed")


def short(kind: IcebergType) -> str:
    """Return an Iceberg type without its field ids.

    >>> short(ListType(1, StringType()))
    'list<string>'
    """
    match kind:
        case ListType():
            return f"list<{short(kind.element_type)}>"
        case MapType():
            return f"map<{short(kind.key_type)}, {short(kind.value_type)}>"
        case StructType():
            return f"struct<{', '.join(f'{f.name}: optional {short(f.field_type)}' for f in kind.fields)}>"
    return str(kind)


def test_types_as_they_are_read() -> None:
    rows = [
        cells for _, cells in table_of(DOCS / "sql.md", "Types") if len(cells) == 2 and cells[0] != "Iceberg"
    ]
    assert len(rows) > 10
    for iceberg, sql in rows:
        kind = IcebergType.handle_primitive_type(iceberg.strip("`"), lambda text: text)
        assert duckdb_type(kind) == sql.strip("`")


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Scalar functions", functions.SCALARS),
        ("Aggregate functions", functions.AGGREGATES),
        ("Window functions", functions.WINDOWS),
        ("Table functions", functions.TABLE_FUNCTIONS),
    ],
)
def test_functions_are_listed(heading: str, names: frozenset[str]) -> None:
    (listed,) = [b.text.split() for b in blocks(DOCS / "sql.md") if b.heading == heading]
    assert listed == sorted(names)


def test_session_settings_are_listed() -> None:
    listed = [cells[0].strip("`") for _, cells in table_of(DOCS / "sql.md", "The session")]
    assert listed == list(SETTINGS)


def test_columns_that_are_added_are_listed() -> None:
    added = [
        (cells[0].strip("`"), cells[1]) for _, cells in table_of(DOCS / "sql.md", "Rows that were added")
    ]
    assert added == list(changes.COLUMNS)
    hidden = {cells[0].strip("`"): cells[1] for _, cells in table_of(DOCS / "sql.md", "Hidden columns")}
    assert hidden == {name: duckdb_type(field.field_type) for name, field in HIDDEN.items()}


def test_metadata_tables_are_listed_with_their_columns(tmp_path: Path) -> None:
    listed = {cells[0].strip("`"): cells for _, cells in table_of(DOCS / "sql.md", "Metadata tables")}
    assert set(listed) == METADATA_TABLES
    assert {name for name, cells in listed.items() if cells[2] == "yes"} == OF_A_SNAPSHOT
    with in_process(tmp_path) as engine:
        session = InProcess(engine)
        session.query("CREATE TABLE t (a INTEGER) PARTITIONED BY (a)")
        for name, cells in listed.items():
            columns = listed[cells[3][4:-1]][3] if cells[3].startswith("as ") else cells[3]
            # Of a nested type the kind is told.
            found = [(c, re.sub(r"\(.*\)", "", k)) for c, k, *_ in session.rows(f"DESCRIBE t.{name}")]
            assert re.findall(r"`(\w+)` ([A-Z]+(?:\[\])?)", columns) == found, name


def conditions() -> set[tuple[str, str]]:
    """Return SQLSTATE and condition of every error that is raised."""
    found = set()
    waiting: list[type[ScoterError]] = [ScoterError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.add((kind.sqlstate, kind.condition))
    return found


def test_every_condition_has_its_section() -> None:
    listed = [tuple(h.split()) for h in headings(DOCS / "errors.md") if re.fullmatch(r"\w{5} [A-Z_]+", h)]
    assert len(set(listed)) == len(listed)
    assert set(listed) == conditions()


def errors_document() -> list[Block]:
    """Return the blocks of errors.md; each example has the code and the condition of its section."""
    found = blocks(DOCS / "errors.md")
    for block in found:
        if "error" in block.options:
            assert block.heading.startswith(block.options["error"] + " "), block.where
            block.options["error"] = block.heading.replace(" ", "] ")
    return found


def test_every_example_of_an_error(tmp_path: Path, model_files: Path) -> None:
    with opened(tmp_path, model_files) as lake:
        lake.session.query(f"CREATE MODEL late FROM '{model_files}/late_v1.onnx'")
        run_all(lake, errors_document())


@pytest.mark.parametrize("driver", ["adbc", pytest.param("jdbc", marks=pytest.mark.java)])
def test_errors_reach_clients_whole(driver: str, tmp_path: Path, model_files: Path) -> None:
    with opened(tmp_path, model_files) as lake:
        lake.session.query(f"CREATE MODEL late FROM '{model_files}/late_v1.onnx'")
        wrong = []
        with drivers[driver](lake.here(ADDRESS)) as run:
            for block in (b for b in errors_document() if b.language == "sql"):
                for sql in statements(block.text):
                    told = run(lake.here(sql))
                    wanted = block.options.get("error")
                    if (wanted is None) is not (told is None) or (told and f"[{wanted}: " not in told):
                        wrong.append(f"{block.where}: {wanted} expected\n{sql}\n{told}")
                    if told and (str(tmp_path) in told or "Traceback" in told or "Query id " not in told):
                        wrong.append(f"{block.where}: {told}")
        assert not wrong, "\n\n".join(wrong)


@contextlib.contextmanager
def over_adbc(address: str) -> Iterator[Callable[[str], str | None]]:
    """Give a function that runs a statement and returns its error's text, None where there is none."""
    session = OverTheWire(address)

    def run(sql: str) -> str | None:
        try:
            session.query(sql)
        except Refused as refused:
            return str(refused)
        return None

    try:
        yield run
    finally:
        session.close()


@contextlib.contextmanager
def over_jdbc(address: str) -> Iterator[Callable[[str], str | None]]:
    """Give the same with the JDBC driver."""
    with java.connection(address) as connection:
        refused = java.jvm().JClass("java.sql.SQLException")

        def run(sql: str) -> str | None:
            statement = connection.createStatement()
            try:
                if statement.execute(sql):
                    java.rows(statement.getResultSet())
            except refused as error:
                return str(error.getMessage())
            finally:
                statement.close()
            return None

        yield run


drivers = {"adbc": over_adbc, "jdbc": over_jdbc}


def test_the_modules_that_architecture_names() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    for name in set(re.findall(r"`(scoter(?:\.\w+)+)`", text)):
        assert importlib.util.find_spec(name) is not None, name
    for path in set(re.findall(r"`(scoter/[\w/.]+)`", text)):
        assert (ROOT / path).is_file(), path
    stages = (ROOT / "scoter" / "engine" / "pipeline.py").read_text("utf-8").split('"""')[1]
    drawn = [" ".join(line.split()) for line in stages.splitlines() if "→" in line or "↘" in line]
    (shown_,) = [b.text for b in blocks(DOCS / "architecture.md")]
    assert [" ".join(line.split()) for line in shown_.splitlines()] == drawn
    rules = {p.stem for p in (ROOT / "scoter" / "engine" / "rules").glob("[a-z]*.py")}
    assert set(re.findall(r"`scoter\.engine\.rules\.(\w+)`", text)) == rules
    packages = {p.parent.name for p in (ROOT / "scoter").glob("*/__init__.py")}
    listed = {cells[0].strip("`") for _, cells in table_of(DOCS / "architecture.md", "The rooms")}
    assert listed == {f"scoter.{name}" for name in packages | {"errors", "settings", "suggestions"}}


def test_tags_and_branches_are_read(tmp_path: Path) -> None:
    with in_process(tmp_path) as engine:
        session = InProcess(engine)
        session.query("CREATE TABLE t AS SELECT 1 AS a")
        session.query("INSERT INTO t VALUES (2)")
        table = engine.lake.load(TableName("lake", "main", "t"))
        first = table.snapshots()[0].snapshot_id
        table.manage_snapshots().create_tag(first, "one").create_branch(first, "side").commit()
        for version, rows in (
            ("'one'", [(1,)]),
            ("'side'", [(1,)]),
            ("'main'", [(1,), (2,)]),
            (first, [(1,)]),
        ):
            assert session.rows(f"SELECT a FROM t FOR VERSION AS OF {version} ORDER BY a") == rows, version
