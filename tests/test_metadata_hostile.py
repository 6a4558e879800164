"""Metadata that lies: an answer or an error with a code, in bounded memory."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_lake import DAMAGED, Hostile, made
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName

CODE = (
    "py-io-impl",
    "io-impl",
    "py-catalog-impl",
    "catalog-impl",
    "write.location-provider.impl",
    "write.py-location-provider.impl",
    "s3.retry-strategy-impl",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with made(tmp_path_factory.mktemp("home")) as found:
        yield found


def test_properties_load_no_code(hostile: Hostile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "hostile_module.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Code: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    elsewhere = {
        "write.data.path": "/etc",
        "write.metadata.path": "/etc",
        "write.object-storage.enabled": "true",
    }
    code = dict.fromkeys(CODE, "hostile_module.Code") | elsewhere

    def change(metadata: dict[str, Any]) -> None:
        metadata.update({"properties": code, "table-uuid": str(uuid.uuid4())})

    name = hostile.register(hostile.changed(change))
    assert hostile.answer(name, "SELECT count(*) FROM {}") == [(10,)]
    assert hostile.session.update(f"INSERT INTO {name} VALUES (1, 'y')") == 1
    assert hostile.answer(name, "SELECT count(*) FROM {}") == [(11,)]
    assert not ran.exists()


def nested(depth: int, kind: str = "list") -> str:
    """Return a type as JSON: lists or structs inside each other."""
    opening, closing = {
        "list": ('{"type": "list", "element-id": %d, "element-required": false, "element": ', "}"),
        "struct": (
            '{"type": "struct", "fields": [{"id": %d, "name": "x", "required": false, "type": ',
            "}]}",
        ),
        "type": ('{"type": "list", "element-id": %d, "element-required": false, "element": {"type": ', "}}"),
    }[kind]
    return "".join(opening % (100 + i) for i in range(depth)) + '"int"' + closing * depth


def below(frames: int, asked: Callable[[], list[Any]]) -> list[Any]:
    """Return the answer of a function that is called with so many more calls around it."""
    return asked() if frames == 0 else below(frames - 1, asked)


def with_type(hostile: Hostile, kind: str) -> str:
    """Return metadata whose table has a further column of this type, as JSON."""
    field = {"id": 50, "name": "n", "required": False, "type": "@"}
    return json.dumps(hostile.changed(lambda m: m["schemas"][0]["fields"].append(field))).replace('"@"', kind)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ('"quux"', r"\[0A000\].*type quux"),
        ('{"type": "quux"}', r"\[0A000\].*type quux"),
        ('"decimal(99999999999, 3)"', DAMAGED),
        ('"decimal(-1, 3)"', r"\[(XX001|0A000)\]"),
        ("null", DAMAGED),
        ("[]", DAMAGED),
        (nested(100), r"\[0A000\].*more than 60 types"),
        (nested(100, "struct"), r"\[0A000\].*more than 60 types"),
        (nested(31, "type"), r"\[0A000\].*more than 60 types"),
        (nested(100_000), DAMAGED),
        ("[" * 1_000_000, DAMAGED),
    ],
    ids=[
        "unknown",
        "unknown object",
        "wide",
        "negative",
        "null",
        "list",
        "deep",
        "deep structs",
        "deep objects",
        "deepest",
        "open",
    ],
)
def test_types_that_no_table_has(hostile: Hostile, kind: str, error: str) -> None:
    with pytest.raises(Refused, match=error):
        hostile.answer(hostile.register(with_type(hostile, kind)))


def test_a_type_at_the_edge_is_read(hostile: Hostile) -> None:
    name = hostile.register(with_type(hostile, nested(59)))
    assert hostile.answer(name, "SELECT n FROM {} LIMIT 1") == [(None,)]
    structs = hostile.register(with_type(hostile, nested(59, "struct")))
    assert hostile.answer(structs, "SELECT n FROM {} LIMIT 1") == [(None,)]
    huge = hostile.register(with_type(hostile, '"fixed[99999999999999]"'))
    assert hostile.answer(huge, "SELECT n FROM {} LIMIT 1") == [(None,)]


@pytest.mark.parametrize("kind", ["list", "struct"])
@pytest.mark.parametrize("frames", [200, 400, 600])
def test_types_are_read_or_refused_however_much_stack_is_used(
    hostile: Hostile, kind: str, frames: int
) -> None:
    name = hostile.register(with_type(hostile, nested(59, kind)))
    try:
        found = below(frames, lambda: hostile.answer(name, "SELECT n FROM {} LIMIT 1"))
    except Refused as error:
        found = [str(error)]
    assert re.search(r"\[\(None,\)\]|\[0A000\].*nested too deep|\[54001\]", str(found))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (nested(100), r"\[0A000\].*more than 60 types"),
        (nested(100_000), DAMAGED),
        ('{"type": "quux"}', r"\[(0A000|XX001)\]"),
        ("[]", DAMAGED),
    ],
    ids=["deep", "deepest", "unknown", "list"],
)
def test_types_that_no_view_has(hostile: Hostile, content: str, error: str) -> None:
    hostile.count += 1
    view = f"h{hostile.count}"
    hostile.session.update(f"CREATE VIEW {view} AS SELECT 1 AS n")
    name = TableName("lake", "main", view)
    path = Path(hostile.session.engine.lake.look_up([name])[name].location.removeprefix("file://"))
    stored = json.loads(path.read_text())
    stored["schemas"][0]["fields"][0]["type"] = "@"
    path.write_text(json.dumps(stored).replace('"@"', content))
    with pytest.raises(Refused, match=error):
        hostile.answer(view, "SELECT n FROM {}")
    hostile.session.update(f"DROP VIEW {view}")


@pytest.mark.parametrize(
    "transform", ["bucket[0]", "bucket[99999999999]", "truncate[0]", "bucket[-3]", "bucket[x]"]
)
def test_transforms_of_no_width(hostile: Hostile, transform: str) -> None:
    path, _ = hostile.metadata("parts")
    text = path.read_text().replace("bucket[4]", transform)
    with pytest.raises(Refused, match=DAMAGED):
        hostile.register(text)


@pytest.mark.parametrize("transform", ["zorder", "year", "identity", "void"])
def test_transforms_that_do_not_fit_the_values(hostile: Hostile, transform: str) -> None:
    path, _ = hostile.metadata("parts")
    name = hostile.register(
        path.read_text().replace("bucket[4]", transform).replace("truncate[2]", transform)
    )
    assert hostile.answer(name) == [(10, 45)]
    for asked in ("files", "partitions", "entries", "manifests"):
        try:
            hostile.answer(name, f"SELECT * FROM {{}}.{asked}")
        except Refused as error:
            # An answer is right, too.
            refusal = str(error)
            assert "[XX001]" in refusal


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b"\xff\xfe{}",
        b"nope",
        b'{"format-version": NaN}',
        b'{"format-version": 4}',
    ],
)
def test_what_is_no_metadata(hostile: Hostile, content: bytes) -> None:
    for suffix, data in ((".metadata.json", content), (".gz.metadata.json", gzip.compress(content))):
        with pytest.raises(Refused, match=DAMAGED):
            hostile.register(data, suffix)


def test_format_versions_to_come(hostile: Hostile) -> None:
    for version in (0, 4, -1, 10**30, "2", None):
        with pytest.raises(Refused, match=DAMAGED):
            hostile.answer(
                hostile.register(hostile.changed(lambda m, v=version: m.update({"format-version": v})))
            )


def test_compressed_metadata(hostile: Hostile) -> None:
    text = json.dumps(hostile.metadata()[1]).encode()
    assert hostile.answer(hostile.register(gzip.compress(text), ".gz.metadata.json")) == [(10, 45)]
    for spoiled in (b"nope", gzip.compress(text)[:-20], gzip.compress(text)[:40], b"", text):
        with pytest.raises(Refused, match=DAMAGED):
            hostile.register(spoiled, ".gz.metadata.json")


def test_metadata_of_another_table_does_not_change_it(hostile: Hostile) -> None:
    """What was planned for one must not be used for the other, though all ids are the same."""

    def swap(metadata: dict[str, Any]) -> None:
        first, second = metadata["schemas"][0]["fields"]
        first["name"], second["name"] = second["name"], first["name"]

    swapped = hostile.register(hostile.changed(swap))
    sql = "SELECT a, b FROM {} ORDER BY ALL LIMIT 1"
    assert hostile.answer(swapped, sql) == [("x0", 0)]
    assert hostile.answer("plain", sql) == [(0, "x0")]
    assert hostile.answer(swapped, sql) == [("x0", 0)]


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        "x\ny",
        "nul\0x",
        "{}%s{0}%(x)s",
        "'; DROP TABLE plain; --",
        '"; DROP TABLE plain; --',
        "\u202e",
        "$1",
        "?",
        "x" * 1_000_000,
    ],
    ids=["quote", "newline", "NUL", "format", "SQL", "SQL in quotes", "override", "$1", "mark", "long"],
)
def test_names_are_names(hostile: Hostile, name: str) -> None:
    """A column's name is neither SQL nor a format, whatever is in it."""
    table = hostile.register(hostile.changed(lambda m: m["schemas"][0]["fields"][0].update(name=name)))
    found = hostile.session.query(f"SELECT * FROM {table} WHERE b = 'x3'")
    assert found.column_names == [name, "b"]
    assert found.column(0).to_pylist() == [3]
    spelled = name.replace('"', '""')
    for sql in (
        "DESCRIBE @",
        "EXPLAIN SELECT * FROM @",
        "SELECT column_name FROM information_schema.columns WHERE table_name = '@'",
        f'SELECT max("{spelled}") FROM @' if len(name) < 100 and "\0" not in name else "SELECT 1 FROM @",
        "SELECT readable_metrics FROM @.files",
        "SELECT nothing FROM @",
    ):
        try:
            hostile.session.rows(sql.replace("@", table))
        except Refused as error:
            refusal = str(error)
            # Of the last alone.
            assert "[42703]" in refusal
            assert len(refusal) < 10_000
    assert hostile.answer("plain") == [(10, 45)]
    lines = (hostile.home / "lake" / "log.jsonl").read_text("utf-8").splitlines()
    for line in lines[-10:]:
        assert isinstance(json.loads(line), dict)
        assert len(line) < 20_000


def test_many_columns(hostile: Hostile) -> None:
    more = [{"id": 100 + i, "name": f"c{i}", "required": False, "type": "int"} for i in range(10_000)]
    name = hostile.register(hostile.changed(lambda m: m["schemas"][0]["fields"].extend(more)))
    assert hostile.answer(name, "SELECT a, c9999 FROM {} WHERE a = 7") == [(7, None)]
    assert hostile.answer(name, "SELECT count(*) FROM {}") == [(10,)]


PROBE = """
import json, resource, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from sessions import InProcess, opened
from slt import Refused

from scoter.catalog.names import TableName
with opened(Path({lake!r})) as engine:
    session = InProcess(engine)
    session.rows("SELECT 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = []
    for sql in {asked!r}:
        try:
            answers.append(session.rows(sql)[0][0])
        except Refused as error:
            answers.append(str(error))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([answers, grown // 1024]))
"""


def measured(lake: Path, *asked: str) -> tuple[list[Any], int]:
    """Return the answers of a process of its own, and by how many megabytes it grew."""
    tests = str(Path(__file__).parent)
    code = PROBE.format(tests=tests, lake=str(lake), asked=list(asked))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    answers, grown = json.loads(done.stdout.splitlines()[-1])
    return answers, grown


def test_memory_of_hostile_metadata(tmp_path: Path) -> None:
    with opened(tmp_path / "lake") as engine:
        own = Hostile(InProcess(engine), tmp_path)
        path, found = own.metadata()
        places = {name: path.parent / f"{name}.metadata.json" for name in ("huge", "bomb.gz", "log")}
        with places["huge"].open("wb") as file:
            file.truncate(500_000_000)
        packed = zlib.compressobj(9, wbits=31)
        with places["bomb.gz"].open("wb") as file:
            file.writelines(packed.compress(b" " * 1_000_000) for _ in range(2_000))
            file.write(packed.flush())
        assert places["bomb.gz"].stat().st_size < 4_000_000
        found["snapshot-log"] *= 200_000
        places["log"].write_text(json.dumps(found))
    calls = [
        f"CALL system.register_table(table => '{name.partition('.')[0]}', metadata_file => '{place}')"
        for name, place in places.items()
    ]
    answers, grown = measured(tmp_path / "lake", *calls[:2])
    assert all("[XX001]" in answer and "more than" in answer for answer in answers), answers
    # The limit itself, twice while zlib hands it over.
    assert grown < 700
    answers, grown = measured(tmp_path / "lake", calls[2], "SELECT count(*) FROM log")
    assert answers[1] == 10
    assert grown < 700
