"""ADBC's Flight SQL driver, as Python programs use it."""

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow as pa
import pytest
from adbc_driver_flightsql import DatabaseOptions
from flight_sql import certificate, served, wait_for

from scoter.catalog.principals import Role


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("adbc")) as running:
        yield running


@pytest.fixture(params=["anonymous", "basic"])
def connection(lake, request):
    login = {"username": "x", "password": "y"} if request.param == "basic" else {}
    with adbc.connect(lake.address, db_kwargs=login, autocommit=True) as made:
        yield made


@pytest.fixture
def cursor(connection):
    with connection.cursor() as made:
        yield made


def ask(cursor, sql, parameters=None):
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def test_queries_and_parameters(cursor):
    assert ask(cursor, "SELECT 1 AS one, 'x' AS text, NULL AS nothing") == [(1, "x", None)]
    assert [column[0] for column in cursor.description] == ["one", "text", "nothing"]
    assert ask(cursor, "SELECT CAST(? AS BIGINT) + 1 AS a, upper(CAST(? AS VARCHAR)) AS b", [41, "a"]) == [
        (42, "A")
    ]


def test_every_type_travels_as_it_is_announced(cursor):
    cursor.execute(
        """SELECT true AS a, 1::TINYINT AS b, 2::SMALLINT AS c, 3::INTEGER AS d, 4::BIGINT AS e,
        5::UTINYINT AS f, 6::USMALLINT AS g, 7::UINTEGER AS h, 8::UBIGINT AS i, 9::HUGEINT AS j,
        1.5::FLOAT AS k, 2.5::DOUBLE AS l, 1.25::DECIMAL(9, 2) AS m, 'x' AS n, 'y'::BLOB AS o,
        DATE '2020-02-29' AS p, TIME '12:34:56.789' AS q, TIMESTAMP '2020-02-29 12:34:56.789' AS r,
        TIMESTAMPTZ '2020-02-29 12:34:56+02' AS s, INTERVAL 3 DAY AS t, [1, 2] AS u,
        {'x': 1, 'y': 'z'} AS v, MAP {'k': 1} AS w, NULL AS x,
        '00000000-0000-0000-0000-000000000001'::UUID AS y"""
    )
    table = cursor.fetch_arrow_table()
    table.validate(full=True)
    kinds = [str(field.type) for field in table.schema]
    assert kinds[:9] == [
        "bool", "int8", "int16", "int32", "int64", "int16", "int32", "int64", "decimal128(20, 0)"
    ]  # fmt: skip
    assert kinds[9:16] == [
        "decimal128(38, 0)", "float", "double", "decimal128(9, 2)", "string", "binary", "date32[day]"
    ]  # fmt: skip
    assert kinds[16:20] == [
        "time64[us]", "timestamp[us]", "timestamp[us, tz=UTC]", "month_day_nano_interval"
    ]  # fmt: skip
    assert kinds[23:] == ["int32", "string"]
    row = table.to_pylist()[0]
    assert (row["j"], row["u"], row["v"], row["w"]) == (9, [1, 2], {"x": 1, "y": "z"}, [("k", 1)])
    assert row["s"].isoformat() == "2020-02-29T10:34:56+00:00"


def test_ddl_and_dml_through_execute_run_once(cursor, request):
    name = f"ddl_{request.node.callspec.params['connection']}"
    cursor.execute(f"CREATE TABLE {name} (n BIGINT, s VARCHAR)")
    cursor.execute(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    assert cursor.rowcount == 2
    cursor.execute(f"INSERT INTO {name} VALUES (?, ?)", [3, "c"])
    assert cursor.rowcount == 1
    cursor.executemany(f"INSERT INTO {name} VALUES (?, ?)", [(n, "d") for n in range(4, 14)])
    assert cursor.rowcount == 10
    assert ask(cursor, f"SELECT count(*), sum(n) FROM {name}") == [(13, 91)]
    assert len(ask(cursor, f'SELECT * FROM "{name}$snapshots"')) == 3


def test_many_rows_come_in_messages_that_the_driver_takes(cursor):
    cursor.execute("SELECT i, repeat('x', 1000) AS s FROM range(100000) t(i)")
    reader = cursor.fetch_record_batch()
    rows, largest = 0, 0
    for batch in reader:
        rows += batch.num_rows
        largest = max(largest, batch.nbytes)
    assert rows == 100_000
    assert largest < 8 * 1024 * 1024


def test_the_session_belongs_to_the_connection(lake, connection, cursor, request):
    name = f"session_{request.node.callspec.params['connection']}"
    cursor.execute(f"CREATE SCHEMA {name}")
    cursor.execute(f"USE {name}")
    cursor.execute("SET timezone = 'Asia/Tokyo'")
    cursor.execute("CREATE TABLE here (n BIGINT)")
    assert ask(cursor, "SHOW timezone") == [("timezone", "Asia/Tokyo")]
    assert connection.adbc_current_db_schema == name
    with adbc.connect(lake.address, autocommit=True) as other, other.cursor() as its:
        assert other.adbc_current_db_schema == "main"
        with pytest.raises(adbc_driver_manager.Error, match="UNDEFINED_TABLE"):
            its.execute("SELECT * FROM here")
        other.adbc_current_db_schema = name
        assert ask(its, "SELECT count(*) FROM here") == [(0,)]


def test_an_error_leaves_the_session_as_it_was(cursor):
    cursor.execute("SET timezone = 'Asia/Tokyo'")
    for _ in range(3):
        with pytest.raises(adbc_driver_manager.Error):
            cursor.execute("SELECT * FROM nowhere")
    assert ask(cursor, "SHOW timezone") == [("timezone", "Asia/Tokyo")]


def test_metadata(connection, cursor, request):
    name = f"meta_{request.node.callspec.params['connection']}"
    cursor.execute(f"CREATE TABLE {name} (n BIGINT NOT NULL, d DECIMAL(9, 2))")
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Scoter"
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    assert connection.adbc_get_table_schema(name, db_schema_filter="main").names == ["n", "d"]
    found = connection.adbc_get_objects(table_name_filter=name).read_all().to_pylist()
    (catalog,) = found
    main = [s for s in catalog["catalog_db_schemas"] if s["db_schema_name"] == "main"]
    columns = main[0]["db_schema_tables"][0]["table_columns"]
    assert [(c["column_name"], c["xdbc_type_name"]) for c in columns] == [
        ("n", "BIGINT"),
        ("d", "DECIMAL(9,2)"),
    ]


def test_a_schema_without_a_run(cursor):
    schema = cursor.adbc_execute_schema("SELECT 1 AS a, 'x' AS b")
    assert schema.types == [pa.int32(), pa.string()]


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("SELEC 1", r"\[42601\] SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", r"\[42P01\] UNDEFINED_TABLE"),
        ("SELECT CAST('x' AS INTEGER)", r"\[22P02\] INVALID_TEXT"),
        ("SELECT read_text('/etc/passwd')", r"NOT_SUPPORTED|UNDEFINED_FUNCTION"),
    ],
)
def test_errors(cursor, sql, condition):
    with pytest.raises(adbc_driver_manager.Error, match=condition) as raised:
        ask(cursor, sql)
    assert "Query id" in str(raised.value)
    assert "Traceback" not in str(raised.value)
    assert ask(cursor, "SELECT 1") == [(1,)]


def refused(address, options):
    try:
        with adbc.connect(address, db_kwargs=options, autocommit=True) as made, made.cursor() as asked:
            ask(asked, "SELECT 1")
    except adbc_driver_manager.Error as error:
        return str(error)
    return None


def test_tls_and_users(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tmp_path, server={"tls_cert": cert, "tls_key": key}) as running:
        running.engine.principals.add("ann", Role.READER, "right horse")
        address = running.address
        assert address.startswith("grpc+tls://")
        trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: cert.read_text()}
        # A running server looks for its first user once a second.
        assert wait_for(lambda: refused(address, trusted) is not None)
        assert "[28000] AUTHENTICATION_FAILED" in refused(address, trusted)
        for user, password in (("ann", "wrong"), ("bob", "right horse")):
            login = trusted | {"username": user, "password": password}
            with pytest.raises(adbc_driver_manager.Error, match=r"\[28000\]"):
                adbc.connect(address, db_kwargs=login, autocommit=True)
        login = trusted | {"username": "ann", "password": "right horse"}
        with adbc.connect(address, db_kwargs=login, autocommit=True) as made, made.cursor() as asked:
            assert ask(asked, "SELECT 1") == [(1,)]
            with pytest.raises(adbc_driver_manager.Error, match=r"\[42501\] PERMISSION_DENIED"):
                asked.execute("CREATE TABLE t (n BIGINT)")
