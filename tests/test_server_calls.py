import threading
import time

import pyarrow as pa
import pytest
from pyarrow import flight

from scoter.server.calls import Calls
from scoter.server.tally import Tally

SCHEMA = pa.schema([("n", pa.int64())])


class Watched(flight.ServerMiddleware):
    def __init__(self, calls):
        self.calls = calls
        self.call = calls.open("q")

    def call_completed(self, exception):  # noqa: ARG002  # Flight calls it so
        self.calls.close(self.call)


class Factory(flight.ServerMiddlewareFactory):
    def __init__(self, calls):
        self.calls = calls

    def start_call(self, info, headers):  # noqa: ARG002  # Flight calls it so
        return Watched(self.calls)


class Slow(flight.FlightServerBase):
    """A server whose calls last until their client is gone, or until they are told to end."""

    def __init__(self, calls):
        self.calls = calls
        self.ended = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        super().__init__("grpc://127.0.0.1:0", middleware={"call": Factory(calls)})

    def _wait(self, context):
        call = context.get_middleware("call").call
        self.calls.attach(call, context)
        stop = threading.Event()
        self.calls.watch(call, stop.set)
        self.begun.release()
        assert stop.wait(20)
        self.ended.release()

    def get_flight_info(self, context, descriptor):
        if descriptor.command == b"quick":
            call = context.get_middleware("call").call
            self.calls.attach(call, context)
            self.calls.watch(call, lambda: None)
            return flight.FlightInfo(SCHEMA, descriptor, [], -1, -1)
        self._wait(context)
        raise flight.FlightCancelledError("ended")

    def do_get(self, context, ticket):  # noqa: ARG002  # Flight calls it so
        def rows():
            yield pa.record_batch([[1]], schema=SCHEMA)
            self._wait(context)

        return flight.GeneratorStream(SCHEMA, rows())


@pytest.fixture
def server():
    calls = Calls(60, Tally())
    made = Slow(calls)
    yield made
    calls.cancel_all()
    made.shutdown()
    calls.stop()


def client(server):
    return flight.connect(f"grpc://127.0.0.1:{server.port}")


def ask(connected, command, *, timeout=None):
    descriptor = flight.FlightDescriptor.for_command(command)
    return connected.get_flight_info(descriptor, flight.FlightCallOptions(timeout=timeout))


def settle(server):
    for _ in range(200):
        if len(server.calls) == 0:
            return
        time.sleep(0.02)
    raise AssertionError(f"{len(server.calls)} calls are still under way")


def test_a_client_that_stops_waiting_ends_the_work(server):
    with client(server) as connected, pytest.raises(flight.FlightTimedOutError):
        ask(connected, b"slow", timeout=0.3)
    assert server.ended.acquire(timeout=3)
    settle(server)


def test_a_client_that_leaves_in_the_middle_of_rows_ends_the_work(server):
    connected = client(server)
    stream = connected.do_get(flight.Ticket(b"slow"))
    assert stream.read_chunk().data.num_rows == 1
    assert server.begun.acquire(timeout=3)
    stream.cancel()
    assert server.ended.acquire(timeout=3)
    settle(server)
    connected.close()


def test_a_call_is_ended_by_its_query_id(server):
    connected = client(server)
    errors = []

    def wait():
        try:
            ask(connected, b"slow")
        except flight.FlightError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert server.begun.acquire(timeout=3)
    assert not server.calls.cancel("another")
    assert server.calls.cancel("q")
    waiting.join(5)
    assert isinstance(errors[0], flight.FlightCancelledError)
    settle(server)
    assert not server.calls.cancel("q")
    connected.close()


def test_a_thousand_calls_under_the_watch_survive(server):
    """The context of a call that has ended must never be asked: that crashes the process."""

    def many():
        with client(server) as connected:
            for _ in range(125):
                ask(connected, b"quick")

    askers = [threading.Thread(target=many) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    settle(server)


def test_what_is_to_happen_at_the_end_happens_once_also_when_asked_too_late():
    calls = Calls(60, Tally())
    ended = []
    call = calls.open("q")
    calls.on_end(call, lambda: ended.append("first"))
    calls.close(call)
    calls.close(call)
    assert ended == ["first"]
    calls.on_end(call, lambda: ended.append("late"))
    assert ended == ["first", "late"]
    calls.watch(call, lambda: ended.append("never"))
    calls.cancel_all()
    assert ended == ["first", "late"]
    calls.stop()


def test_one_cancel_that_fails_does_not_end_the_watch(server):
    call = server.calls.open("broken")
    server.calls.watch(call, lambda: 1 / 0)
    assert server.calls.cancel("broken")
    server.calls.close(call)
    with client(server) as connected, pytest.raises(flight.FlightTimedOutError):
        ask(connected, b"slow", timeout=0.3)
    assert server.ended.acquire(timeout=3)
