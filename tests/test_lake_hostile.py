"""Manifests and files that lie: an answer or an error with a code, never another place's bytes or a path."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from delete_files import commit_deletes, delete_file, vector_file, write_positions, write_vectors
from hostile_lake import DAMAGED, IDS, OUTSIDE, PLACES, Hostile, add, entry, made
from hypothesis import given
from hypothesis import strategies as st
from mutation import damaged, often
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestFile,
    write_manifest_list,
)
from pyiceberg.table import Table
from scan_tables import write_parquet
from slt import Refused

from scoter.catalog.manifests import Manifests
from scoter.errors import CorruptData, PermissionDenied, ScoterError


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    with made(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.mark.parametrize("place", PLACES)
def test_a_manifest_list_elsewhere_is_not_read(hostile: Hostile, place: str) -> None:
    metadata = hostile.changed(lambda m: m["snapshots"][0].update({"manifest-list": place}))
    with pytest.raises(Refused, match=OUTSIDE if place else r"\[(42501|XX001)\]"):
        hostile.answer(hostile.register(metadata))


def test_a_location_elsewhere_is_refused(hostile: Hostile) -> None:
    for place in ("/..", "/../../../../../etc"):
        with pytest.raises(Refused, match=OUTSIDE):
            hostile.register(hostile.changed(lambda m, p=place: m.update(location=m["location"] + p * 9)))


@pytest.mark.parametrize("place", PLACES)
def test_a_data_file_elsewhere_is_not_read(hostile: Hostile, place: str) -> None:
    table = hostile.table()
    before = time.monotonic()
    add(table, entry(place, 5, 500))
    with pytest.raises(Refused, match=OUTSIDE):
        hostile.answer(table)
    with pytest.raises(Refused, match=OUTSIDE):
        hostile.answer(table, "SELECT count(*) FROM {}")
    assert time.monotonic() - before < 10


@pytest.mark.parametrize("place", PLACES[:9])
@pytest.mark.parametrize("kind", ["position", "vector", "equality"])
def test_a_delete_file_elsewhere_is_not_read(hostile: Hostile, kind: str, place: str) -> None:
    table, path = hostile.filled()
    commit_deletes(table, deletes(table, kind, path, place))
    with pytest.raises(Refused, match=OUTSIDE):
        hostile.answer(table)


def deletes(table: Table, kind: str, path: Path, place: str) -> DataFile:
    """Return the entry of a delete file at ``place`` that takes row 1 of the data file ``path`` out."""
    referred = {"referenced_data_file": f"file://{path}", "content_offset": 4, "content_size_in_bytes": 1}
    facts = {
        "position": {},
        "vector": {"kind": FileFormat.PUFFIN, **referred},
        "equality": {"equality_ids": [1]},
    }
    content = DataFileContent.EQUALITY_DELETES if kind == "equality" else DataFileContent.POSITION_DELETES
    file = delete_file(table, path, 1, content, **facts[kind])
    file[1] = place
    return file


def written(kind: str, path: Path) -> Path:
    """Write what ``deletes`` tells of beside the data file."""
    place = path.with_suffix(f".{kind}")
    if kind == "position":
        write_positions(place, [(f"file://{path}", 1)])
    elif kind == "vector":
        write_vectors(place, {f"file://{path}": [1]})
    else:
        write_parquet(place, pa.table({"a": [1]}), IDS)
    return place


@pytest.mark.parametrize("how", ["cut", "empty", "directory", "gone", "link"])
@pytest.mark.parametrize("kind", ["position", "vector", "equality"])
def test_a_damaged_delete_file_is_an_error(hostile: Hostile, kind: str, how: str) -> None:
    table, path = hostile.filled()
    place = written(kind, path)
    commit_deletes(table, deletes(table, kind, path, f"file://{place}"))
    content = place.read_bytes()
    place.unlink()
    match how:
        case "cut":
            place.write_bytes(content[:-7])
        case "empty":
            place.touch()
        case "directory":
            place.mkdir()
        case "link":
            (hostile.secret / place.name).write_bytes(content)
            place.symlink_to(hostile.secret / place.name)
    with pytest.raises(Refused, match=OUTSIDE if how == "link" else DAMAGED):
        hostile.answer(table)


def test_links_and_dots_do_not_leave_the_lake(hostile: Hostile) -> None:
    table = hostile.table()
    data = Path(table.location().removeprefix("file://")) / "data"
    data.mkdir(parents=True)
    (data / "link.parquet").symlink_to(hostile.secret / "s.parquet")
    (data / "directory").symlink_to(hostile.secret)
    up = "../" * (len(data.parts) - len(hostile.home.parts))
    for name in ("link.parquet", "directory/s.parquet", f"{up}secret/s.parquet"):
        table = hostile.table()
        assert (data / name).exists()
        add(table, entry(f"file://{data}/{name}", 1, 500))
        with pytest.raises(Refused, match=OUTSIDE):
            hostile.answer(table)
    for name in ("*.parquet", "%2e%2e/s.parquet", "?", "[a]", "a\0b", "a\nb", "'; SELECT 1; --"):
        table = hostile.table()
        add(table, entry(f"file://{data}/{name}", 1, 500))
        with pytest.raises(Refused, match=r"\[(42501|XX001)\]"):
            hostile.answer(table)


@pytest.mark.parametrize("name", ["..", ".", "", "in", "pipe"])
def test_what_is_no_file_is_not_read(hostile: Hostile, name: str) -> None:
    """DuckDB would read a directory as all files in it."""
    table = hostile.table()
    data = Path(table.location().removeprefix("file://")) / "data"
    (data / "in").mkdir(parents=True)
    for number in range(2):
        write_parquet(data / "in" / f"{number}.parquet", pa.table({"a": [1], "b": ["x"], "f": [0.5]}), None)
    os.mkfifo(data / "pipe")
    add(table, entry(f"file://{data}/{name}", 1, 4096))
    with pytest.raises(Refused, match=r"\[(42501|XX001)\]"):
        hostile.answer(table)
    table = hostile.table()
    add(table, entry(f"file://{hostile.home}/lake/..", 1, 4096))
    with pytest.raises(Refused, match=r"\[(42501|XX001)\]"):
        hostile.answer(table)


def test_a_link_to_a_file_of_the_lake_is_followed(hostile: Hostile) -> None:
    table = hostile.table()
    real = hostile.write(table)
    link = real.with_name("link.parquet")
    link.symlink_to(real)
    add(table, entry(f"file://{link}", 5, real.stat().st_size))
    assert hostile.answer(table) == [(5, 10)]


def test_a_manifest_elsewhere_is_not_read(hostile: Hostile) -> None:
    for place in (*PLACES[:9], "LINK"):
        table, _ = hostile.filled()
        (manifest,) = table.current_snapshot().manifests(table.io)
        if place == "LINK":
            real = Path(manifest.manifest_path.removeprefix("file://"))
            shutil.move(real, hostile.secret / real.name)
            real.symlink_to(hostile.secret / real.name)
        else:
            relisted(table, manifest, place)
        with pytest.raises(Refused, match=OUTSIDE):
            hostile.answer(table)


def relisted(table: Table, manifest: ManifestFile, place: str) -> None:
    """Write the manifest list anew with the manifest at another place."""
    snapshot = table.current_snapshot()
    manifest[0] = place
    output = table.io.new_output(snapshot.manifest_list)
    with write_manifest_list(2, output, snapshot.snapshot_id, None, 1, "deflate") as writer:
        writer.add_manifests([manifest])


def test_a_manifest_list_that_names_itself(hostile: Hostile) -> None:
    table, _ = hostile.filled()
    snapshot = table.current_snapshot()
    (manifest,) = snapshot.manifests(table.io)
    relisted(table, manifest, snapshot.manifest_list)
    with pytest.raises(Refused, match=DAMAGED):
        hostile.answer(table)


@pytest.mark.parametrize("what", ["manifest list", "manifest", "data file"])
@pytest.mark.parametrize("how", ["cut", "half", "empty", "spoiled"])
def test_damaged_files(hostile: Hostile, what: str, how: str) -> None:
    table, path = hostile.filled(1000)
    snapshot = table.current_snapshot()
    if what == "manifest list":
        path = Path(snapshot.manifest_list.removeprefix("file://"))
    elif what == "manifest":
        path = Path(snapshot.manifests(table.io)[0].manifest_path.removeprefix("file://"))
    content = path.read_bytes()
    spoiled = content[:60] + bytes(byte ^ 0xA5 for byte in content[60:300]) + content[300:]
    changed = {"cut": content[:-9], "half": content[: len(content) // 2], "empty": b"", "spoiled": spoiled}
    path.write_bytes(changed[how])
    with pytest.raises(Refused, match=DAMAGED):
        hostile.answer(table)
    for asked in (
        ("files", "manifests") if what == "manifest list" else ("files",) if what == "manifest" else ()
    ):
        with pytest.raises(Refused, match=DAMAGED):
            hostile.answer(table, f"SELECT * FROM {{}}.{asked}")


@pytest.mark.parametrize("size", [0, 100, 2**62])
@pytest.mark.parametrize("rows", [0, 3, 9, 2**62])
@pytest.mark.parametrize("files", [1, 2])
def test_wrong_sizes_and_counts_do_not_change_rows(
    hostile: Hostile, rows: int, size: int, files: int
) -> None:
    table = hostile.table()
    places = [hostile.write(table) for _ in range(files)]
    add(table, *(entry(f"file://{place}", rows, size) for place in places))
    assert hostile.answer(table) == [(5 * files, 10 * files)]
    assert hostile.answer(table, "SELECT count(*) FROM {}") == [(5 * files,)]
    assert hostile.answer(table, "SELECT count(*) FROM {} WHERE a >= 3") == [(2 * files,)]
    assert hostile.answer(table, "SELECT max(a) FROM {}") == [(4,)]


def test_counts_below_zero_are_an_error(hostile: Hostile) -> None:
    for rows, size in ((-1, 500), (5, -1)):
        table = hostile.table()
        add(table, entry(f"file://{hostile.write(table)}", rows, size))
        with pytest.raises(Refused, match=DAMAGED):
            hostile.answer(table)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 7, 9, 100])
def test_bounds_that_are_no_values(hostile: Hostile, length: int) -> None:
    table = hostile.table()
    bounds = {
        "lower": dict.fromkeys((1, 3), b"\xff" * length),
        "upper": dict.fromkeys((1, 3), b"\x7f" * length),
    }
    places = [hostile.write(table), hostile.write(table)]
    add(table, *(entry(f"file://{place}", 5, place.stat().st_size, **bounds) for place in places))
    assert hostile.answer(table, "SELECT count(*), max(a), max(f) FROM {} WHERE a > 1 AND f > 0.5") == [
        (6, 4, 2.0)
    ]


def test_a_puffin_file_that_lies_about_its_footer(hostile: Hostile) -> None:
    for end in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"):
        table, path = hostile.filled()
        place = written("vector", path)
        commit_deletes(table, deletes(table, "vector", path, f"file://{place}"))
        content = place.read_bytes()
        place.write_bytes(content[:-12] + end + content[-8:])
        with pytest.raises(Refused, match=DAMAGED):
            hostile.answer(table)


def test_position_deletes_behind_the_end_and_before_the_start(hostile: Hostile) -> None:
    table, path = hostile.filled()
    place = path.with_suffix(".deletes")
    write_positions(place, [(f"file://{path}", n) for n in (-1, -(2**63), 5, 2**63 - 1, 2)])
    commit_deletes(table, delete_file(table, place, 5))
    assert hostile.answer(table) == [(4, 8)]


def test_a_list_of_another_table_does_not_change_what_its_manifests_say(hostile: Hostile) -> None:
    """Sequence numbers come from the list: with the data as new as the deletes none of them applies."""
    table, path = hostile.filled()
    place = written("equality", path)
    commit_deletes(table, deletes(table, "equality", path, f"file://{place}"))
    table = table.refresh()
    snapshot = table.current_snapshot()
    found = json.loads(Path(table.metadata_location.removeprefix("file://")).read_text("utf-8"))
    own = f"{snapshot.manifest_list}.other"
    with write_manifest_list(
        2, table.io.new_output(own), snapshot.snapshot_id, None, 99, "deflate"
    ) as writer:
        for manifest in snapshot.manifests(table.io):
            manifest.sequence_number = 99 if manifest.content == ManifestContent.DATA else 2
            writer.add_manifests([manifest])
    found["snapshots"][-1]["manifest-list"] = own
    assert hostile.answer(hostile.register(found)) == [(5, 10)]
    assert hostile.answer(table) == [(4, 9)]


def test_a_vector_of_another_table_does_not_change_what_it_says(hostile: Hostile) -> None:
    table, path = hostile.filled()
    other, elsewhere = hostile.filled()
    place = path.with_suffix(".vector")
    at = write_vectors(place, {f"file://{path}": [1]})[f"file://{path}"]
    commit_deletes(table, vector_file(table, place, 1, f"file://{path}", at))
    commit_deletes(other, vector_file(other, place, 1, f"file://{elsewhere}", at))
    with suppress(Refused):
        hostile.answer(other)
    assert hostile.answer(table) == [(4, 9)]


def test_a_spec_of_another_table_does_not_change_what_files_hold(hostile: Hostile) -> None:
    hostile.session.update(
        "CREATE TABLE kept PARTITIONED BY (bucket(4, a)) AS SELECT i AS a, 'x' AS b FROM range(6) r(i)"
    )
    found = hostile.metadata("kept")[1]
    found["partition-specs"][0]["fields"][0]["transform"] = "identity"
    found["table-uuid"] = str(uuid.uuid4())
    other = hostile.register(found)
    for name in (other, "kept"):
        counts = [hostile.answer(name, f"SELECT count(*) FROM {{}} WHERE a = {i}")[0][0] for i in range(6)]
        assert counts == [1] * 6 or name == other


@pytest.mark.decoder
def test_damaged_manifests(hostile: Hostile) -> None:
    """Whatever bytes a manifest or a list of them holds, it is decoded or refused."""
    table, _ = hostile.filled(50)
    snapshot = table.current_snapshot()
    places = [snapshot.manifest_list, snapshot.manifests(table.io)[0].manifest_path]
    whole = [Path(place.removeprefix("file://")).read_bytes() for place in places]

    @often()
    @given(number=st.integers(0, 1), data=st.data())
    def examine(number: int, data: Any) -> None:
        path = Path(places[number].removeprefix("file://"))
        path.write_bytes(data.draw(damaged([whole[number]])))
        try:
            Manifests(lambda _: table.io).files(table.metadata, None)
        except ScoterError as error:
            refusal = error
            assert isinstance(refusal, CorruptData | PermissionDenied)
        finally:
            path.write_bytes(whole[number])

    examine()
