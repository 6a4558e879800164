"""Parameters: types found from the statement, and values of every type through ADBC and JDBC."""

import contextlib
import datetime as dt
import decimal
import uuid

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import java
import proofs
import pyarrow as pa
import pytest
from flight_sql import served
from proofs import proves
from sessions import InProcess, bound
from slt import Refused

D = decimal.Decimal
DATE, STAMP = "date32[day]", "timestamp[us]"


@pytest.fixture(scope="module")
def lake(tmp_path_factory, model_files):
    # The JVM starts before the server does: it takes over the handling of signals.
    directory = tmp_path_factory.mktemp("parameters")
    with served(directory, models={"allowed_prefixes": [str(model_files)]}) as running:
        session = InProcess(running.engine)
        session.update(
            "CREATE TABLE t (id INTEGER, n BIGINT, x DOUBLE, p DECIMAL(9, 2), s VARCHAR, d DATE, ts TIMESTAMP, "
            "tz TIMESTAMPTZ, l VARCHAR[], st STRUCT(a INTEGER, b VARCHAR), m MAP(VARCHAR, DOUBLE), b BOOLEAN, "
            "u UUID, bl BLOB, tm TIME)"
        )
        session.update(
            "INSERT INTO t VALUES (1, 10, 1.5, 2.50, 'a', '2024-01-01', '2024-01-01 10:00:00', "
            "'2024-01-01 10:00:00Z', ['u'], {'a': 1, 'b': 'x'}, MAP {'k': 1.0}, true, "
            "'00000000-0000-0000-0000-000000000001', 'a'::BLOB, '10:00:00')"
        )
        session.update("CREATE TABLE w (id INTEGER, s VARCHAR, d DATE)")
        session.update(f"CREATE MODEL pair FROM '{model_files}/pair.onnx'")
        yield running


@pytest.fixture(scope="module")
def session(lake):
    return InProcess(lake.engine)


# Types


FOUND = [
    ("d >= ?", DATE),
    ("d BETWEEN ? AND ?", DATE, DATE),
    ("id IN (?, ?)", "int32", "int32"),
    ("? IN (id, n)", "int64"),
    ("(id, s) = (?, ?)", "int32", "string"),
    ("(id, s) IN ((?, ?), (?, ?))", "int32", "string", "int32", "string"),
    ("id = ANY(?)", "list<element: int32>"),
    ("list_contains(?, id)", "list<element: int32>"),
    ("? = ANY(l)", "string"),
    ("l = ?", "list<element: string>"),
    ("st = ?", "struct<a: int32, b: string>"),
    ("st.a = ?", "int32"),
    ("m = ?", "map<string, double>"),
    ("m[?] = 1", "string"),
    ("tz BETWEEN ? AND ?", "timestamp[us, tz=UTC]", "timestamp[us, tz=UTC]"),
    ("tm > ?", "time64[us]"),
    ("u = ?", "string"),
    ("bl = ?", "binary"),
    ("b AND ?", "bool"),
    ("s LIKE ?", "string"),
    ("s LIKE '%' || ? || '%'", "string"),
    ("s ILIKE concat(?, '%')", "string"),
    ("d >= ? - INTERVAL 7 DAY", DATE),
    ("ts < ? + INTERVAL (?) HOUR", STAMP, "double"),
    ("d >= current_date - INTERVAL ? DAY", "double"),
    ("d - INTERVAL (?) DAY < ts", "double"),
    ("d + to_days(?) > d", "int64"),
    ("id = (? + ?)", "int32", "int32"),
    ("d = coalesce(?, ?)", DATE, DATE),
    ("ts >= date_trunc('month', ?)", STAMP),
    ("ts >= date_trunc(?, ts)", "string"),
    ("date_diff('day', d, ?) > 1", DATE),
    ("date_diff('day', ?, ts) > 1", STAMP),
    ("strftime(ts, ?) = ?", "string", "string"),
    ("ts AT TIME ZONE ? > tz", "string"),
    ("CASE id WHEN ? THEN 'a' ELSE s END = ?", "int32", "string"),
    ("CASE WHEN id > ? THEN x ELSE ? END > 1", "int32", "double"),
    ("if(id = ?, ?, s) = 'a'", "int32", "string"),
    ("nullif(id, ?) IS NULL", "int32"),
    ("greatest(x, ?) > least(x, ?)", "double", "double"),
    ("($1 IS NULL OR s = $1)", "string"),
    ("s = $2 OR id = $1 OR s = $2", "int32", "string"),
    ("id IN ($1,$2) AND s <> $3||$3", "int32", "int32", "string"),
    ("n > ALL (SELECT n FROM t WHERE id < ?)", "int32"),
    ("PREDICT('pair', id, x) BETWEEN ? AND ?", "float", "float"),
    ("PREDICT('pair', ?, x) IN (?, 2)", "float", "float"),
    ("PREDICT('pair', {a: ?, b: ?}) > 0", "float", "float"),
]
WHOLE = [
    ("SELECT id FROM t LIMIT ?", "int64"),
    ("SELECT id FROM t ORDER BY id LIMIT ? OFFSET ?", "int64", "int64"),
    ("SELECT id FROM t ORDER BY id FETCH FIRST ? ROWS ONLY", "int64"),
    # A sum is a HUGEINT, a decimal on the wire; an integer is what drivers bind to it.
    ("SELECT s FROM t GROUP BY s HAVING sum(n) > ?", "int64"),
    ("SELECT sum(n) FILTER (WHERE id > ?) FROM t", "int32"),
    ("SELECT string_agg(s, ?) FROM t", "string"),
    ("SELECT lag(n, ?) OVER (ORDER BY id) FROM t", "int64"),
    ("SELECT concat(s, ?) FROM t", "string"),
    ("SELECT count(*) FROM range(?)", "int64"),
    ("SELECT unnest(range(?))", "int64"),
    ("INSERT INTO w VALUES (?, ?, ?)", "int32", "string", DATE),
    ("INSERT INTO w (s, id) VALUES (?, ?), (?, 2)", "string", "int32", "string"),
    ("INSERT INTO w VALUES (? + 1, upper(?), coalesce(?, DATE '2020-01-01'))", "int32", "string", DATE),
    ("INSERT INTO w VALUES (CASE WHEN ? THEN ? ELSE ? END, ?, ?)", "bool", "int32", "int32", "string", DATE),
    ("INSERT INTO w SELECT id, ?, d FROM t WHERE s = ?", "string", "string"),
    ("INSERT INTO w SELECT id, s, ? FROM t UNION ALL SELECT ?, ?, ?", DATE, "int32", "string", DATE),
    ("INSERT INTO w BY NAME SELECT ? AS s, ? AS id", "string", "int32"),
    (
        "INSERT INTO w BY NAME SELECT ? AS d, coalesce(?, 'x') AS S UNION ALL SELECT ?, 'y'",
        DATE,
        "string",
        DATE,
    ),
    ("INSERT INTO w SELECT ?, * FROM (SELECT s, d FROM t)", "int32"),
    ("CREATE TABLE z AS SELECT id FROM t WHERE s = ?", "string"),
]
CASES = [(f"SELECT count(*) FROM t WHERE {case[0]}", *case[1:]) for case in FOUND] + WHOLE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_types_are_found(session, case):
    sql, *wanted = case
    plan = session.engine.plan(sql, session.context)
    assert [str(kind) for kind in plan.parameters.types] == wanted
    if sql.startswith("SELECT") and "LIMIT" not in sql and "FETCH" not in sql:
        # NULLs of these types can be run.
        nulls = [pa.scalar(None, kind) for kind in plan.parameters.types]
        values = ["month" if "date_trunc(?" in sql else "UTC" if "ZONE" in sql else null for null in nulls]
        session.rows(sql, *values)


# (statement, line:column of the parameter)
OPEN = [
    ("SELECT ?", "1:8"),
    ("SELECT id, ? AS x FROM t", "1:12"),
    ("SELECT id FROM t WHERE ? IS NULL OR s = ?", "1:24"),
    ("SELECT d - ? FROM t", "1:12"),
    ("SELECT d + ? FROM t", "1:12"),
    ("SELECT id FROM t WHERE d >= current_date - ?", "1:44"),
    ("SELECT round(?, 2)", "1:14"),
    ("SELECT date_trunc('month', ?)", "1:28"),
    ("SELECT {'a': ?}", "1:14"),
    ("SELECT [?, ?]", "1:9"),
    ("SELECT unnest(?)", "1:15"),
    ("SELECT CASE WHEN id = ? THEN ? ELSE ? END FROM t", "1:30"),
    ("SELECT id FROM t WHERE ? = ?", "1:24"),
    ("SELECT id FROM t UNION ALL SELECT ?", "1:35"),
    ("CREATE TABLE z AS SELECT ? AS s", "1:26"),
    ("INSERT INTO w SELECT *, ? FROM (SELECT id, s FROM t)", "1:25"),
]


@pytest.mark.parametrize(("sql", "place"), OPEN, ids=[case[0] for case in OPEN])
def test_a_cast_is_asked_for_where_a_type_would_be_a_guess(session, sql, place):
    with pytest.raises(Refused) as refused:
        session.query(sql, bound(1))
    text = str(refused.value)
    assert text.startswith("[42P18] UNKNOWN_PARAMETER_TYPE: ")
    assert f"({place})" in text
    assert "AS type)" in text
    if " - ?" in sql or " + ?" in sql:
        assert "INTERVAL (?) DAY" in text


def test_values_go_by_name(session):
    session.update("CREATE TABLE named (id INTEGER, s VARCHAR, d DATE)")
    day = dt.date(2020, 2, 29)
    assert session.update("INSERT INTO named BY NAME SELECT ? AS d, ? AS s", bound(day, "x")) == 1
    assert session.rows("SELECT * FROM named") == [(None, "x", day)]


def test_what_else_is_wrong_is_said_first(session):
    with pytest.raises(Refused, match=r'\[42703\] UNDEFINED_COLUMN: .*"nothing"'):
        session.query("SELECT nothing FROM t WHERE ? IS NULL", bound(1))


def test_values_are_not_rounded_to_a_type_that_nobody_wrote(session):
    for where, value in (
        ("p = ?", D("2.504")),
        ("p = ?", 2.504),
        ("id = ?", D("1.5")),
        ("id = ?", 1.5),
        ("d = ?", dt.datetime(2024, 1, 1, 10)),  # noqa: DTZ001  # a TIMESTAMP has no zone
    ):
        with pytest.raises(Refused, match=r"\[22023\] INVALID_VALUE: .*CAST\(\? AS type\)"):
            session.query(f"SELECT id FROM t WHERE {where}", bound(value))
    midnight = dt.datetime(2024, 1, 1)  # noqa: DTZ001  # as above
    for where, value in (("p = ?", D("2.500")), ("p = ?", 2.5), ("id = ?", D("1.0")), ("d = ?", midnight)):
        assert session.rows(f"SELECT id FROM t WHERE {where}", value) == [(1,)]
    # A cast and the column of an INSERT do say how to round.
    assert session.value("SELECT CAST(? AS DECIMAL(9, 2))", D("2.504")) == D("2.50")


# Values over ADBC

UTC2 = dt.timezone(dt.timedelta(hours=2))
MOMENT = dt.datetime(2020, 2, 29, 1, 2, 3, 4)  # noqa: DTZ001  # a TIMESTAMP has no zone
UUID5 = "00000000-0000-0000-0000-000000000005"
# (SQL type, value as Python has it, value that comes back; the same one where it is left out)
ADBC_VALUES = [
    ("BOOLEAN", True),
    ("TINYINT", -128),
    ("SMALLINT", 1),
    ("INTEGER", 2**31 - 1),
    ("BIGINT", -(2**63)),
    ("BIGINT", "5", 5),
    ("UTINYINT", 255),
    ("UBIGINT", D(2**64 - 1), 2**64 - 1),
    ("HUGEINT", D(10**37)),
    ("FLOAT", 1.5),
    ("DOUBLE", 5e-324),
    ("DECIMAL(9, 2)", D("1.25")),
    ("DECIMAL(9, 2)", "1.25", D("1.25")),
    ("DECIMAL(38, 10)", D("0.1"), D("0.1000000000")),
    ("VARCHAR", "it's 漢\x00"),
    ("UUID", UUID5),
    ("UUID", uuid.UUID(int=5), UUID5),
    ("ENUM('a', 'b')", "b"),
    ("JSON", '{"a": 1}'),
    ("UNION(n INTEGER, s VARCHAR)", "a", '{"s":"a"}'),
    ("BLOB", b"\x00\xff"),
    ("BIT", "101"),
    ("DATE", dt.date(1, 1, 1)),
    ("DATE", "2020-02-29", dt.date(2020, 2, 29)),
    ("TIME", dt.time(23, 59, 59, 999999)),
    ("TIME", "01:02:03.5", dt.time(1, 2, 3, 500000)),
    ("TIMETZ", "01:02:03+02"),
    ("TIMESTAMP", MOMENT),
    ("TIMESTAMP_S", MOMENT.replace(microsecond=0)),
    ("TIMESTAMP_MS", MOMENT.replace(microsecond=5000)),
    ("TIMESTAMP_NS", MOMENT),
    ("TIMESTAMPTZ", MOMENT.replace(tzinfo=UTC2)),
    ("INTERVAL", pa.MonthDayNano([1, -2, 3000])),
    ("INTERVAL", dt.timedelta(days=1, seconds=2), pa.MonthDayNano([0, 0, 86_402_000_000_000])),
    ("INTEGER[]", [1, None, 3]),
    ("INTEGER[]", []),
    ("INTEGER[3]", [1, 2, 3]),
    ("VARCHAR[][]", [["a"], None, []]),
    ("TIMESTAMPTZ[]", [MOMENT.replace(tzinfo=dt.UTC), None]),
    ("DECIMAL(9, 2)[]", [D("1.25"), None]),
    ("STRUCT(a INTEGER, b VARCHAR)", {"b": "x", "a": 1}, {"a": 1, "b": "x"}),
    ("STRUCT(a INTEGER, l STRUCT(d DATE)[])", {"a": None, "l": [{"d": dt.date(2020, 1, 1)}, None]}),
    ("MAP(VARCHAR, DOUBLE)", pa.scalar([("k", 1.5)], pa.map_(pa.string(), pa.float64())), [("k", 1.5)]),
]


@pytest.fixture(scope="module")
def cursor(lake):
    with adbc.connect(lake.address, autocommit=True) as connection, connection.cursor() as made:
        yield made


@proves("ADBC", "Parameters of every type, arrays and structs too")
@proves("ADBC", "Parameters that are NULL")
@pytest.mark.parametrize("case", ADBC_VALUES, ids=lambda case: f"{case[0]} {type(case[1]).__name__}")
def test_values_over_adbc(cursor, case):
    kind, given, *other = case
    wanted = other[0] if other else given
    cursor.execute(f"SELECT CAST(? AS {kind}) AS v, CAST($1 AS {kind}) AS w", [given])
    ((found, again),) = cursor.fetchall()
    assert found == again == wanted
    cursor.execute(f"SELECT CAST(? AS {kind}) AS v", [None])
    assert cursor.fetchall() == [(None,)]


ARROW = [
    ("VARCHAR", pa.array(["x"], pa.large_string()), "x"),
    ("VARCHAR", pa.array(["x"], pa.string_view()), "x"),
    ("VARCHAR", pa.array(["x"]).dictionary_encode(), "x"),
    ("VARCHAR", pa.array(["{}"], pa.json_()), "{}"),
    ("UUID", pa.array([uuid.UUID(int=5)], pa.uuid()), UUID5),
    ("BLOB", pa.array([b"abcd"], pa.binary(4)), b"abcd"),
    ("BLOB", pa.array([b"x"], pa.binary_view()), b"x"),
    ("INTEGER[]", pa.array([[1]], pa.large_list(pa.int32())), [1]),
    ("INTEGER[]", pa.array([[1]], pa.list_(pa.int64(), 1)), [1]),
    ("DECIMAL(9, 2)", pa.array([D("1.25")], pa.decimal256(40, 2)), D("1.25")),
    ("DECIMAL(9, 2)", pa.array([D("1.25")], pa.decimal64(10, 2)), D("1.25")),
    ("FLOAT", pa.array([1.5], pa.float16()), 1.5),
    ("DATE", pa.array([dt.date(2020, 1, 1)], pa.date64()), dt.date(2020, 1, 1)),
    ("TIME", pa.array([dt.time(1, 2, 3)], pa.time32("ms")), dt.time(1, 2, 3)),
    ("INTEGER", pa.array([None], pa.null()), None),
    ("INTEGER", pa.RunEndEncodedArray.from_arrays([1], [5]), 5),
]


@pytest.mark.parametrize(("kind", "array", "wanted"), ARROW, ids=lambda part: str(getattr(part, "type", "")))
def test_arrow_values_of_other_types_are_cast(cursor, kind, array, wanted):
    cursor.execute(f"SELECT CAST(? AS {kind})", pa.RecordBatch.from_arrays([array], ["1"]))
    assert cursor.fetchall() == [(wanted,)]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("BIGINT", pa.array([5.5])),
        ("TINYINT", pa.array([300])),
        ("DECIMAL(9, 2)", pa.array([D("12345678901.2")])),
        ("INTEGER[]", pa.array([[1]], pa.list_view(pa.int32()))),
        ("UUID[]", pa.ListArray.from_arrays([0, 1], pa.array([uuid.UUID(int=5)], pa.uuid()))),
        ("MAP(VARCHAR, DOUBLE)", pa.array([{"k": 1.5}])),
        ("INTERVAL", pa.array(["3 days"])),
    ],
    ids=lambda part: str(getattr(part, "type", part)),
)
def test_values_that_do_not_fit_are_refused(cursor, kind, given):
    with pytest.raises(adbc_driver_manager.Error, match=r"\[22023\] INVALID_VALUE: .*parameter 1"):  # noqa: PT012  # either call may be the one that is refused
        cursor.execute(f"SELECT CAST(? AS {kind})", pa.RecordBatch.from_arrays([given], ["1"]))
        cursor.fetchall()


# Values over JDBC

MOMENT_MS = "2020-02-29 01:02:03.004"


def sql_type(name):
    return java.jvm().JClass("java.sql." + name)


def decimal_of(text):
    return java.jvm().JClass("java.math.BigDecimal")(text)


def array_of(name, *values):
    return lambda connection: connection.createArrayOf(
        name, java.jvm().JArray(java.jvm().JClass("java.lang.Object"))(list(values))
    )


# (SQL type, setter, value, what comes back as text)
JDBC_VALUES = [
    ("BOOLEAN", "setBoolean", lambda: True, "true"),
    ("TINYINT", "setByte", lambda: java.jvm().JByte(-128), "-128"),
    ("SMALLINT", "setShort", lambda: java.jvm().JShort(5), "5"),
    ("INTEGER", "setInt", lambda: 2**31 - 1, "2147483647"),
    ("INTEGER", "setLong", lambda: 5, "5"),
    ("BIGINT", "setLong", lambda: -(2**63), "-9223372036854775808"),
    ("BIGINT", "setBigDecimal", lambda: decimal_of("5"), "5"),
    ("UTINYINT", "setInt", lambda: 255, "255"),
    ("UINTEGER", "setLong", lambda: 4_000_000_000, "4000000000"),
    ("UBIGINT", "setLong", lambda: 2**63 - 1, "9223372036854775807"),
    ("HUGEINT", "setBigDecimal", lambda: decimal_of("9" * 38), "9" * 38),
    ("FLOAT", "setFloat", lambda: java.jvm().JFloat(1.5), "1.5"),
    ("DOUBLE", "setDouble", lambda: 0.1, "0.1"),
    ("DOUBLE", "setInt", lambda: 1, "1.0"),
    ("DECIMAL(9, 2)", "setBigDecimal", lambda: decimal_of("1.25"), "1.25"),
    ("VARCHAR", "setString", lambda: "it's 漢", "it's 漢"),
    ("UUID", "setString", lambda: UUID5, UUID5),
    ("ENUM('a', 'b')", "setString", lambda: "b", "b"),
    ("JSON", "setString", lambda: '{"a":1}', '{"a":1}'),
    ("BIT", "setString", lambda: "101", "101"),
    ("TIMETZ", "setString", lambda: "01:02:03+02", "01:02:03+02"),
    ("BLOB", "setBytes", lambda: java.jvm().JArray(java.jvm().JByte)([1, -1]), r"\x01\xFF"),
    ("DATE", "setDate", lambda: sql_type("Date").valueOf("2020-02-29"), "2020-02-29"),
    ("TIME", "setTime", lambda: sql_type("Time").valueOf("01:02:03"), "01:02:03"),
    ("TIMESTAMP", "setTimestamp", lambda: sql_type("Timestamp").valueOf(MOMENT_MS), MOMENT_MS),
    ("TIMESTAMP_NS", "setTimestamp", lambda: sql_type("Timestamp").valueOf(MOMENT_MS), MOMENT_MS),
    ("TIMESTAMPTZ", "setTimestamp", lambda: sql_type("Timestamp").valueOf(MOMENT_MS), MOMENT_MS + "+00"),
    ("INTEGER[]", "setArray", lambda: array_of("INTEGER", java.jvm().JInt(1), None), "[1, NULL]"),
    ("VARCHAR[]", "setArray", lambda: array_of("VARCHAR", "a", ""), "[a, '']"),
    ("VARCHAR[][]", "setArray", lambda: array_of("VARCHAR"), "[]"),
    ("DECIMAL(9, 2)[]", "setArray", lambda: array_of("DECIMAL", decimal_of("1.25")), "[1.25]"),
    (
        "TIMESTAMP[]",
        "setArray",
        lambda: array_of("TIMESTAMP", sql_type("Timestamp").valueOf(MOMENT_MS)),
        f"['{MOMENT_MS}']",
    ),
]
# (SQL type, setter, value, where it is refused): "driver" or "server"
JDBC_REFUSED = [
    # Without the wider types that it is told, the driver would write 44, 5 and 255.
    ("TINYINT", "setInt", lambda: 300, "server"),
    ("INTEGER", "setLong", lambda: 2**32 + 5, "server"),
    ("UTINYINT", "setInt", lambda: -1, "server"),
    ("DECIMAL(9, 2)", "setBigDecimal", lambda: decimal_of("1.5"), "driver: the scale must be the column's"),
    ("DECIMAL(9, 2)", "setDouble", lambda: 1.25, "driver: only setBigDecimal"),
    ("DECIMAL(9, 2)", "setLong", lambda: 1, "driver: only setBigDecimal"),
    ("INTEGER", "setString", lambda: "5", "driver: no text for numbers"),
    ("DATE", "setString", lambda: "2020-02-29", "driver: no text for dates"),
    ("INTERVAL", "setString", lambda: "3 days", "driver: no intervals"),
    ("STRUCT(a INTEGER)", "setString", lambda: "{}", "driver: no structs"),
    ("MAP(VARCHAR, INTEGER)", "setString", lambda: "{}", "driver: no maps"),
]


@pytest.fixture(scope="module")
def connection(lake):
    with java.connection(lake.address) as made:
        yield made


def jdbc_value(connection, kind, setter, value):
    """Bind a value twice and return it as the server writes it as text."""
    prepared = connection.prepareStatement(
        f"SELECT CAST(CAST(? AS {kind}) AS VARCHAR), CAST($1 AS {kind}) IS NULL"
    )
    try:
        getattr(prepared, setter)(1, *(value if isinstance(value, tuple) else (value,)))
        ((found, _),) = java.rows(prepared.executeQuery())
    finally:
        prepared.close()
    return found


@pytest.mark.java
@proves("JDBC", "Parameters of every type, arrays and structs too", "all but INTERVAL, STRUCT and MAP")
def shown(part: object) -> str:
    """Return what names a case; each process of the tests must come to the same."""
    return "value" if callable(part) else str(part)[:30]


@pytest.mark.parametrize(("kind", "setter", "value", "text"), JDBC_VALUES, ids=shown)
def test_values_over_jdbc(connection, kind, setter, value, text):
    given = value()
    assert jdbc_value(connection, kind, setter, given(connection) if setter == "setArray" else given) == text


@pytest.fixture(scope="module")
def refusing(lake):
    # Where the driver itself refuses a value it keeps the memory of it, and says so when it is closed.
    with contextlib.suppress(Exception), java.connection(lake.address) as made:
        yield made


@pytest.mark.java
@pytest.mark.parametrize(("kind", "setter", "value", "where"), JDBC_REFUSED, ids=shown)
def test_values_that_jdbc_can_not_bind(refusing, kind, setter, value, where):
    wanted = r"\[22023\] INVALID_VALUE" if where == "server" else "not yet supported|scale must equal"
    with pytest.raises(Exception, match=wanted):
        jdbc_value(refusing, kind, setter, value())


@pytest.mark.java
@proves("JDBC", "Parameters that are NULL")
def test_nulls_of_every_type_over_jdbc(connection):
    for kind in sorted({case[0] for case in (*JDBC_VALUES, *JDBC_REFUSED)}):
        assert jdbc_value(connection, kind, "setNull", (0,)) is None


@pytest.mark.java
def test_what_jdbc_is_told_of_parameters(connection):
    prepared = connection.prepareStatement("SELECT id FROM t WHERE ts > ? AND p = ? AND s = ?")
    about = prepared.getParameterMetaData()
    types = [int(about.getParameterType(i)) for i in (1, 2, 3)]
    assert types == [93, 3, 12]
    assert "Decimal(9, 2" in str(about.getParameterTypeName(2))
    # The driver knows more and does not say it.
    assert (about.getPrecision(2), about.getScale(2)) == (0, 0)
    prepared.close()


@pytest.mark.java
def test_the_driver_moves_times_by_the_zone_of_its_jvm(connection):
    # It writes the clock time as if it were UTC: a JVM whose zone is not UTC sends other instants.
    zones = java.jvm().JClass("java.util.TimeZone")
    before = zones.getDefault()
    zones.setDefault(zones.getTimeZone("Asia/Tokyo"))
    try:
        moment = sql_type("Timestamp").valueOf("2020-02-29 01:02:03")
        assert jdbc_value(connection, "TIMESTAMPTZ", "setTimestamp", moment) == "2020-02-29 10:02:03+00"
    finally:
        zones.setDefault(before)


@pytest.mark.java
def test_the_document_says_what_jdbc_binds():
    rows: dict[str, list[list[str]]] = {}
    for kind, setter, _, _ in JDBC_VALUES:
        rows.setdefault(kind, [[], []])[0].append(f"`{setter}`")
    for kind, setter, _, where in JDBC_REFUSED:
        if where != "server":
            rows.setdefault(kind, [[], []])[1].append(f"`{setter}` ({where.removeprefix('driver: ')})")
    proofs.check_table(
        "jdbc parameters",
        ["Parameter", "Binds", "The driver refuses"],
        [(f"`{kind}`", ", ".join(dict.fromkeys(a)), ", ".join(b)) for kind, (a, b) in rows.items()],
    )
