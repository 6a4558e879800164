"""ADBC's Flight SQL driver through DB-API with all its calls, and what stands on it: pandas, polars, DuckDB."""

import datetime as dt

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.flight
import pytest
from adbc_driver_flightsql import DatabaseOptions
from flight_sql import certificate, served, wait_for
from proofs import proves

from scoter.catalog.principals import Role


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("adbc")) as running:
        with adbc.connect(running.address, autocommit=True) as made, made.cursor() as asked:
            asked.execute("CREATE TABLE flights (n BIGINT NOT NULL, origin VARCHAR, d DATE)")
            asked.execute("INSERT INTO flights VALUES (1, 'EWR', '2024-01-01'), (2, 'JFK', NULL)")
            asked.execute("CREATE SCHEMA other")
            asked.execute("CREATE TABLE other.planes (tail VARCHAR)")
        yield running


@pytest.fixture(scope="module")
def connection(lake):
    with adbc.connect(lake.address, autocommit=True) as made:
        yield made


@pytest.fixture
def cursor(connection):
    with connection.cursor() as made:
        yield made


ROWS = [(1, "EWR", dt.date(2024, 1, 1)), (2, "JFK", None)]


@proves("ADBC", "Queries")
@proves("ADBC", "Transactions", "each statement commits; DB-API falls back to autocommit with a warning")
def test_the_defaults_of_dbapi(lake):
    # DB-API asks for transactions, hears that there are none, and warns.
    with pytest.warns(UserWarning, match="(?i)autocommit"):
        made = adbc.connect(lake.address)
    with made, made.cursor() as asked:
        asked.execute("SELECT * FROM flights ORDER BY n")
        assert asked.fetchall() == ROWS
        assert [column[0] for column in asked.description] == ["n", "origin", "d"]
        asked.execute("CREATE TABLE defaults (n BIGINT)")
        asked.execute("INSERT INTO defaults VALUES (1)")
    with adbc.connect(lake.address, autocommit=True) as other, other.cursor() as asked:
        asked.execute("SELECT count(*) FROM defaults")
        assert asked.fetchone() == (1,)


def test_ways_to_fetch(cursor):
    sql = "SELECT * FROM flights ORDER BY n"
    cursor.execute(sql)
    assert (cursor.fetchone(), cursor.fetchmany(5), cursor.fetchone()) == (ROWS[0], ROWS[1:], None)
    cursor.execute(sql)
    assert list(cursor) == ROWS
    cursor.execute(sql)
    assert cursor.fetch_df()["origin"].tolist() == ["EWR", "JFK"]
    cursor.execute(sql)
    assert cursor.fetch_polars().height == 2


@proves("ADBC", "Prepared statements")
def test_prepared(cursor):
    wanted = cursor.adbc_prepare("SELECT origin FROM flights WHERE n = ? AND d >= ?")
    assert wanted.types == [pa.int64(), pa.date32()]
    for day, rows in ((dt.date(2023, 1, 1), [("EWR",)]), (dt.date(2025, 1, 1), [])):
        cursor.execute("SELECT origin FROM flights WHERE n = ? AND d >= ?", (1, day))
        assert cursor.fetchall() == rows
    assert cursor.adbc_execute_schema("SELECT n, d FROM flights").types == [pa.int64(), pa.date32()]


@proves("ADBC", "Many rows in one statement and one commit")
def test_many_rows(cursor):
    cursor.execute("CREATE TABLE many (n BIGINT, s VARCHAR)")
    cursor.executemany("INSERT INTO many VALUES (?, ?)", [(n, None if n % 2 else "x") for n in range(1000)])
    assert cursor.rowcount == 1000
    cursor.execute("SELECT count(*), count(s) FROM many")
    assert cursor.fetchall() == [(1000, 500)]
    cursor.execute('SELECT count(*) FROM "many$snapshots"')
    assert cursor.fetchall() == [(1,)]


@proves("ADBC", "Catalogs, schemas, tables and columns with filters")
def test_objects_at_all_depths(connection):
    def objects(**filters):
        return connection.adbc_get_objects(**filters).read_all().to_pylist()

    (catalog,) = objects(depth="catalogs")
    assert (catalog["catalog_name"], catalog["catalog_db_schemas"]) == ("lake", None)
    (catalog,) = objects(depth="db_schemas")
    schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in catalog["catalog_db_schemas"]}
    assert {"main", "other"} <= schemas.keys()
    assert schemas["main"] is None
    (catalog,) = objects(depth="tables", db_schema_filter="other")
    ((schema),) = [s for s in catalog["catalog_db_schemas"] if s["db_schema_tables"]]
    assert [(t["table_name"], t["table_type"]) for t in schema["db_schema_tables"]] == [("planes", "TABLE")]
    (catalog,) = objects(depth="all", table_name_filter="fli%", column_name_filter="%")
    (schema,) = [s for s in catalog["catalog_db_schemas"] if s["db_schema_tables"]]
    (table,) = schema["db_schema_tables"]
    columns = [(c["column_name"], c["ordinal_position"], c["xdbc_type_name"]) for c in table["table_columns"]]
    assert columns == [("n", 1, "BIGINT"), ("origin", 2, "VARCHAR"), ("d", 3, "DATE")]
    (catalog,) = objects(depth="all", table_name_filter="flights", column_name_filter="or%")
    (schema,) = [s for s in catalog["catalog_db_schemas"] if s["db_schema_tables"]]
    assert [c["column_name"] for c in schema["db_schema_tables"][0]["table_columns"]] == ["origin"]
    assert objects(depth="all", catalog_filter="none") == []
    (catalog,) = objects(depth="tables", table_types_filter=["VIEW"], db_schema_filter="other")
    assert not [s for s in catalog["catalog_db_schemas"] if s["db_schema_tables"]]


@proves("ADBC", "Every metadata getter that tools call", "yes; statistics are refused by the driver")
def test_other_metadata(connection):
    about = connection.adbc_get_info()
    assert about["vendor_name"] == "Scoter"
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    schema = connection.adbc_get_table_schema("flights", catalog_filter="lake", db_schema_filter="main")
    assert schema.types == [pa.int64(), pa.string(), pa.date32()]
    with pytest.raises(adbc_driver_manager.Error, match="No table found"):
        connection.adbc_get_table_schema("none")
    assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("lake", "main")
    with pytest.raises((adbc_driver_manager.Error, NotImplementedError)):
        connection.adbc_get_statistics().read_all()


@proves("ADBC", "Cancel from another thread")
def test_cancel(lake, cursor):
    cursor.execute("SELECT i FROM range(100000000000) t(i)")
    reader = cursor.fetch_record_batch()
    reader.read_next_batch()
    cursor.adbc_cancel()
    with pytest.raises((adbc_driver_manager.Error, pa.ArrowException, OSError)):
        reader.read_all()
    assert wait_for(lambda: len(lake.server.calls) == 0)


@proves("ADBC", "Errors with SQLSTATE and query id")
def test_errors(cursor):
    with pytest.raises(
        adbc_driver_manager.Error, match=r"\[42703\] UNDEFINED_COLUMN: .*Query id [0-9a-f]{32}"
    ):
        cursor.execute("SELECT nothing FROM flights")


def test_polars_and_duckdb(connection, cursor):
    frame = pl.read_database("SELECT n, origin, d FROM flights ORDER BY n", connection)
    assert frame.rows() == ROWS
    assert frame.schema == {"n": pl.Int64, "origin": pl.String, "d": pl.Date}
    cursor.execute("SELECT n, origin FROM flights")
    reader = cursor.fetch_record_batch()  # noqa: F841  # DuckDB finds it by its name
    with duckdb.connect() as here:
        assert here.sql("SELECT sum(n) FROM reader").fetchall() == [(3,)]


@proves("ADBC", "TLS with a given trust store")
@proves("ADBC", "Login with user and password, or with a token")
def test_tls_and_tokens(tmp_path):
    cert, key = certificate(tmp_path)
    with served(tmp_path, server={"tls_cert": cert, "tls_key": key}) as running:
        running.engine.principals.add("ann", Role.READER, "right horse")
        trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: cert.read_text()}
        login = trusted | {"username": "ann", "password": "right horse"}

        def user(options):
            with (
                adbc.connect(running.address, db_kwargs=options, autocommit=True) as made,
                made.cursor() as asked,
            ):
                asked.execute("SELECT current_user")
                return asked.fetchone()[0]

        # A running server looks for its first user once a second.
        assert wait_for(lambda: user(login) == "ann")
        client = pa.flight.FlightClient(running.address, tls_root_certs=cert.read_bytes())
        _, header = client.authenticate_basic_token("ann", "right horse")
        client.close()
        assert user(trusted | {DatabaseOptions.AUTHORIZATION_HEADER.value: header.decode()}) == "ann"
