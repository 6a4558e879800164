"""The life of a server process: refuse unsafe settings, listen, say so, drain on a signal, stop.

This module must not know the protocol.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import pyarrow as pa

from scoter.engine.service import Engine
from scoter.errors import ConfigurationError
from scoter.server.flight import FlightSqlServer
from scoter.server.process import limit_memory, tune
from scoter.settings import Server as ServerSettings
from scoter.settings import Settings

_QUIET = 0.2  # seconds without a call after which a draining server is done: a fetch may follow its info
_LAST = 5.0  # seconds that cancelled statements get to end
_LOOK = 0.5  # seconds between two looks for a signal
_FORCED = 1.0  # the same, after a second signal


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve a lake until SIGTERM or SIGINT; ``ready`` gets the address once calls are accepted.

    Must run in the main thread. A first signal refuses new statements and lets running ones finish,
    at most ``drain_seconds``; a second ends them at once. Raises ConfigurationError for settings that
    can not or must not be served.
    """
    tune()
    limit_memory(settings.server.memory_limit)
    stop = Stop()
    running = Running(settings)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.ask)
        running.engine.journal.event("listening", address=running.address, open_to_all=running.open_to_all)
        ready(running.address)
        stop.wait()
        running.drain(stop)
    finally:
        ended = running.close()
    if not ended:
        # gRPC waits for its calls for ever, also at the interpreter's exit.
        os._exit(1)
    # DuckDB's Python binding prints what is alive at the exit as leaked, also what only awaits the collector.
    del running
    gc.collect()


class Stop:
    """Counts the requests to stop."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._forced = threading.Event()

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ask to stop; asked again, to stop at once."""
        if self._asked.is_set():
            self._forced.set()
        self._asked.set()

    @property
    def forced(self) -> bool:
        """Say whether to stop at once."""
        return self._forced.is_set()

    def wait(self) -> None:
        """Wait until asked."""
        # The system may hand a signal to another thread: Python then calls its handler when this one wakes.
        while not self._asked.wait(_LOOK):
            pass


class Running:
    """A lake that is being served; a context manager, for embedding and for tests."""

    def __init__(self, settings: Settings) -> None:
        certificates = _certificates(settings.server)
        self._settings = settings
        self.engine = Engine(settings)
        try:
            self.open_to_all = not self.engine.principals.exist()
            _refuse_exposure(settings.server, self.open_to_all)
            scheme = "grpc+tls" if certificates else "grpc"
            host = settings.server.host
            shown = f"[{host}]" if ":" in host else host
            self.server = _listen(self.engine, settings, f"{scheme}://{shown}", certificates)
        except BaseException:
            self.engine.close()
            raise
        self.address = f"{scheme}://{shown}:{self.server.port}"

    def __enter__(self) -> Self:
        """Return itself: it listens since it was made."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop as close does."""
        self.close()

    def close(self) -> bool:
        """Stop listening, end what runs and close the lake; return whether every call has ended."""
        self.server.draining = True
        self.server.calls.cancel_all()
        # Shutting down waits for the calls under way; one that does not end must not hold up the rest.
        closing = threading.Thread(target=self.server.shutdown, name="scoter-stop", daemon=True)
        closing.start()
        closing.join(_LAST)
        ended = not closing.is_alive()
        self.engine.journal.event("stopped", calls=len(self.server.calls), counts=self.server.tally.totals())
        if ended:
            self.server.calls.stop()
            self.engine.close()
        return ended

    def drain(self, stop: Stop) -> None:
        """Refuse new statements; return when the running ones have ended, or were told to end."""
        self.server.draining = True
        self.engine.journal.event("draining", calls=len(self.server.calls))
        deadline = time.monotonic() + self._settings.server.drain_seconds
        quiet = time.monotonic()
        while time.monotonic() < deadline and not stop.forced:
            if len(self.server.calls):
                quiet = time.monotonic()
            elif time.monotonic() - quiet >= _QUIET:
                return
            time.sleep(0.02)
        self.server.calls.cancel_all()
        end = time.monotonic() + (_FORCED if stop.forced else _LAST)
        while len(self.server.calls) and time.monotonic() < end:
            time.sleep(0.02)


def _listen(
    engine: Engine, settings: Settings, location: str, certificates: list[tuple[bytes, bytes]]
) -> FlightSqlServer:
    _refuse_used_port(settings.server)
    tls: dict[str, Any] = {"tls_certificates": certificates} if certificates else {}
    try:
        return FlightSqlServer(engine, settings, f"{location}:{settings.server.port}", **tls)
    except (pa.ArrowException, OSError) as error:
        raise _not_listening(settings.server) from error


def _refuse_used_port(server: ServerSettings) -> None:
    # gRPC would write its own lines on standard error; a socket of ours finds out first.
    if server.port == 0:
        return
    family, kind, protocol, _, address = socket.getaddrinfo(
        server.host, server.port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise _not_listening(server) from error


def _not_listening(server: ServerSettings) -> ConfigurationError:
    return ConfigurationError(
        f"can not listen on {server.host}:{server.port}",
        hint="the port may be in use, or the address not one of this machine; --port 0 takes a free port",
    )


def _certificates(server: ServerSettings) -> list[tuple[bytes, bytes]]:
    if server.tls_cert is None and server.tls_key is None:
        return []
    if server.tls_cert is None or server.tls_key is None:
        raise ConfigurationError("tls_cert and tls_key are needed together")
    try:
        return [(server.tls_cert.read_bytes(), server.tls_key.read_bytes())]
    except OSError as error:
        raise ConfigurationError(f"a TLS file can not be read: {error.strerror}") from error


def _refuse_exposure(server: ServerSettings, open_to_all: bool) -> None:
    if _is_loopback(server.host):
        return
    if server.tls_cert is None:
        raise ConfigurationError(
            f"{server.host} can be reached from other machines, and there is no TLS",
            hint="set --tls-cert and --tls-key, or listen on 127.0.0.1",
        )
    if open_to_all:
        raise ConfigurationError(
            f"{server.host} can be reached from other machines, and the lake has no user",
            hint="add one with `scoter user add NAME --role admin`, or listen on 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    """Say whether every address that the host name stands for is this machine's own."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(f"the host {host!r} is not known") from error
    return all(ipaddress.ip_address(str(address[4][0]).split("%")[0]).is_loopback for address in found)
