"""DB-API connections: addresses, options, errors by class, writes that can not be taken back."""

import datetime as dt
import decimal
import warnings

import pytest
import scoter_client
from scoter_client import address


@pytest.fixture
def connection(url):
    with scoter_client.connect(url) as made:
        yield made


@pytest.fixture
def cursor(connection):
    with connection.cursor() as made:
        yield made


def asked(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchall()


def test_addresses():
    read = address.read("scoter://ann:p%40ss@db.example:9999/lake/main?tls=true&timeout=5")
    assert (read.host, read.port, read.user, read.password) == ("db.example", 9999, "ann", "p@ss")
    assert (read.catalog, read.schema, read.tls) == ("lake", "main", None)
    assert read.options == {"tls": True, "timeout": 5.0}
    assert address.read("grpc+tls://h").driver_uri(tls=True) == "grpc+tls://h:31337"
    assert address.read("grpc://[::1]:5").driver_uri(tls=False) == "grpc://[::1]:5"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("db", False),
    ],
)
def test_only_this_machine_is_reached_without_tls(host, loopback):
    assert address.is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("http://127.0.0.1:1", {}, "must begin with"),
        ("scoter://127.0.0.1:1/a/b/c", {}, "catalog/schema"),
        ("scoter://127.0.0.1:1?tsl=true", {}, "unknown options: tsl"),
        ("scoter://127.0.0.1:1?tls=maybe", {}, "tls: true or false"),
        ("scoter://127.0.0.1:1?timeout=soon", {}, "timeout: could not"),
        ("grpc://127.0.0.1:1", {"tls": True}, "contradicts"),
        ("scoter://127.0.0.1:1", {"password": "x"}, "needs a user"),
        ("scoter://127.0.0.1:1", {"user": "a", "token": "x"}, "token, or user"),
        ("scoter://", {}, "no host"),
    ],
)
def test_what_can_not_be_read_is_an_error_before_any_call(uri, options, message):
    with pytest.raises(ValueError, match=message):
        scoter_client.connect(uri, **options)


def test_rows_descriptions_and_counts(cursor, name):
    cursor.execute(f"CREATE TABLE {name} (n BIGINT, s VARCHAR)")
    assert cursor.description is None
    cursor.executemany(f"INSERT INTO {name} VALUES (?, ?)", [(1, "a"), (2, None), (3, "c")])
    assert cursor.rowcount == 3
    cursor.execute(f"SELECT * FROM {name} WHERE n > ? ORDER BY n", (1,))
    assert [column[0] for column in cursor.description] == ["n", "s"]
    assert cursor.fetchone() == (2, None)
    assert cursor.fetchall() == [(3, "c")]
    cursor.execute(f'SELECT count(*) FROM "{name}$snapshots"')
    assert cursor.fetchall() == [(1,)]
    cursor.execute(f"DROP TABLE {name}")


def test_values_of_many_types_come_back(cursor):
    values = [
        True,
        2**40,
        1.5,
        decimal.Decimal("12.34"),
        "é'\"",
        b"\x00\xff",
        dt.date(2024, 2, 29),
        dt.datetime(2024, 2, 29, 1, 2, 3, 4),
        [1, 2],
    ]
    kinds = [
        "BOOLEAN",
        "BIGINT",
        "DOUBLE",
        "DECIMAL(9, 2)",
        "VARCHAR",
        "BLOB",
        "DATE",
        "TIMESTAMP",
        "INTEGER[]",
    ]
    cursor.execute("SELECT " + ", ".join(f"CAST(? AS {kind})" for kind in kinds), values)
    assert cursor.fetchall() == [tuple(values)]


@pytest.mark.parametrize(
    ("sql", "kind", "sqlstate"),
    [
        ("SELEC 1", scoter_client.ProgrammingError, "42601"),
        ("SELECT * FROM nowhere", scoter_client.ProgrammingError, "42P01"),
        ("SELECT CAST('x' AS INTEGER)", scoter_client.DataError, "22P02"),
        ("TRUNCATE nowhere", scoter_client.NotSupportedError, "0A000"),
    ],
)
def test_errors_have_the_class_of_their_sqlstate(cursor, sql, kind, sqlstate):
    with pytest.raises(kind) as raised:
        asked(cursor, sql)
    assert type(raised.value) is kind
    assert raised.value.sqlstate == sqlstate
    assert "Query id" in str(raised.value)
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == [(1,)]


def test_not_null_is_an_integrity_error(cursor, name):
    cursor.execute(f"CREATE TABLE {name} (n BIGINT NOT NULL)")
    with pytest.raises(scoter_client.IntegrityError):
        cursor.execute(f"INSERT INTO {name} VALUES (NULL)")
    cursor.execute(f"DROP TABLE {name}")


def test_values_that_arrow_can_not_hold(cursor):
    for value in (2**70, object()):
        with pytest.raises(scoter_client.DataError, match="can not be sent"):
            cursor.execute("SELECT CAST(? AS VARCHAR)", [value])


def test_a_value_larger_than_the_drivers_own_limit(cursor):
    cursor.execute("SELECT repeat('x', 20000000) AS s")
    assert len(cursor.fetchone()[0]) == 20_000_000


def test_a_limit_can_be_set(url):
    large = "SELECT repeat('x', 5000000) AS s"
    for uri, options in (
        (url, {"max_message_bytes": 1 << 20}),
        (f"{url}?max_message_bytes={1 << 20}", {}),
    ):
        too_large = pytest.raises(scoter_client.Error, match="larger than")
        with scoter_client.connect(uri, **options) as small, small.cursor() as cursor, too_large:
            asked(cursor, large)
    uri = f"{url}?max_message_bytes={1 << 20}"
    with scoter_client.connect(uri, max_message_bytes=1 << 24) as made, made.cursor() as cursor:
        assert len(asked(cursor, large)) == 1


def test_the_package_is_a_module_of_the_dbapi():
    assert (scoter_client.apilevel, scoter_client.paramstyle, scoter_client.threadsafety) == (
        "2.0",
        "qmark",
        1,
    )
    for name in scoter_client.__all__:
        assert hasattr(scoter_client, name)
    assert issubclass(scoter_client.IntegrityError, scoter_client.DatabaseError)
    assert scoter_client.Binary(b"x") == b"x"


def test_rollback_says_that_rows_stay(connection, cursor, name):
    cursor.execute(f"CREATE TABLE {name} (n BIGINT)")
    connection.commit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connection.rollback()
    cursor.executemany(f"INSERT INTO {name} VALUES (?)", [(1,)])
    with pytest.warns(scoter_client.Warning, match="rows were written and stay"):
        connection.rollback()
    cursor.executemany(f"INSERT INTO {name} VALUES (?)", [(2,)])
    connection.commit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connection.rollback()
    cursor.execute(f"DROP TABLE {name}")


def test_transactions_are_refused(url):
    with pytest.raises(scoter_client.NotSupportedError):
        scoter_client.connect(url, autocommit=False)


def test_the_session_begins_where_it_is_asked_to(url, name):
    with scoter_client.connect(url) as made, made.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {name}")
        cursor.execute(f"CREATE TABLE {name}.here (n BIGINT)")
    for options in ({"schema": name}, {"catalog": "lake", "schema": name}):
        with scoter_client.connect(url, **options) as made, made.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM here")
            assert cursor.fetchall() == [(0,)]
    with scoter_client.connect(f"{url}/lake/{name}") as made, made.cursor() as cursor:
        cursor.execute("DROP TABLE here")
        cursor.execute(f"DROP SCHEMA lake.{name}")
    for options in ({"catalog": "nowhere"}, {"schema": "nowhere"}):
        with pytest.raises(scoter_client.ProgrammingError, match="nowhere"):
            scoter_client.connect(url, **options)
