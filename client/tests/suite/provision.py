"""How the suite prepares a server."""

from __future__ import annotations

from typing import Any

from sqlalchemy.testing.provision import post_configure_engine, set_default_schema_on_connection


@post_configure_engine.for_db("scoter")
def _make_schema(url: Any, engine: Any, follower_ident: Any) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS test_schema")


@set_default_schema_on_connection.for_db("scoter")
def _use(cfg: Any, dbapi_connection: Any, schema_name: str) -> None:
    dbapi_connection.adbc_current_db_schema = schema_name
