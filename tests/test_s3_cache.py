"""The cache of blocks: bounded, shared, and right or empty whatever happened to its files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scoter.catalog.objects.access import Access, lent
from scoter.catalog.objects.blocks import BLOCK, Blocks
from scoter.errors import ConfigurationError

FULL = os.urandom(BLOCK)


def whole(blocks: Blocks, name: str, number: int, data: bytes) -> bytes | None:
    return blocks.get(name, number, len(data), 0, len(data))


def size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def test_what_was_put_is_there_also_for_another_process(tmp_path: Path) -> None:
    Blocks(tmp_path, 10 * BLOCK).put("a", 3, FULL)
    again = Blocks(tmp_path, 10 * BLOCK)
    assert whole(again, "a", 3, FULL) == FULL
    assert again.get("a", 3, BLOCK, 1000, 1010) == FULL[1000:1010]
    assert again.has("a", 3, BLOCK)
    assert not again.has("a", 3, BLOCK - 1)
    assert whole(again, "a", 4, FULL) is None
    assert whole(again, "b", 3, FULL) is None


@pytest.mark.parametrize("damage", ["flipped", "cut", "zeros", "longer"])
def test_a_damaged_block_is_no_block(tmp_path: Path, damage: str) -> None:
    Blocks(tmp_path, 10 * BLOCK).put("a", 0, FULL)
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[12345] ^= 1
    elif damage == "zeros":
        data[:] = bytes(len(data))
    elif damage == "cut":
        del data[-100:]
    else:
        data += b"x"
    file.write_bytes(data)
    blocks = Blocks(tmp_path, 10 * BLOCK)
    assert whole(blocks, "a", 0, FULL) is None
    blocks.put("a", 0, FULL)
    assert whole(blocks, "a", 0, FULL) == FULL


def test_a_block_that_is_cut_while_it_is_known_is_no_block(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, 10 * BLOCK)
    blocks.put("a", 0, FULL)
    (file,) = tmp_path.iterdir()
    os.truncate(file, 5000)
    assert blocks.get("a", 0, BLOCK, 0, 10) is None
    assert blocks.get("a", 0, BLOCK, 6000, 6010) is None


def test_the_bound_holds_and_what_is_used_stays(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, 8 * BLOCK)
    blocks.put("kept", 0, FULL)
    for number in range(40):
        blocks.put("a", number, FULL)
        kept = tmp_path / "kept-0"
        assert whole(blocks, "kept", 0, FULL) == FULL
        os.utime(kept)  # its use is noted no more than once a minute
        assert size(tmp_path) <= 8 * BLOCK
    assert whole(blocks, "a", 39, FULL) == FULL
    assert whole(blocks, "a", 0, FULL) is None


def test_what_a_process_left_unfinished_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "a-0.123.0.new"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    Blocks(tmp_path, 8 * BLOCK).put("b", 0, FULL)
    assert not left.exists()


def test_many_threads_read_and_write_right_blocks(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, 6 * BLOCK)
    contents = [os.urandom(200_000) for _ in range(40)]
    wrong = []

    def work(seed: int) -> int:
        chance, hits = random.Random(seed), 0  # noqa: S311  # no secret: which block is next
        for _ in range(400):
            number = chance.randrange(len(contents))
            data = contents[number]
            start = chance.randrange(len(data))
            found = blocks.get("a", number, len(data), start, len(data))
            if found is None:
                blocks.put("a", number, data)
            elif found == data[start:]:
                hits += 1
            else:
                wrong.append(number)
        return hits

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) > 100
    assert wrong == []
    # Blocks that were written at one moment may be beyond the bound until the next one comes.
    blocks.put("b", 0, contents[0])
    assert size(tmp_path) <= 6 * BLOCK


def test_a_process_that_is_killed_leaves_right_blocks(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from scoter.catalog.objects.blocks import Blocks\n"
        "blocks = Blocks(Path(sys.argv[1]), 2**25)\n"
        "for n in range(10**9): blocks.put('a', n % 64, bytes([n % 64]) * 300_000)"
    )
    running = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    stop = threading.Timer(3.0, running.kill)
    stop.start()
    running.wait(30)
    stop.join()
    blocks, there = Blocks(tmp_path, 2**25), 0
    for number in range(64):
        found = blocks.get("a", number, 300_000, 0, 300_000)
        there += found is not None
        assert found in {None, bytes([number]) * 300_000}
    assert there > 0


def test_no_room_keeps_nothing(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path / "none", 0)
    blocks.put("a", 0, FULL)
    assert whole(blocks, "a", 0, FULL) is None
    small = Blocks(tmp_path / "small", 1000)
    small.put("a", 0, FULL)
    assert whole(small, "a", 0, FULL) is None


OWN = {"s3.endpoint": "https://own.example.org", "s3.access-key-id": "own", "s3.secret-access-key": "ours"}


@pytest.mark.parametrize(
    ("sent", "endpoint", "key", "token"),
    [
        ({}, "https://own.example.org", "own", ""),
        ({"s3.endpoint": "https://own.example.org/"}, "https://own.example.org", "own", ""),
        ({"s3.endpoint": "https://listed.example.org"}, "https://listed.example.org", "own", ""),
        (
            {"s3.endpoint": "https://s3.eu-west-1.amazonaws.com"},
            "https://s3.eu-west-1.amazonaws.com",
            "own",
            "",
        ),
        (
            {"s3.access-key-id": "k", "s3.secret-access-key": "s", "s3.session-token": "t"},
            "https://own.example.org",
            "k",
            "t",
        ),
        ({"s3.proxy-uri": "http://elsewhere", "s3.role-arn": "x"}, "https://own.example.org", "own", ""),
    ],
)
def test_what_a_server_may_set(sent: dict[str, str], endpoint: str, key: str, token: str) -> None:
    found = lent(OWN, sent, ["https://listed.example.org"], "far")
    assert (found.endpoint, found.key_id, found.token) == (endpoint, key, token)


@pytest.mark.parametrize(
    "sent",
    [
        {"s3.endpoint": "https://elsewhere.example.org"},
        {"s3.endpoint": "http://s3.amazonaws.com"},
        {"s3.endpoint": "https://own.example.org.elsewhere"},
        {"s3.endpoint": "https://own.example.org@elsewhere"},
        {"s3.endpoint": "https://elsewhere/.amazonaws.com"},
        {"s3.endpoint": "https://user@s3.amazonaws.com"},
        {"s3.region": "x.elsewhere.org/"},
        {"client.region": "eu west"},
        {"s3.access-key-id": "k"},
        {"s3.secret-access-key": "s"},
        {"s3.session-token": "t", "s3.access-key-id": "k"},
    ],
)
def test_what_a_server_may_not_set(sent: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        lent(OWN, sent, [], "far")
    assert "elsewhere" not in refused.value.text()


def test_an_access_hides_its_keys() -> None:
    access = Access.of(
        {"s3.access-key-id": "hidden1", "s3.secret-access-key": "hidden2", "s3.session-token": "hidden3"}
    )
    assert "hidden" not in repr(access)
