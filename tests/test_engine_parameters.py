"""Parameters: their types are known when a statement is planned, and any value comes through unchanged."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from sessions import InProcess, bound, opened, row
from slt import Refused, written

MODELS = ("pair", "vote", "mixed")
FLOAT, DOUBLE, TEXT = pa.float32(), pa.float64(), pa.string()
INT, BIGINT = pa.int32(), pa.int64()


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files: Path):
    directory = tmp_path_factory.mktemp("lake")
    with opened(directory, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        session.update(
            "CREATE TABLE t (id INTEGER, n BIGINT, x DOUBLE, p DECIMAL(9, 2), s VARCHAR, d DATE, "
            "ts TIMESTAMP, tz TIMESTAMPTZ, l VARCHAR[])"
        )
        session.update(
            "INSERT INTO t VALUES "
            "(1, 10, 1.5, 2.50, 'a', '2024-01-01', '2024-01-01 10:00:00', '2024-01-01 10:00:00Z', ['u']), "
            "(2, 20, 2.5, 3.50, 'b', '2024-02-01', '2024-02-01 10:00:00', '2024-02-01 10:00:00Z', ['v', 'w']), "
            "(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
        for name in MODELS:
            inputs = " INPUT (p FLOAT, q FLOAT)" if name == "vote" else ""
            session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'{inputs}")
        yield session


def moment(text: str) -> dt.datetime:
    """Return a timestamp without a zone."""
    return dt.datetime.fromisoformat(text)


def refused(session: InProcess, sql: str, *values: object) -> str:
    with pytest.raises(Refused) as caught:
        session.query(sql, bound(*values) if values else None)
    return str(caught.value)


# (statement, parameter types, values, rows)
INFERRED = [
    ("SELECT id FROM t WHERE id = ?", [INT], (1,), [(1,)]),
    ("SELECT id FROM t WHERE ? = id", [INT], (2,), [(2,)]),
    ("SELECT id FROM t WHERE d >= ?", [pa.date32()], (dt.date(2024, 1, 15),), [(2,)]),
    ("SELECT id FROM t WHERE d < ? AND n > ?", [pa.date32(), BIGINT], (dt.date(2024, 1, 15), 5), [(1,)]),
    ("SELECT id FROM t WHERE ts > ?", [pa.timestamp("us")], (moment("2024-01-15 01:02:03"),), [(2,)]),
    ("SELECT id FROM t WHERE s = ?", [TEXT], ("a",), [(1,)]),
    ("SELECT id FROM t WHERE s LIKE ?", [TEXT], ("b%",), [(2,)]),
    ("SELECT id FROM t WHERE p = ?", [pa.decimal128(9, 2)], (decimal.Decimal("3.5"),), [(2,)]),
    ("SELECT id FROM t WHERE x BETWEEN ? AND ? ORDER BY id", [DOUBLE, DOUBLE], (1, 2), [(1,)]),
    ("SELECT id FROM t WHERE id IN (?, ?) ORDER BY id", [INT, INT], (2, 3), [(2,), (3,)]),
    ("SELECT id FROM t WHERE id NOT IN (?, 3) ORDER BY id", [INT], (2,), [(1,)]),
    (
        "SELECT id FROM t WHERE (id, s) IN ((?, ?), (?, ?)) ORDER BY id",
        [INT, TEXT] * 2,
        (1, "a", 2, "b"),
        [(1,), (2,)],
    ),
    (
        "SELECT id FROM t WHERE (id, d) NOT IN ((?, ?)) AND id < 3",
        [INT, pa.date32()],
        (1, dt.date(2024, 1, 1)),
        [(2,)],
    ),
    ("SELECT id FROM t WHERE (?, s) = (id, ?)", [INT, TEXT], (1, "a"), [(1,)]),
    ("SELECT id FROM t WHERE (?, ?) IN ((id, s))", [INT, TEXT], (1, "a"), [(1,)]),
    ("SELECT id FROM t WHERE row(id, s) IN (row(?, ?))", [INT, TEXT], (1, "a"), [(1,)]),
    ("SELECT id FROM t WHERE (id, (x)) >= ((?, (?))) ORDER BY id", [INT, DOUBLE], (2, 0.0), [(2,), (3,)]),
    ("SELECT id FROM t ORDER BY id LIMIT ?", [BIGINT], (2,), [(1,), (2,)]),
    ("SELECT id FROM t ORDER BY id LIMIT ? OFFSET ?", [BIGINT, BIGINT], (1, 1), [(2,)]),
    ("SELECT id + ? FROM t WHERE id = 1", [INT], (5,), [(6,)]),
    ("SELECT ? * x FROM t WHERE id = 1", [DOUBLE], (2.0,), [(3.0,)]),
    (
        "SELECT d - INTERVAL (?) DAY FROM t WHERE id = 2",
        [DOUBLE],
        (1,),
        [(moment("2024-01-31 00:00:00"),)],
    ),
    ("SELECT coalesce(s, ?) FROM t WHERE id = 3", [TEXT], ("none",), [("none",)]),
    ("SELECT CASE WHEN id = ? THEN ? ELSE s END FROM t WHERE id = 1", [INT, TEXT], (1, "hit"), [("hit",)]),
    ("SELECT CAST(? AS INTEGER) + 1", [INT], (4,), [(5,)]),
    ("SELECT ?::DOUBLE", [DOUBLE], (4.5,), [(4.5,)]),
    ("SELECT upper(?)", [TEXT], ("x",), [("X",)]),
    ("SELECT substring(s || 'bcd', ?, ?) FROM t WHERE id = 1", [BIGINT, BIGINT], (2, 2), [("bc",)]),
    ("SELECT count(*) FROM t GROUP BY s IS NULL HAVING count(*) > ?", [BIGINT], (1,), [(2,)]),
    ("SELECT id FROM t WHERE id = (SELECT max(id) FROM t WHERE n < ?)", [BIGINT], (15,), [(1,)]),
    ("WITH q AS (SELECT id FROM t WHERE s = ?) SELECT id FROM q WHERE id < ?", [TEXT, INT], ("b", 9), [(2,)]),
    ("FROM t SELECT id, ?::INTEGER WHERE s = ?", [INT, TEXT], (7, "b"), [(2, 7)]),
    (
        """SELECT CAST(? AS VARCHAR) FROM t AS a JOIN t AS b ON b.id = a.id AND b.s = ? WHERE a.n > ? GROUP BY a.id HAVING count(*) < ? ORDER BY max(a.x) + ? LIMIT ? OFFSET ?""",
        [TEXT, TEXT, BIGINT, BIGINT, DOUBLE, BIGINT, BIGINT],
        ("first", "b", 5, 2, 0.5, 1, 0),
        [("first",)],
    ),
    (
        """SELECT (SELECT max(s) FROM t WHERE id = ?), s FROM (SELECT * FROM t WHERE id > ?) AS q WHERE id < ?
        UNION ALL SELECT CAST(? AS VARCHAR), s FROM t WHERE s = ?""",
        [INT, INT, INT, TEXT, TEXT],
        (1, 1, 3, "last", "a"),
        [("a", "b"), ("last", "a")],
    ),
    ("SELECT a.id FROM t AS a JOIN t AS b ON a.id = b.id AND b.s = ?", [TEXT], ("b",), [(2,)]),
    ("SELECT id FROM t WHERE list_contains(l, ?)", [TEXT], ("v",), [(2,)]),
    ("SELECT id FROM t WHERE s IS NOT DISTINCT FROM ?", [TEXT], ("a",), [(1,)]),
    ("SELECT id FROM t WHERE s = ? OR ? IS NULL ORDER BY id", None, (), None),
    (
        "SELECT id FROM t WHERE date_trunc('month', ts) = ?",
        [pa.timestamp("us")],
        (moment("2024-02-01 00:00:00"),),
        [(2,)],
    ),
    (
        "SELECT id FROM t WHERE id = $1 OR id = $2 OR id = $1 + 1 ORDER BY id",
        [INT, INT],
        (1, 3),
        [(1,), (2,), (3,)],
    ),
    ("SELECT PREDICT('pair', ?, ?)", [FLOAT, FLOAT], (1, 2), [(21.0,)]),
    ("SELECT PREDICT('pair', id, ?) FROM t WHERE id < 3 ORDER BY 1", [FLOAT], (1,), [(11.0,), (12.0,)]),
    ("SELECT id FROM t WHERE PREDICT('pair', id, 0) > ? ORDER BY id", [FLOAT], (1.5,), [(2,), (3,)]),
    (
        "SELECT PREDICT('mixed', ?, ?, ?, ?)",
        [TEXT, BIGINT, pa.bool_(), DOUBLE],
        ("é", 1, True, 0.5),
        [("é",)],
    ),
    (
        "SELECT PREDICT('vote', {p: CAST(? AS FLOAT), q: CAST(? AS FLOAT)})",
        [FLOAT, FLOAT],
        (2, 1),
        [("yes",)],
    ),
    ("SELECT PREDICT_PROBA('vote', ?, ?, class => 'yes')", [FLOAT, FLOAT], (1, 1), [(0.5,)]),
]


@pytest.mark.parametrize(("sql", "types", "values", "rows"), INFERRED, ids=[case[0] for case in INFERRED])
def test_types_are_known_when_planned(lake: InProcess, sql, types, values, rows) -> None:
    if types is None:
        # Nothing says what `? IS NULL` compares.
        assert "[42P18]" in refused(lake, sql)
        return
    plan = lake.engine.plan(sql, lake.context)
    assert plan.parameters.types == types
    assert lake.rows(sql, *values) == rows
    # The same statement with other values, all NULL: no row of a comparison, and no error.
    if "LIMIT" not in sql and "INTERVAL" not in sql:
        lake.rows(sql, *[pa.scalar(None, kind) for kind in types])


def test_types_are_known_of_many_at_once(lake: InProcess) -> None:
    known = [
        case for case in INFERRED if case[1] is not None and "$" not in case[0] and "LIMIT" not in case[0]
    ]
    together = ", ".join(f"EXISTS ({sql})" for sql, *_ in known)
    plan = lake.engine.plan(f"SELECT {together}", lake.context)
    assert plan.parameters.types == [kind for _, types, *_ in known for kind in types]


def test_types_of_many_take_few_plans(lake: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    serialise, asked = lake.engine._binder.serialise, []
    monkeypatch.setattr(
        lake.engine._binder, "serialise", lambda query: asked.append(query) or serialise(query)
    )
    values = list(range(100))
    assert lake.rows(f"SELECT {', '.join('? + 0' for _ in values)}", *values) == [tuple(values)]
    assert len(asked) < 10


GIVEN = [
    ("Oslo", 1, True, 0.5),
    ("'; DROP TABLE t; --", -(2**63), False, -0.0),
    ('$1 ? "', 2**63 - 1, True, float("inf")),
    ("", 0, False, 5e-324),
    ("日本", 7, True, 0.1),
]


@pytest.mark.parametrize(
    "call", ["PREDICT_ALL('mixed', ?, ?, ?, ?)", "PREDICT_ALL('mixed', {city: ?, n: ?, 'on': ?, w: ?})"]
)
def test_a_prepared_call_is_the_same_sql_for_all_values(lake: InProcess, call: str) -> None:
    given = [pa.array(column) for column in zip(*GIVEN, strict=True)]
    sql = f"SELECT {call} AS all_of_it, 'X' AS x"
    plans = []
    for place, values in enumerate(GIVEN):
        batch = pa.RecordBatch.from_arrays([column.slice(place, 1) for column in given], list("1234"))
        assert lake.query(sql, batch).to_pylist() == [
            {"all_of_it": dict(zip(("text", "n_out", "on_out", "w_out"), values, strict=True)), "x": "X"}
        ]
        plans.append(lake.engine.plan(sql, lake.context, parameters=batch))
    assert len({plan.sql for plan in plans}) == 1
    assert [plan.values for plan in plans] == GIVEN
    # NULL in, NULL out; and then the next value is not NULL.
    (nothing,) = lake.query(sql, bound(*[pa.scalar(None, column.type) for column in given])).to_pylist()
    assert nothing["all_of_it"] is None
    assert lake.query(sql, bound(*GIVEN[0])).column("all_of_it").null_count == 0


def test_values_of_a_prepared_call_are_checked_and_explained(lake: InProcess) -> None:
    sql = "SELECT PREDICT('pair', ?, ?)"
    assert lake.rows(sql, 1, 2) == [(21.0,)]
    assert "[42804]" in refused(lake, sql, "many", 2)
    assert "[07001]" in refused(lake, sql, 1)
    assert "[07001]" in refused(lake, sql)
    with pytest.raises(Refused, match=r"\[07001\]"):
        lake.query(sql, pa.RecordBatch.from_pydict({"1": [1, 2], "2": [3, 4]}))
    for explain in ("EXPLAIN", "EXPLAIN ANALYZE"):
        assert "main.pair version 1" in str(lake.rows(f"{explain} {sql}", 1, 2))
    assert lake.rows(sql, 2, 2) == [(22.0,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT PREDICT('pair', ?, (SELECT max(id) FROM t))",
        "SELECT PREDICT('pair', ?, 0) FROM t WHERE id = 3",
        "SELECT PREDICT('pair', ?, 0) LIMIT 1",
        "SELECT PREDICT('pair', q.a, 0) FROM (SELECT CAST(? AS FLOAT) AS a) AS q",
        "SELECT PREDICT('pair', ?, 0) UNION ALL SELECT 3.0 LIMIT 1",
        "SELECT PREDICT('pair', ?, 0) WHERE true",
        "SELECT PREDICT('pair', ?, unnest([0]))",
        "SELECT PREDICT('pair', ?, CAST(epoch(now()) * 0 AS FLOAT))",
    ],
)
def test_values_of_calls_in_larger_queries(lake: InProcess, sql: str) -> None:
    for value in (1.0, 2.0):
        expected = value + (30 if "max" in sql else 0)
        assert lake.rows(sql, value) == [(expected,)]


def test_values_of_a_call_beside_much_are_not_held(lake: InProcess) -> None:
    """What DuckDB binds itself is held whole: only a query that certainly has one row may be asked so."""
    for sql in (
        "SELECT PREDICT('pair', ?, 0), unnest(range(3))",
        "SELECT PREDICT('pair', ?, 0), repeat('x', 3)",
        "SELECT PREDICT('pair', ?, 0), list_transform([1, 2], x -> x)",
    ):
        plan = lake.engine.plan(sql, lake.context, parameters=bound(1.0))
        assert plan.values is None, sql
    assert lake.engine.plan("SELECT PREDICT('pair', ?, 0)", lake.context, parameters=bound(1.0)).values == (
        1.0,
    )


def test_a_type_that_can_not_be_known_is_said(lake: InProcess) -> None:
    for sql in ("SELECT ?", "SELECT ? + ?", "SELECT ? FROM t", "SELECT [?]", "SELECT ? IS NULL"):
        text = refused(lake, sql, *[1] * sql.count("?"))
        assert "[42P18] UNKNOWN_PARAMETER_TYPE" in text, sql
        assert "CAST" in text
        assert "(1:" in text


def test_the_model_of_a_call_is_no_parameter(lake: InProcess) -> None:
    assert "[0A000]" in refused(lake, "SELECT PREDICT(?, 1, 2)", "pair")


def test_arguments_of_calls_follow_the_rules_of_constants(lake: InProcess) -> None:
    for value in ("1", [1.0], b"1"):
        assert refused(lake, "SELECT PREDICT('pair', ?, 0)", value).startswith(("[42804]", "[22023]"))
    # A text is no number and a number no truth value; whole numbers are rounded to floats, but a fraction is not lost.
    call = "SELECT PREDICT('mixed', ?, ?, ?, ?)"
    assert lake.rows(call, "x", 5, True, 1.5) == lake.rows(call, "x", 5.0, True, 1.5)
    for at, value in ((0, 5), (1, "5"), (2, 1), (2, "true"), (3, "1.5")):
        given = ["x", 5, True, 1.5]
        given[at] = value
        assert refused(lake, call, *given).startswith("[42804] TYPE_MISMATCH"), (at, value)
    assert refused(lake, call, "x", 5.5, True, 1.5).startswith("[22023]")
    pair = "SELECT PREDICT('pair', ?, 0)"
    assert lake.value(pair, 16777217) == lake.value("SELECT PREDICT('pair', 16777217, 0)")
    assert refused(lake, pair, 1e39).startswith("[22003]")
    assert refused(lake, "SELECT PREDICT('pair', {b: ?, a: 0})", 1e39).startswith("[22003]")
    assert lake.value(pair, float("inf")) == float("inf")


def test_a_number_that_is_too_large_is_no_infinity(lake: InProcess) -> None:
    for sql in ("SELECT CAST(? AS FLOAT)", "SELECT ?::FLOAT[]", "SELECT * FROM t WHERE x::FLOAT = ?"):
        value: object = [0.0, -1e39] if "[]" in sql else -1e39
        assert refused(lake, sql, value).startswith("[22003] NUMERIC_OUT_OF_RANGE"), sql
    assert lake.value("SELECT CAST(? AS FLOAT)", float("-inf")) == float("-inf")
    batch = pa.RecordBatch.from_arrays([pa.array([float("inf")]).dictionary_encode()], ["1"])
    assert lake.query("SELECT CAST($1 AS DOUBLE) AS x", batch)["x"][0].as_py() == float("inf")
    lake.update("CREATE TABLE IF NOT EXISTS narrow (f FLOAT)")
    assert refused(lake, "INSERT INTO narrow VALUES (?)", 1e39).startswith("[22003]")
    assert lake.value("SELECT count(*) FROM narrow") == 0


@pytest.mark.parametrize(
    ("call", "given"), [("'pair', ?", 1), ("'pair', ?, ?, ?", 3), ("'pair', 1, 2, ?", 3)]
)
def test_a_call_with_another_number_of_parameters_says_so(lake: InProcess, call: str, given: int) -> None:
    text = refused(lake, f"SELECT PREDICT({call})")
    assert f"takes 2 arguments, {given} are given (1:8)" in text
    assert text.startswith("[42883] WRONG_ARGUMENTS")


def test_the_number_of_values_is_checked(lake: InProcess) -> None:
    sql = "SELECT id FROM t WHERE id = ? AND s = ?"
    assert "[07001]" in refused(lake, sql, 1)
    assert "[07001]" in refused(lake, sql, 1, "a", 2)
    assert "[07001]" in refused(lake, "SELECT 1 AS a", 1)
    assert "[07001]" in refused(lake, sql)
    two = pa.RecordBatch.from_pydict({"1": [1, 2], "2": ["a", "b"]})
    with pytest.raises(Refused, match=r"\[07001\]"):
        lake.query(sql, two)


def test_values_that_do_not_fit(lake: InProcess) -> None:
    for sql, value in (
        ("SELECT id FROM t WHERE id = ?", "many"),
        ("SELECT id FROM t WHERE id = ?", 2**40),
        ("SELECT id FROM t WHERE id = ?", [1]),
        ("SELECT id FROM t WHERE d = ?", "not a day"),
        ("SELECT id FROM t ORDER BY id LIMIT ?", -1),
    ):
        text = refused(lake, sql, value)
        assert text[:3] in {"[22", "[42"}, f"{sql} with {value!r}: {text}"


def test_texts_are_values_and_never_sql(lake: InProcess) -> None:
    for text in ("'", "''; DROP TABLE t; --", '"', "\\", "\x00a", "?", "$1", "a\nb", "日本", ""):
        assert lake.rows("SELECT CAST(? AS VARCHAR)", text) == [(text,)]
        assert lake.rows("SELECT id FROM t WHERE s = ?", text) == []
    assert lake.value("SELECT count(*) FROM t") == 3


VALUES = [
    ("BOOLEAN", pa.bool_(), [True, False]),
    ("TINYINT", pa.int8(), [-128, 127]),
    ("SMALLINT", pa.int16(), [-(2**15), 2**15 - 1]),
    ("INTEGER", pa.int32(), [-(2**31), 2**31 - 1]),
    ("BIGINT", pa.int64(), [-(2**63), 2**63 - 1]),
    ("UTINYINT", pa.uint8(), [0, 255]),
    ("UINTEGER", pa.uint32(), [0, 2**32 - 1]),
    ("UBIGINT", pa.uint64(), [0, 2**64 - 1]),
    ("FLOAT", pa.float32(), [1.5, -0.0, float("inf"), 3.4028234663852886e38]),
    ("DOUBLE", pa.float64(), [0.1, 5e-324, -1.7976931348623157e308, float("-inf"), float("nan")]),
    ("DECIMAL(38, 10)", pa.decimal128(38, 10), [decimal.Decimal("-1234567890123456789012345678.0123456789")]),
    ("VARCHAR", pa.string(), ["", "Hà Nội", "it's"]),
    ("BLOB", pa.binary(), [b"", b"\x00\xff'"]),
    ("DATE", pa.date32(), [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]),
    ("TIME", pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999)]),
    ("TIMESTAMP", pa.timestamp("us"), [moment("0001-01-01 00:00:00"), moment("2024-02-29 01:02:03.000004")]),
    (
        "TIMESTAMPTZ",
        pa.timestamp("us", tz="UTC"),
        [dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC), dt.datetime(1900, 1, 1, tzinfo=dt.UTC)],
    ),
    ("TIMESTAMP_NS", pa.timestamp("ns"), [pa.scalar(1709168523123456789, pa.timestamp("ns"))]),
    ("UUID", pa.string(), [str(uuid.UUID(int=5))]),
    ("INTERVAL", pa.month_day_nano_interval(), [pa.MonthDayNano([1, -2, 3000])]),
    ("INTEGER[]", pa.list_(pa.int32()), [[], [1, None, 3]]),
    ("VARCHAR[][]", pa.list_(pa.list_(pa.string())), [[["a"], [], None]]),
    (
        "STRUCT(a INTEGER, b VARCHAR)",
        pa.struct([("a", pa.int32()), ("b", pa.string())]),
        [{"a": 1, "b": "x"}, {"a": None, "b": None}],
    ),
    (
        "MAP(VARCHAR, DOUBLE)",
        pa.map_(pa.string(), pa.float64()),
        [[], [("k", 1.5), ("n", None)]],
    ),
    (
        "STRUCT(d DATE, l STRUCT(x DECIMAL(5, 1))[])",
        pa.struct([("d", pa.date32()), ("l", pa.list_(pa.struct([("x", pa.decimal128(5, 1))])))]),
        [{"d": dt.date(2024, 1, 1), "l": [{"x": decimal.Decimal("1.5")}, None]}],
    ),
]


# Unsigned integers leave as the next wider signed type.
SENT = {"UTINYINT": pa.int16(), "UINTEGER": pa.int64(), "UBIGINT": pa.decimal128(20, 0)}


@pytest.mark.parametrize(("kind", "arrow", "values"), VALUES, ids=[case[0] for case in VALUES])
def test_every_type_comes_back_as_it_was_bound(lake: InProcess, kind, arrow, values) -> None:
    sql = f"SELECT CAST(? AS {kind})"
    assert lake.engine.plan(sql, lake.context).parameters.types == [arrow]
    for value in [*values, None]:
        scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value, arrow)
        found = lake.query(sql, bound(scalar))
        assert found.schema.types == [SENT.get(kind, arrow)]
        assert written(found.column(0)[0]) == written(scalar)


@pytest.mark.parametrize(
    "scalar",
    [
        pa.scalar(7, pa.int8()),
        pa.scalar(7.0, pa.float64()),
        pa.scalar("7", pa.string()),
        pa.scalar("7", pa.large_string()),
        pa.scalar(decimal.Decimal(7), pa.decimal128(3, 0)),
        pa.array(["7"]).dictionary_encode()[0],
    ],
    ids=lambda scalar: str(scalar.type),
)
def test_values_of_other_types_are_cast(lake: InProcess, scalar) -> None:
    assert lake.rows("SELECT CAST(? AS INTEGER)", scalar) == [(7,)]


def test_a_timestamp_without_zone_is_utc_for_a_driver_that_knows_no_zones(lake: InProcess) -> None:
    lake.update("SET timezone = 'Asia/Tokyo'")
    try:
        bound_moment = pa.scalar(moment("2024-01-01 10:00:00"), pa.timestamp("ms"))
        assert lake.rows("SELECT id FROM t WHERE tz = ?", bound_moment) == [(1,)]
    finally:
        lake.update("RESET timezone")


def test_named_parameters(lake: InProcess) -> None:
    sql = "SELECT id FROM t WHERE id >= $low AND id <= $high AND $low > 0 ORDER BY id"
    plan = lake.engine.plan(sql, lake.context)
    assert plan.parameters.names == ["low", "high"]
    assert lake.query(sql, row(low=2, high=3)).column(0).to_pylist() == [2, 3]
    assert lake.query(sql, row(high=3, low=2)).column(0).to_pylist() == [2, 3]


def test_a_write_takes_any_number_of_rows(lake: InProcess) -> None:
    lake.update("CREATE TABLE w (id INTEGER NOT NULL, s VARCHAR, p DECIMAL(9, 2), l INTEGER[])")
    insert = "INSERT INTO w VALUES (?, ?, ?, ?)"
    assert lake.engine.plan(insert, lake.context).parameters.types == [
        INT, TEXT, pa.decimal128(9, 2), pa.list_(INT),
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pydict(
        {
            "1": pa.array(range(1000), pa.int64()),
            "2": pa.array([f"'{i}" if i % 3 else None for i in range(1000)]),
            "3": pa.array([decimal.Decimal(i) / 4 for i in range(1000)], pa.decimal128(9, 2)),
            "4": pa.array([[i, None] for i in range(1000)], pa.list_(pa.int32())),
        }
    )
    assert lake.update(insert, batch) == 1000
    assert lake.rows("SELECT count(*), count(s), sum(p), sum(l[1])::BIGINT FROM w") == [
        (1000, 666, decimal.Decimal("124875.00"), 499500)
    ]
    assert lake.value('SELECT count(*) FROM "w$snapshots"') == 1
    # Rows of which one is wrong: nothing is stored.
    wrong = pa.RecordBatch.from_pydict({"1": [1, None]})
    with pytest.raises(Refused, match=r"\[23502\]"):
        lake.update("INSERT INTO w (id) VALUES (?)", wrong)
    assert lake.update("INSERT INTO w (s, id) VALUES (upper(?), ? + 1)", bound("x", 5000)) == 1
    assert lake.rows("SELECT * FROM w WHERE id > 4000") == [(5001, "X", None, None)]
    assert lake.update("INSERT INTO w VALUES (?, ?, NULL, NULL), (?, 'z', NULL, NULL)", bound(1, "y", 2)) == 2
    assert lake.update("INSERT INTO w SELECT ?, s, p, l FROM w WHERE id = ?", bound(9000, 5001)) == 1
    assert lake.value("SELECT s FROM w WHERE id = 9000") == "X"
    empty = batch.slice(0, 0)
    assert lake.update(insert, empty) == 0


def test_scored_rows_from_bound_rows(lake: InProcess) -> None:
    lake.update("CREATE TABLE scored (id INTEGER, s FLOAT)")
    rows = pa.RecordBatch.from_pydict({"1": [1, 2, 3], "2": [0.0, 1.0, None]})
    assert lake.update("INSERT INTO scored VALUES (?, PREDICT('pair', 1, ?))", rows) == 3
    assert lake.rows("SELECT * FROM scored ORDER BY id") == [(1, 1.0), (2, 11.0), (3, None)]


def test_explain_and_describe_take_parameters(lake: InProcess) -> None:
    sql = "EXPLAIN SELECT id FROM t WHERE d >= ?"
    assert lake.engine.plan(sql, lake.context).parameters.types == [pa.date32()]
    shown = lake.rows(sql, dt.date(2024, 1, 1))
    assert any("lake.main.t" in value for _, value in shown)
    assert lake.rows("DESCRIBE SELECT id + ? AS n FROM t", 1)[0][:2] == ("n", "INTEGER")


def test_a_model_file_is_bound(lake: InProcess, model_files: Path) -> None:
    data = (model_files / "city.onnx").read_bytes()
    plan = lake.engine.plan("CREATE MODEL uploaded FROM ?", lake.context)
    assert plan.parameters.types == [pa.binary()]
    lake.query("CREATE MODEL uploaded FROM ?", bound(data))
    assert lake.value("SELECT PREDICT('uploaded', 'Rome')") == 2.0
    assert "INVALID_MODEL" in refused(lake, "CREATE MODEL broken FROM ?", data[: len(data) // 2])
    assert lake.value("SELECT count(*) FROM system.model_versions WHERE model_name = 'broken'") == 0
