"""Views as drivers see them: prepared, listed, described, ingested into, and read by tickets of a server that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import java
import pyarrow as pa
import pytest
from flight_sql import Client, served, values

from scoter.server.flightsql import messages_pb2 as m

LONG = "x" * 200_000


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with served(tmp_path_factory.mktemp("views")) as running:
        with Client(running.address) as client:
            client.update("CREATE SCHEMA made")
            client.update("CREATE TABLE made.t AS SELECT 1::BIGINT AS n, 'a' AS c")
            client.update(
                "CREATE VIEW made.v (n COMMENT 'number', total) AS SELECT n, sum(n) FROM made.t GROUP BY n"
            )
        yield running


def test_a_ticket_outlives_the_server_and_the_view(tmp_path: Any) -> None:
    with served(tmp_path) as lake, Client(lake.address) as client:
        client.update("CREATE TABLE t AS SELECT 1 AS n")
        client.update(f"CREATE VIEW v AS SELECT n, '{LONG}' AS long FROM t")
        command = m.CommandStatementQuery(query="SELECT n, length(long) AS long FROM v")
        ticket = client.info(command).endpoints[0].ticket
        client.update("CREATE OR REPLACE VIEW v AS SELECT 7 AS n, '' AS long")
    with served(tmp_path) as lake, Client(lake.address) as client:
        assert values(client.flight.do_get(ticket).read_all()) == [(1, 200_000)]
        assert values(client.query("SELECT n, length(long) AS long FROM v")) == [(7, 0)]


def test_adbc(lake: Any) -> None:
    with adbc.connect(lake.address, autocommit=True) as connection, connection.cursor() as cursor:
        statement = cursor.adbc_statement
        statement.set_sql_query("CREATE OR REPLACE VIEW made.prepared AS SELECT n + 1 AS n FROM made.t")
        statement.prepare()
        statement.execute_update()
        statement.execute_update()
        cursor.execute("SELECT n FROM made.prepared WHERE n > ?", (1,))
        assert cursor.fetchall() == [(2,)]
        found = connection.adbc_get_objects(depth="all", db_schema_filter="made").read_all().to_pylist()
        (schema,) = [s for s in found[0]["catalog_db_schemas"] if s["db_schema_tables"]]
        tables = {t["table_name"]: t for t in schema["db_schema_tables"]}
        assert {name: t["table_type"] for name, t in tables.items()} == {
            "t": "TABLE", "v": "VIEW", "prepared": "VIEW",
        }  # fmt: skip
        columns = [(c["column_name"], c["xdbc_type_name"]) for c in tables["v"]["table_columns"]]
        assert columns == [("n", "BIGINT"), ("total", "HUGEINT")]
        only = connection.adbc_get_objects(
            depth="tables", db_schema_filter="made", table_types_filter=["VIEW"]
        )
        (schema,) = [s for s in only.read_all().to_pylist()[0]["catalog_db_schemas"] if s["db_schema_tables"]]
        assert sorted(t["table_name"] for t in schema["db_schema_tables"]) == ["prepared", "v"]
        kinds = connection.adbc_get_table_schema("v", db_schema_filter="made")
        assert kinds.types == [pa.int64(), pa.decimal128(38, 0)]
        cursor.execute("SELECT * FROM made.v")
        assert cursor.fetch_arrow_table().schema.types == kinds.types
        cursor.execute("DROP VIEW made.prepared")
        for mode in ("append", "create", "create_append", "replace"):
            with pytest.raises(adbc_driver_manager.Error, match="WRONG_OBJECT_TYPE"):
                cursor.adbc_ingest("v", pa.table({"n": [1]}), mode, db_schema_name="made")
        cursor.execute("SELECT count(*) FROM made.v")
        assert cursor.fetchone() == (1,)


@pytest.mark.java
def test_jdbc(lake: Any) -> None:
    java.jvm()
    with java.connection(lake.address) as connection:
        prepared = connection.prepareStatement("CREATE VIEW made.jdbc AS SELECT c FROM made.t")
        prepared.executeUpdate()
        prepared.close()
        about = connection.getMetaData()
        tables = java.rows(about.getTables("lake", "made", "%", None))
        assert {("jdbc", "VIEW"), ("t", "TABLE"), ("v", "VIEW")} <= {tuple(row[2:4]) for row in tables}
        columns = java.rows(about.getColumns(None, "made", "v", "%"))
        assert [(row[3], row[5], row[10]) for row in columns] == [("n", "BIGINT", 1), ("total", "HUGEINT", 1)]
        statement = connection.createStatement()
        assert java.rows(statement.executeQuery("SELECT c FROM made.jdbc")) == [("a",)]
        statement.executeUpdate("DROP VIEW made.jdbc")
        statement.close()
