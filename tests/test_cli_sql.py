"""`scoter sql`: formats, scripts, errors, and both kinds of targets."""

from __future__ import annotations

import io
import json
import signal
import time
from pathlib import Path

import flight_sql
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from command import Command, start

from scoter.cli.console import printable
from scoter.cli.sessions import from_text
from scoter.cli.splitting import is_complete, split
from scoter.cli.tables import fitting, shared
from scoter.errors import InternalError, InvalidSyntax, Span, UndefinedTable

TYPES = """
SELECT 1 AS i, 9007199254740993 AS big, 0.1::FLOAT AS f, 0.1 AS d, 'nan'::DOUBLE AS nan,
       1.10::DECIMAL(10, 2) AS price, 'é"\n,' AS text, true AS yes, NULL::INTEGER AS nothing,
       DATE '2013-01-31' AS day, TIMESTAMPTZ '2013-01-31 05:00:00.25+00' AS at, TIME '05:00' AS clock,
       '\\x00\\xFF'::BLOB AS bytes, INTERVAL '2 days' AS span, [1, NULL] AS list,
       {'a': 0.1::FLOAT, 'b': 2.50::DECIMAL(4, 2)} AS row, MAP {'k': 'nan'::DOUBLE} AS map
"""


@pytest.fixture
def scoter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def test_json_keeps_every_value(scoter: Command, tmp_path: Path) -> None:
    line = scoter.well("sql", tmp_path / "lake", "-c", TYPES, "--format", "json")
    assert '"price": 1.10,' in line, "a decimal keeps its digits"
    assert '"f": 0.1,' in line, "a float is as short as it can be"
    assert json.loads(line) == {
        "i": 1,
        "big": 9007199254740993,
        "f": 0.1,
        "d": 0.1,
        "nan": "NaN",
        "price": 1.1,
        "text": 'é"\n,',
        "yes": True,
        "nothing": None,
        "day": "2013-01-31",
        "at": "2013-01-31 05:00:00.25+00:00",
        "clock": "05:00:00",
        "bytes": "\\x00ff",
        "span": "2 days",
        "list": [1, None],
        "row": {"a": 0.1, "b": 2.5},
        "map": {"k": "NaN"},
    }


def test_csv_tells_null_from_an_empty_text(scoter: Command, tmp_path: Path) -> None:
    sql = "SELECT '' AS a, NULL::VARCHAR AS b, 1.5 AS c, [1, 2] AS d, 'x,\"y' AS e"
    out = scoter.well("sql", tmp_path / "lake", "-c", sql, "--format", "csv")
    assert out == '"a","b","c","d","e"\n"",,1.5,"[1, 2]","x,""y"\n'


def test_csv_of_every_type_is_read_back(scoter: Command, tmp_path: Path) -> None:
    out = scoter.well("sql", tmp_path / "lake", "-c", TYPES, "--format", "csv")
    options = pcsv.ParseOptions(newlines_in_values=True)
    (row,) = pcsv.read_csv(io.BytesIO(out.encode()), parse_options=options).to_pylist()
    assert row["text"] == 'é"\n,'
    assert row["bytes"] == "\\x00ff"
    assert row["map"] == '{"k": "NaN"}'


def test_parquet_keeps_types_and_all_rows(scoter: Command, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    sql = "SELECT range AS n, range::DECIMAL(10, 2) AS d, [range] AS l FROM range(200000)"
    scoter.well("sql", tmp_path / "lake", "-c", sql, "-o", file)
    table = pq.read_table(file)
    assert table.num_rows == 200_000
    assert table.schema.types[:2] == [pa.int64(), pa.decimal128(10, 2)]
    assert table.column("l")[7].as_py() == [7]


def test_a_failed_statement_leaves_no_file(scoter: Command, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    sql = "SELECT CASE WHEN range < 90000 THEN 1 ELSE error('stop')::INTEGER END FROM range(100000)"
    ended = scoter("sql", tmp_path / "lake", "-c", sql, "-o", file)
    assert ended.code == 1
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.csv"]


def test_a_table_shows_null_numbers_to_the_right_and_how_many_rows_there_are(
    scoter: Command, tmp_path: Path
) -> None:
    sql = "SELECT range AS n, CASE WHEN range > 0 THEN 'x' END AS t FROM range(1200)"
    lines = scoter.well("sql", tmp_path / "lake", "-c", sql, "--rows", 12).splitlines()
    assert lines[0] == "╭────┬──────╮"
    assert lines[1] == "│  n │ t    │"
    assert lines[3:5] == ["│  0 │ NULL │", "│  1 │ x    │"]
    assert lines[-1] == "1,200 rows · the first 12 shown"
    assert len(lines) == 12 + 5


def test_data_can_not_steer_the_terminal(scoter: Command, tmp_path: Path) -> None:
    out = scoter.well("sql", tmp_path / "lake", "-c", "SELECT 'a' || chr(27) || '[31m' AS t")
    assert "\x1b" not in out
    assert "a\\x1b[31m" in out
    assert printable("a\nb\tc") == "a⏎b⇥c"


def test_widths_leave_numbers_whole() -> None:
    assert shared([10, 40, 60], [10, 8, 8], 60) == [10, 25, 25]
    assert shared([5, 5], [5, 5], 3) == [5, 5]
    assert fitting([10] * 3, 80) == [0, 1, 2]
    assert fitting([10] * 20, 60) == [0, 1, 18, 19]
    assert fitting([500], 80) == [0]


def test_statements_of_a_script_run_in_order(scoter: Command, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text(
        "-- a comment; with a semicolon\nCREATE TABLE t AS SELECT 'a;b' AS x;\n"
        "INSERT INTO t SELECT $$ ; $$;\n/* ; */ SELECT count(*) AS n FROM t;"
    )
    out = scoter.well("sql", tmp_path / "lake", "-c", "SELECT 1 AS a", "-f", script)
    assert [line for line in out.splitlines() if "row" in line or line == "ok"] == [
        "1 row",
        "1 row written",
        "1 row written",
        "1 row",
    ]


def test_splitting_keeps_texts_names_and_comments() -> None:
    script = "select ';' ;; -- ;\n select \"a;b\" /* ; */;\n\nselect 3"
    pieces = split(script)
    assert [piece.line for piece in pieces] == [1, 1, 4]
    assert [piece.sql for piece in pieces[::2]] == ["select ';'", "select 3"]
    assert pieces[1].sql.endswith('select "a;b" /* ; */')
    assert split("  -- nothing\n;;") == []
    assert not is_complete("select ';")
    assert is_complete("select 1; -- done")
    with pytest.raises(InvalidSyntax, match="ends inside"):
        split("select 'a")


def test_an_error_shows_its_place_and_hint_and_never_a_traceback(scoter: Command, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    scoter.well("sql", lake, "-c", "CREATE TABLE flights (n INTEGER)")
    ended = scoter("sql", lake, "-c", "SELECT 1;\nSELECT *\n  FROM flihgts")
    assert ended.code == 1
    assert ended.out.count("│ 1 │") == 2, "what stands before the error was done"
    lines = ended.err.splitlines()
    assert lines[0].startswith("error: [42P01] UNDEFINED_TABLE: ")
    assert lines[1:3] == ["  2:   FROM flihgts", "            ^"]
    assert 'did you mean "flights"?' in lines[3]
    assert "Traceback" not in ended.err


def test_the_statements_after_an_error_do_not_run(scoter: Command, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ended = scoter("sql", lake, "-c", "SELECT nope", "-c", "CREATE TABLE t (n INTEGER)")
    assert ended.code == 1
    assert "0 rows" in scoter.well("sql", lake, "-c", "SHOW TABLES")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://127.0.0.1:1"], "is no address"),
        (["grpc://127.0.0.1:1"], "no server answers at grpc://127.0.0.1:1"),
        (["{tmp}/full"], "there is no lake"),
        (["{tmp}/full/file"], "is a file"),
        (["{tmp}/new", "-f", "{tmp}/none.sql"], "can not be read"),
        (["{tmp}/new", "-o", "{tmp}/no/such/file.csv"], "can not be written"),
        (["{tmp}/new", "--user", "anna"], "--user is for servers"),
    ],
)
def test_what_can_not_be_used_exits_with_2(
    scoter: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    ended = scoter("sql", *filled, *([] if "-f" in filled else ["-c", "SELECT 1"]))
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_an_unknown_setting_exits_with_2(
    scoter: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOTER_SERVER__PROT", "1")
    ended = scoter("sql", tmp_path / "lake", "-c", "SELECT 1")
    assert ended.code == 2
    assert "SCOTER_SERVER__PROT" in ended.err


def test_a_server_gives_the_same_as_a_directory(scoter: Command, tmp_path: Path) -> None:
    with flight_sql.served(tmp_path) as running:
        remote = scoter.well("sql", running.address, "-c", TYPES, "--format", "json")
        script = "CREATE TABLE t AS SELECT 7 AS n; INSERT INTO t VALUES (8), (9); USE lake.main; SELECT 1"
        wrote = scoter.well("sql", running.address, "-c", script)
        failed = scoter("sql", running.address, "-c", "SELECT m FROM t")
    local = scoter.well("sql", tmp_path / "other", "-c", TYPES, "--format", "json")
    assert remote == local
    assert [line for line in wrote.splitlines() if line[0] not in "╭│├╰"] == [
        "1 row written",
        "2 rows written",
        "ok",
        "1 row",
    ]
    assert failed.code == 1
    assert failed.err.splitlines()[0] == 'error: [42703] UNDEFINED_COLUMN: column "m" does not exist'
    assert failed.err.splitlines()[2] == "         ^"


def test_a_login_takes_the_password_from_the_environment(
    scoter: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOTER_PASSWORD", "s3cret pass")
    scoter.well("user", "add", "anna", "--role", "reader", "--lake", tmp_path / "lake")
    with flight_sql.served(tmp_path) as running:
        nobody = scoter("sql", running.address, "-c", "SELECT 1")
        out = scoter.well("sql", running.address, "--user", "anna", "-c", "SELECT 1 AS one")
        denied = scoter("sql", running.address, "--user", "anna", "-c", "CREATE TABLE t (n INTEGER)")
        monkeypatch.setenv("SCOTER_PASSWORD", "wrong")
        wrong = scoter("sql", running.address, "--user", "anna", "-c", "SELECT 1")
    assert "one" in out
    for ended in (nobody, wrong):
        assert (ended.code, "[28000] AUTHENTICATION_FAILED" in ended.err) == (1, True), ended.err
    assert "[42501] PERMISSION_DENIED" in denied.err


def test_errors_of_a_server_are_read_from_the_drivers_text() -> None:
    query_id = "a" * 32
    found = from_text(
        "UNKNOWN: [FlightSQL] [42P01] UNDEFINED_TABLE: table x (y) does not exist (3:15). "
        f'Hint: did you mean "t"? Query id {query_id}. Detail: Failed (Unknown; Prepare)'
    )
    assert isinstance(found, UndefinedTable)
    assert (found.message, found.hint) == ("table x (y) does not exist", 'did you mean "t"?')
    assert (found.span, found.query_id) == (Span(3, 15), query_id)
    bare = from_text("[FlightSQL] [XX000] INTERNAL_ERROR: a (b). (Unknown; DoGet: endpoint 0: [])")
    assert isinstance(bare, InternalError)
    assert bare.message == "a (b)"
    assert from_text("connection error: desc = refused (Unavailable; Prepare)") is None


LONG = "SELECT count(*) FROM range(1000000000) a(i), range(1000) b(j) WHERE i * j % 7 = 3"


def test_ctrl_c_ends_a_statement_at_once(tmp_path: Path) -> None:
    with flight_sql.served(tmp_path) as running:
        for target in (running.address, tmp_path / "other"):
            process = start("sql", target, "-c", "SELECT 1", "-c", LONG)
            while "1 row" not in (process.stdout.readline()):
                assert process.poll() is None
            time.sleep(0.5)
            asked = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
            assert time.monotonic() - asked < 15
            assert process.returncode == 130
            assert "[57014] CANCELLED" in err
            assert "Traceback" not in err
        assert flight_sql.wait_for(lambda: running.engine.instances.running == 0)


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    process = start("sql", tmp_path / "lake", "-c", "SELECT range FROM range(2000000)", "--format", "csv")
    assert process.stdout.readline() == '"range"\n'
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == f"a new lake is made in {tmp_path / 'lake'}\n"
    process.stdin.close()
    process.stderr.close()


def test_standard_input_is_a_script(tmp_path: Path) -> None:
    process = start("sql", tmp_path / "lake", "--format", "csv")
    out, _ = process.communicate("SELECT 1 AS a;\nSELECT 2 AS b", timeout=30)
    assert out == '"a"\n1\n"b"\n2\n'
