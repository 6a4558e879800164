"""A catalog of type rest: Apache Iceberg's own server, with OAuth2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slt
from far_tables import check_table
from pyiceberg.catalog.rest import RestCatalog
from requests.adapters import HTTPAdapter
from rest_server import CREDENTIAL, RestServer, serving
from sessions import InProcess, opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestServer]:
    with serving(tmp_path_factory.mktemp("rest")) as made:
        yield made


@pytest.fixture
def session(server: RestServer, tmp_path: Path) -> Iterator[InProcess]:
    catalogs = {"far": {"type": "rest", "properties": server.properties()}}
    with opened(tmp_path, catalogs=catalogs) as engine:
        yield InProcess(engine)


def test_tables_are_made_written_and_read(session: InProcess) -> None:
    session.update("CREATE SCHEMA far.one")
    check_table(session)


def test_a_table_that_another_client_changes_is_read_as_it_is_now(
    server: RestServer, session: InProcess
) -> None:
    session.update("CREATE SCHEMA far.shared")
    session.update("CREATE TABLE far.shared.t AS SELECT 1 AS n")
    assert session.value("SELECT count(*) AS n FROM far.shared.t") == 1
    other = RestCatalog("other", **server.properties())
    table = other.load_table("shared.t")
    table.append(table.scan().to_arrow())
    assert session.value("SELECT count(*) AS n FROM far.shared.t") == 2
    other.drop_table("shared.t")
    with pytest.raises(slt.Refused, match="42P01"):
        session.query("SELECT count(*) AS n FROM far.shared.t")


def test_a_table_is_sent_again_only_where_it_has_changed(
    server: RestServer, session: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.update("CREATE SCHEMA far.tagged")
    session.update("CREATE TABLE far.tagged.t AS SELECT 1 AS n")
    told: list[int] = []
    send = HTTPAdapter.send

    def heard(*given: Any, **named: Any) -> Any:
        answer = send(*given, **named)
        if answer.request.method == "GET" and answer.url.endswith("/tables/t"):
            told.append(answer.status_code)
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", heard)
    count = "SELECT count(*) AS n FROM far.tagged.t"
    assert [session.value(count) for _ in range(3)] == [1, 1, 1]
    assert told[0] in (200, 304)
    assert set(told[1:]) == {304}
    other = RestCatalog("other", **server.properties())
    table = other.load_table("tagged.t")
    table.append(table.scan().to_arrow())
    told.clear()
    assert [session.value(count) for _ in range(3)] == [2, 2, 2]
    assert told[0] == 200
    assert set(told[1:]) == {304}
    session.update("INSERT INTO far.tagged.t VALUES (5)")
    assert session.value(count) == 3
    other.drop_table("tagged.t")
    with pytest.raises(slt.Refused, match="42P01"):
        session.query(count)
    # Made anew it is another table.
    session.update("CREATE TABLE far.tagged.t AS SELECT 1 AS n")
    assert session.value(count) == 1


def test_schemas_of_several_levels(session: InProcess) -> None:
    session.update("CREATE SCHEMA far.deep")
    session.update('CREATE SCHEMA far."deep.er"')
    session.update('CREATE TABLE far."deep.er".t AS SELECT 7 AS n')
    assert session.value('SELECT n FROM far."deep.er".t') == 7
    names = {name for (name,) in session.rows("SELECT schema_name FROM information_schema.schemata")}
    assert {"deep", "deep.er"} <= names
    session.update('DROP TABLE far."deep.er".t')
    session.update('DROP SCHEMA far."deep.er"')


def test_schemas_whose_names_need_quotes_in_addresses(server: RestServer, session: InProcess) -> None:
    other = RestCatalog("other", **server.properties())
    for namespace in [("Räume",), ("Räume", "tief er"), ("x%y+z",)]:
        other.create_namespace(namespace)
    names = {name for (name,) in session.rows("SELECT schema_name FROM information_schema.schemata")}
    assert {"Räume", "Räume.tief er", "x%y+z"} <= names
    session.update('CREATE TABLE far."räume.tief er".t AS SELECT 7 AS n')
    assert session.value('SELECT n FROM far."Räume.tief er".t') == 7


@pytest.mark.parametrize(
    ("sql", "state"),
    [
        ("SELECT 1 FROM far.one.missing", "42P01"),
        ("SELECT 1 FROM far.missing.t", "42P01"),
        ("CREATE TABLE far.missing.t (n INTEGER)", "3F000"),
        ("CREATE SCHEMA far.here", "42P06"),
        ("CREATE TABLE far.here.t (n INTEGER)", "42P07"),
        ("DROP SCHEMA far.here", "2BP01"),
    ],
)
def test_its_errors_are_ours(session: InProcess, sql: str, state: str) -> None:
    session.query("CREATE SCHEMA IF NOT EXISTS far.here")
    session.query("CREATE TABLE IF NOT EXISTS far.here.t (n INTEGER)")
    with pytest.raises(slt.Refused) as refused:
        session.query(sql)
    assert str(refused.value).startswith(f"[{state}]"), refused.value


def test_the_secret_may_come_from_the_environment(
    server: RestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = server.properties()
    monkeypatch.setenv("SCOTER_CATALOGS__FAR__PROPERTIES__CREDENTIAL", properties.pop("credential"))
    lines = [f'{name} = "{value}"' for name, value in properties.items()]
    text = "\n".join(["[catalogs.far]", 'type = "rest"', "[catalogs.far.properties]", *lines])
    (tmp_path / "scoter.toml").write_text(text)
    with opened(tmp_path) as engine:
        InProcess(engine).query("SHOW SCHEMAS IN far")


def test_a_warehouse_that_is_a_name_opens_no_directory(server: RestServer, tmp_path: Path) -> None:
    properties = server.properties() | {"warehouse": "lake"}
    with opened(tmp_path, catalogs={"far": {"type": "rest", "properties": properties}}) as engine:
        InProcess(engine).query("SHOW SCHEMAS IN far")
        assert engine.lake.directories() == [str(tmp_path / "warehouse")]


def test_a_login_that_is_refused(server: RestServer, tmp_path: Path) -> None:
    properties = server.properties() | {"credential": "somebody:else-secret"}
    catalogs = {"far": {"type": "rest", "properties": properties}}
    with opened(tmp_path, catalogs=catalogs) as engine, pytest.raises(slt.Refused) as refused:
        InProcess(engine).query("SELECT 1 FROM far.one.t")
    assert str(refused.value).startswith("[F0000] CONFIGURATION_ERROR"), refused.value
    assert "secret" not in str(refused.value)
    assert "secret" not in (tmp_path / "log.jsonl").read_text()


def test_a_server_that_goes_away_is_an_error_for_its_tables_alone(tmp_path: Path) -> None:
    (tmp_path / "rest").mkdir()
    with serving(tmp_path / "rest") as server:
        catalogs = {"far": {"type": "rest", "properties": server.properties()}}
        with opened(tmp_path, catalogs=catalogs) as engine:
            session = InProcess(engine)
            session.update("CREATE SCHEMA far.s")
            session.update("CREATE TABLE far.s.t AS SELECT 1 AS n")
            server.stop()
            for sql in ("SELECT n FROM far.s.t", "INSERT INTO far.s.t VALUES (2)", "SHOW SCHEMAS IN far"):
                with pytest.raises(slt.Refused) as refused:
                    session.query(sql)
                assert str(refused.value).startswith("[58000] UNREACHABLE"), refused.value
                assert "127.0.0.1" not in str(refused.value)
            session.update("CREATE TABLE near AS SELECT 1 AS n")
    assert CREDENTIAL.split(":")[1] not in (tmp_path / "log.jsonl").read_text()


def test_lists_come_page_by_page(server: RestServer, session: InProcess, tmp_path: Path) -> None:
    session.update("CREATE SCHEMA far.paged")
    names = [f"t{number}" for number in range(5)]
    for name in names:
        session.update(f"CREATE TABLE far.paged.{name} (n INTEGER)")
    small = {"far": {"type": "rest", "properties": {**server.properties(), "rest-page-size": "2"}}}
    with opened(tmp_path / "small", catalogs=small) as engine:
        listed = InProcess(engine).rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'paged' ORDER BY 1"
        )
        assert listed == [(name,) for name in names]
        schemas = InProcess(engine).rows("SELECT schema_name FROM information_schema.schemata")
        assert schemas == session.rows("SELECT schema_name FROM information_schema.schemata")
        assert InProcess(engine).rows("SELECT * FROM far.paged.t4") == []
