"""docs/operations.md says what is: settings with their defaults, the log, a lake's directory, roles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, blocks, table_of
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sessions import InProcess
from sessions import opened as in_process
from slt import Refused

from scoter import settings
from scoter.catalog.principals import Role

DOCS = ROOT / "docs"


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting's dotted name and field."""
    for name, one in model.model_fields.items():
        kind = one.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{prefix}{name}.")
        elif name != "directory":
            yield prefix + (one.alias or name), one


def default_of(name: str, one: FieldInfo) -> str:
    """Return a default as the document writes it."""
    computed = {
        "query.threads": "the number of CPUs",
        "query.memory_limit": "half of the memory",
        "server.memory_limit": "all of the memory",
    }
    value = one.default
    match value:
        case _ if one.is_required():
            return "required"
        case _ if one.default_factory is not None:
            return computed.get(name, "none")
        case None:
            return "unset"
        case ():
            return "none"
        case str():
            return f"`{value}`"
        case bool():
            return str(value).casefold()
        case int() if value and value % 2**20 == 0:
            return f"{value // 2**20:,} MiB"
    return (
        str(value) if name.endswith("port") else f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    )


def test_settings_are_listed_with_their_defaults() -> None:
    listed = [tuple(cells) for _, cells in table_of(DOCS / "operations.md", "Settings")]
    every = [*settings_of(settings.Settings), *settings_of(settings.CatalogSettings, "catalogs.NAME.")]
    assert sorted(listed) == sorted((f"`{n}`", default_of(n, f), str(f.description)) for n, f in every)


def test_examples_of_settings_are_settings(tmp_path: Path) -> None:
    found = [b for name in ("operations.md", "guide.md") for b in blocks(DOCS / name) if b.language == "toml"]
    assert len(found) > 1
    for number, block in enumerate(found):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "scoter.toml").write_text(block.text)
        settings.load(directory)


def test_another_catalog_as_it_is_shown(tmp_path: Path) -> None:
    (block,) = [b for b in blocks(DOCS / "operations.md") if b.heading == "Other catalogs"]
    lake, archive = tmp_path / "lake", tmp_path / "archive"
    lake.mkdir()
    archive.mkdir()
    (lake / "scoter.toml").write_text(block.text.replace("/srv/archive", str(archive)))
    with in_process(lake) as engine:
        session = InProcess(engine)
        session.query("CREATE SCHEMA archive.old")
        session.query("CREATE TABLE archive.old.t AS SELECT 7 AS a")
        assert session.rows("SELECT a FROM archive.old.t") == [(7,)]
    assert list(archive.glob("warehouse/old/t-*/data"))


def test_a_lakes_directory_and_its_log(tmp_path: Path, model_files: Path) -> None:
    with in_process(tmp_path, models={"allowed_prefixes": [str(model_files)]}) as engine:
        session = InProcess(engine)
        for sql in (
            "SET query_tag = 'nightly'",
            f"CREATE MODEL pair FROM '{model_files}/pair.onnx'",
            "CREATE TABLE t AS SELECT 1 AS a, 'secret' AS b",
            "INSERT INTO t SELECT predict('pair', a, NULL), 'secret' FROM t WHERE now() > '2020-01-01'",
            "SELECT try_predict('pair', a * 1e300, 1) FROM t WHERE b = 'secret'",
        ):
            session.query(sql)
        with pytest.raises(Refused):
            session.query("SELECT 'secret' FROM nothing")
    text = (tmp_path / "log.jsonl").read_text("utf-8")
    assert "secret" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    keys = {key for line in lines for key in line}
    listed = {
        key
        for _, cells in table_of(DOCS / "operations.md", "The log")
        for key in re.findall(r"`(\w+)`", cells[0])
    }
    assert keys == listed
    (block,) = [b for b in blocks(DOCS / "operations.md") if b.language == "json"]
    example = json.loads(block.text)
    (insert,) = [line for line in lines if line.get("action") == "INSERT" and line["outcome"] == "ok"]
    assert set(example) == set(insert)
    assert set(example["times_ms"]) == set(insert["times_ms"])
    assert set(example["pins"]["models"][0]) == set(insert["pins"]["models"][0])
    assert insert["rows_skipped"] == insert["rows"] == 1

    places = [cells[0].strip("`") for _, cells in table_of(DOCS / "operations.md", "A lake's directory")]
    for place in places:
        if place in {"scoter.toml", "statements.log", "held/SHA256", "cache/HASH-N"}:
            continue
        pattern = re.sub(r"[A-Z]+(?:\d+)?(-UUID)?", "*", place)
        assert list(tmp_path.glob(pattern)), place


def test_events_of_the_log_are_listed() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "scoter").rglob("*.py"))
    raised = set(re.findall(r'\b(?:event|_log)\(\s*"([^"]+)"', text)) | {"statement", "failure"}
    rows = {cells[0]: cells[1] for _, cells in table_of(DOCS / "operations.md", "The log")}
    assert set(re.findall(r"`([^`]+)`", rows["`event`"])) == raised


def test_roles_are_listed() -> None:
    listed = [cells[0].strip("`") for _, cells in table_of(DOCS / "operations.md", "Users and roles")]
    assert listed == [role.value for role in Role]
