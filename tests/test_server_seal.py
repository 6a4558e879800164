import time

import pytest

from scoter.errors import InvalidHandle, InvalidTicket, ValueTooLarge
from scoter.server.flightsql.sealed_pb2 import Cargo, Prepared, Ticket
from scoter.server.seal import Hold, Seals

KEY = bytes(range(32))


@pytest.fixture
def seals():
    return Seals(KEY, Hold())


def ticket(*, principal="ann", expires=None):
    made = Ticket(principal=principal, expires=int(time.time()) + 60 if expires is None else expires)
    made.query.sql = "SELECT 1"
    return made


def test_a_ticket_comes_back_as_it_was(seals):
    sealed = seals.seal_ticket(ticket())
    assert seals.open_ticket(sealed, "ann").query.sql == "SELECT 1"
    assert Seals(KEY, Hold()).open_ticket(sealed, "ann").query.sql == "SELECT 1"


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


def test_handles_belong_to_one_principal(seals):
    sealed = seals.seal_prepared(Prepared(principal="ann", sql="SELECT 1"))
    assert seals.open_prepared(sealed, "ann").sql == "SELECT 1"
    with pytest.raises(InvalidHandle):
        seals.open_prepared(sealed, "bob")


def test_a_handle_is_no_ticket_and_another_lakes_key_opens_nothing(seals):
    made = ticket()
    with pytest.raises(InvalidHandle):
        seals.open_prepared(seals.seal_ticket(made), "ann")
    with pytest.raises(InvalidTicket):
        seals.open_ticket(seals.seal_prepared(Prepared(principal="ann")), "ann")
    with pytest.raises(InvalidTicket):
        Seals(b"k" * 32, Hold()).open_ticket(seals.seal_ticket(made), "ann")


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


def test_held_values_end_with_their_time_and_the_oldest_give_way():
    hold = Hold(most_bytes=1000)
    old = hold.put(b"a" * 400, time.time() - 1)
    assert hold.get(old) is None
    keys = [hold.put(bytes([i]) * 400, time.time() + 60) for i in range(3)]
    assert [hold.get(key) is not None for key in keys] == [False, True, True]
    with pytest.raises(ValueTooLarge):
        hold.put(b"a" * 1001, time.time() + 60)
    # The same bytes twice count once, and live as long as the longer of the two.
    hold.put(bytes([2]) * 400, time.time() + 90)
    assert hold.get(keys[1]) is not None
