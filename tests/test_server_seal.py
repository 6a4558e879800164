import os
import time

import pytest

from scoter.errors import InvalidHandle, InvalidTicket, ValueTooLarge
from scoter.server.flightsql.sealed_pb2 import Cargo, Prepared, Ticket
from scoter.server.hold import Hold
from scoter.server.seal import Seals

KEY = bytes(range(32))


@pytest.fixture
def hold(tmp_path):
    return Hold(tmp_path / "held", 1_000_000)


@pytest.fixture
def seals(hold):
    return Seals(KEY, hold, 1_000_000)


def ticket(*, principal="ann", expires=None):
    made = Ticket(principal=principal, expires=int(time.time()) + 60 if expires is None else expires)
    made.query.sql = "SELECT 1"
    return made


def prepared(*, principal="ann", expires=None):
    expires = int(time.time()) + 60 if expires is None else expires
    return Prepared(principal=principal, sql="SELECT 1", expires=expires)


def test_a_ticket_comes_back_as_it_was(seals, hold):
    sealed = seals.seal_ticket(ticket())
    assert seals.open_ticket(sealed, "ann").query.sql == "SELECT 1"
    assert Seals(KEY, hold, 1_000_000).open_ticket(sealed, "ann").query.sql == "SELECT 1"


@pytest.mark.parametrize("position", [0, 7, 15, 16, 20, -1])
def test_one_flipped_bit_is_refused(seals, position):
    sealed = bytearray(seals.seal_ticket(ticket()))
    sealed[position] ^= 1
    with pytest.raises(InvalidTicket):
        seals.open_ticket(bytes(sealed), "ann")


@pytest.mark.parametrize("sealed", [b"", b"x", b"x" * 16, b"x" * 500])
def test_bytes_that_are_not_ours_are_refused(seals, sealed):
    with pytest.raises(InvalidTicket):
        seals.open_ticket(sealed, "ann")
    with pytest.raises(InvalidHandle):
        seals.open_prepared(sealed, "ann")


def test_tickets_belong_to_one_principal_and_end(seals):
    with pytest.raises(InvalidTicket) as someone_else:
        seals.open_ticket(seals.seal_ticket(ticket()), "bob")
    with pytest.raises(InvalidTicket) as too_old:
        seals.open_ticket(seals.seal_ticket(ticket(expires=int(time.time()) - 1)), "ann")
    with pytest.raises(InvalidTicket) as forged:
        seals.open_ticket(b"x" * 40, "ann")
    # What was wrong is not told: it would say which tickets exist.
    assert someone_else.value.text() == too_old.value.text() == forged.value.text()


def test_handles_belong_to_one_principal_and_end(seals):
    sealed = seals.seal_prepared(prepared())
    assert seals.open_prepared(sealed, "ann").sql == "SELECT 1"
    with pytest.raises(InvalidHandle):
        seals.open_prepared(sealed, "bob")
    with pytest.raises(InvalidHandle):
        seals.open_prepared(seals.seal_prepared(prepared(expires=int(time.time()) - 1)), "ann")


def test_what_is_too_long_to_be_ours_is_not_looked_at(seals):
    with pytest.raises(InvalidTicket):
        seals.open_ticket(b"x" * 40_000_000, "ann")


def test_a_handle_is_no_ticket_and_another_lakes_key_opens_nothing(seals, hold):
    made = ticket()
    with pytest.raises(InvalidHandle):
        seals.open_prepared(seals.seal_ticket(made), "ann")
    with pytest.raises(InvalidTicket):
        seals.open_ticket(seals.seal_prepared(prepared()), "ann")
    with pytest.raises(InvalidTicket):
        Seals(b"k" * 32, hold, 1_000_000).open_ticket(seals.seal_ticket(made), "ann")


def test_small_values_travel_and_large_ones_stay(seals):
    soon = time.time() + 60
    small, large = seals.load(b"x" * 1000, soon), seals.load(b"y" * 100_000, soon)
    assert small.WhichOneof("place") == "inline"
    assert large.WhichOneof("place") == "sha256"
    assert large.ByteSize() < 50
    assert seals.unload(small) == b"x" * 1000
    assert seals.unload(large) == b"y" * 100_000
    with pytest.raises(InvalidHandle):
        seals.unload(Cargo(sha256=b"0" * 32))


def test_held_values_end_with_their_time_and_the_first_to_end_give_way(tmp_path):
    hold = Hold(tmp_path / "held", 1000)
    old = hold.put(b"a" * 400, time.time() - 1)
    assert hold.get(old) is None
    keys = [hold.put(bytes([i]) * 400, time.time() + 60 + i) for i in range(3)]
    assert [hold.get(key) is not None for key in keys] == [False, True, True]
    assert len(list((tmp_path / "held").iterdir())) == 2
    with pytest.raises(ValueTooLarge):
        hold.put(b"a" * 1001, time.time() + 60)
    # The same bytes twice count once, and live as long as the longer of the two.
    hold.put(bytes([1]) * 400, time.time() + 90)
    hold.put(bytes([1]) * 400, time.time() + 1)
    assert hold.prolong(keys[2], time.time() + 90)
    assert not hold.prolong(keys[0], time.time() + 90)
    ends = [path.stat().st_mtime for path in (tmp_path / "held").iterdir()]
    assert min(ends) > time.time() + 80


def test_held_values_are_shared_private_and_checked(tmp_path):
    here, there = (Hold(tmp_path / "held", 1000) for _ in range(2))
    key = here.put(b"a" * 400, time.time() + 60)
    assert there.get(key) == b"a" * 400
    (path,) = (tmp_path / "held").iterdir()
    assert (path.stat().st_mode | path.parent.stat().st_mode) & 0o077 == 0
    path.write_bytes(b"b" * 400)
    os.utime(path, (time.time() + 60,) * 2)
    assert there.get(key) is None


def test_what_a_killed_server_left_half_written_is_removed(tmp_path):
    hold = Hold(tmp_path / "held", 1000)
    (tmp_path / "held").mkdir()
    for name, age in ((".left", 3600), (".written-now", 0)):
        (tmp_path / "held" / name).write_bytes(b"x" * 5000)
        os.utime(tmp_path / "held" / name, (time.time() - age,) * 2)
    hold.put(b"a", time.time() + 60)
    assert {path.name for path in (tmp_path / "held").iterdir() if path.name.startswith(".")} == {
        ".written-now"
    }
