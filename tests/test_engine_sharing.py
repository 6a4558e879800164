"""What is read in several places at once is worked on by several threads and comes in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest
from flight_sql import wait_for

from scoter.engine.pacing import MOST, Pace
from scoter.engine.sharing import Share, in_order

NAME = "test-share"


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(NAME)]


def shares(counts: list[int]) -> Iterator[Share[tuple[int, int]]]:
    def parts(place: int, count: int) -> Iterator[tuple[int, int]]:
        yield from ((place, number) for number in range(count))

    yield from (Share(parts(place, count)) for place, count in enumerate(counts))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_what_was_read(threads):
    draw = random.Random(7)  # noqa: S311
    counts = [0, 3, 40, 1, 0, 25, 12]

    def work(part: tuple[int, int]) -> tuple[int, int]:
        time.sleep(draw.random() / 500)
        return part

    expected = [(place, number) for place, count in enumerate(counts) for number in range(count)]
    assert list(in_order(shares(counts), work, threads, NAME)) == expected
    assert list(in_order(shares([]), work, threads, NAME)) == []
    assert workers() == []


def test_places_are_read_side_by_side_where_reading_takes_long():
    reading: set[int] = set()
    most = 0

    def read(place: int) -> Iterator[int]:
        nonlocal most
        for number in range(4):
            reading.add(place)
            most = max(most, len(reading))
            time.sleep(0.02)
            reading.discard(place)
            yield number

    found = list(in_order((Share(read(place)) for place in range(4)), lambda part: part, 3, NAME))
    assert found == [0, 1, 2, 3] * 4
    assert most == 3


def test_one_place_is_read_by_one_thread_at_a_time_and_worked_on_by_all():
    lock, at_work = threading.Lock(), set[str]()

    def read() -> Iterator[int]:
        for number in range(40):
            assert lock.acquire(blocking=False)
            time.sleep(0.001)
            lock.release()
            yield number

    def work(part: int) -> int:
        at_work.add(threading.current_thread().name)
        time.sleep(0.005)
        return part

    assert list(in_order(iter([Share(read())]), work, 3, NAME)) == list(range(40))
    assert len(at_work) == 3


def test_an_error_comes_in_its_place():
    def read(place: int) -> Iterator[int]:
        yield place
        if place == 1:
            raise ValueError("reading")
        yield place

    results = in_order((Share(read(place)) for place in range(3)), str, 2, NAME)
    assert [next(results) for _ in range(3)] == ["0", "0", "1"]
    with pytest.raises(ValueError, match="reading"):
        next(results)
    assert workers() == []

    def fail(part: tuple[int, int]) -> tuple[int, int]:
        if part == (1, 2):
            raise ValueError("work")
        return part

    results = in_order(shares([2, 4]), fail, 2, NAME)
    assert [next(results) for _ in range(4)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    with pytest.raises(ValueError, match="work"):
        next(results)

    def opened() -> Iterator[Share[tuple[int, int]]]:
        yield from shares([3])
        raise ValueError("opening")

    with pytest.raises(ValueError, match="opening"):
        list(in_order(opened(), fail, 2, NAME))
    assert workers() == []


def test_who_reads_no_further_frees_the_threads():
    read, closed = [], []

    def endless(place: int) -> Iterator[int]:
        try:
            while True:
                read.append(place)
                yield place
        finally:
            closed.append(place)

    results = in_order((Share(endless(place)) for place in range(9)), lambda part: part, 2, NAME)
    assert next(results) == 0
    # Nobody takes results: as many are made as have room, and no more.
    assert wait_for(lambda: len(read) >= 16)
    time.sleep(0.05)
    assert len(read) <= 18
    results.close()
    assert workers() == []
    assert sorted(closed) == sorted(set(read))


def test_a_model_that_takes_long_gets_fewer_rows():
    pace = Pace(2, None)
    assert pace.taken(100_000) == 2_048
    pace.took(2_048, 0.001)
    assert pace.taken(100_000) == MOST
    assert pace.taken(100) == 100
    pace.took(2_048, 0.02)
    assert pace.taken(100_000) == 8_192
    pace.took(64, 100)
    assert pace.taken(100_000) == 64


def test_the_last_calls_are_small_where_calls_take_long():
    pace = Pace(2, 40_000)
    pace.took(2_048, 0.02)
    taken = [pace.taken(40_000)]
    while sum(taken) < 40_000:
        taken.append(pace.taken(40_000 - sum(taken)))
    assert taken[:2] == [8_192, 4_096]
    assert taken == sorted(taken, reverse=True)
    assert set(taken[:-1]) == {8_192, 4_096, 2_048, 1_024, 512}
    fast = Pace(2, 40_000)
    fast.took(2_048, 0.0001)
    assert [fast.taken(40_000), fast.taken(40_000 - MOST), fast.taken(40_000 - 2 * MOST)] == [
        MOST,
        MOST,
        7_232,
    ]
