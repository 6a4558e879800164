"""A served lake in the test's process, and a Flight SQL client made of the protocol's own bytes.

This module must not know what is tested.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.any_pb2 import Any as Packed
from pyarrow import flight

from scoter import settings
from scoter.server.flightsql import messages_pb2 as m
from scoter.server.flightsql.sealed_pb2 import Ticket
from scoter.server.serve import Running

URL = "type.googleapis.com/arrow.flight.protocol.sql."


@contextmanager
def served(directory: Path, **flags: Any):
    """Serve a lake on a free port of this machine."""
    server = {"port": 0, **flags.pop("server", {})}
    found = settings.load(directory / "lake", server=server, log=directory / "log.jsonl", **flags)
    running = Running(found)
    try:
        yield running
    finally:
        assert running.close(), "a call did not end"


def wait_for(condition: Any, seconds: float = 20.0) -> bool:
    """Say whether ``condition`` came true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.001)
    return False


def certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and localhost; return its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def values(table: pa.Table) -> list[tuple[Any, ...]]:
    """Return the rows as tuples."""
    return [tuple(row.values()) for row in table.to_pylist()]


def packed(message: Any, name: str | None = None) -> bytes:
    """Wrap a message as the protocol does."""
    url = URL + (name or message.DESCRIPTOR.name)
    return Packed(type_url=url, value=message.SerializeToString()).SerializeToString()


class Client:
    """A raw client; it keeps the token that it is handed, as ADBC does, unless told not to."""

    def __init__(self, address: str, *, keep_token: bool = True, **headers: str) -> None:
        self.headers = {name: value.encode() for name, value in headers.items()}
        self.answered: dict[str, list[str]] = {}
        self.keep_token = keep_token
        self.flight = flight.connect(address, middleware=[_Factory(self)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flight.close()

    def info(self, message: Any, **options: Any) -> flight.FlightInfo:
        descriptor = flight.FlightDescriptor.for_command(packed(message))
        return self.flight.get_flight_info(descriptor, flight.FlightCallOptions(**options))

    def schema(self, message: Any) -> pa.Schema:
        return self.flight.get_schema(flight.FlightDescriptor.for_command(packed(message))).schema

    def table(self, message: Any) -> pa.Table:
        """Run a command and fetch its rows; the advertised schema must be the one that is sent."""
        info = self.info(message)
        (endpoint,) = info.endpoints
        found = self.flight.do_get(endpoint.ticket).read_all()
        assert found.schema.equals(info.schema, check_metadata=True)
        return found

    def query(self, sql: str) -> pa.Table:
        return self.table(m.CommandStatementQuery(query=sql))

    def update(self, sql: str) -> int:
        return self.put(m.CommandStatementUpdate(query=sql), pa.schema([]), [])

    def put(self, message: Any, schema: pa.Schema, batches: list[pa.RecordBatch]) -> Any:
        """Send rows with a command; return the count of an update, the handle of a bind."""
        descriptor = flight.FlightDescriptor.for_command(packed(message))
        writer, reader = self.flight.do_put(descriptor, schema)
        with writer:
            for batch in batches:
                writer.write_batch(batch)
            writer.done_writing()
            answer = reader.read()
            assert reader.read() is None
        if isinstance(message, m.CommandPreparedStatementQuery):
            bound = m.DoPutPreparedStatementResult()
            bound.ParseFromString(answer.to_pybytes())
            return bound.prepared_statement_handle
        counted = m.DoPutUpdateResult()
        counted.ParseFromString(answer.to_pybytes())
        return counted.record_count

    def act(self, name: str, body: bytes) -> bytes | None:
        results = list(self.flight.do_action(flight.Action(name, body)))
        assert len(results) <= 1
        return results[0].body.to_pybytes() if results else None

    def prepare(self, sql: str) -> m.ActionCreatePreparedStatementResult:
        request = m.ActionCreatePreparedStatementRequest(query=sql)
        body = self.act("CreatePreparedStatement", packed(request))
        wrapped = Packed()
        wrapped.ParseFromString(body)
        assert wrapped.type_url == URL + "ActionCreatePreparedStatementResult"
        result = m.ActionCreatePreparedStatementResult()
        result.ParseFromString(wrapped.value)
        return result

    def exchange(self, command: bytes) -> pa.Table:
        writer, reader = self.flight.do_exchange(flight.FlightDescriptor.for_command(command))
        with writer:
            return reader.read_all()

    def query_id(self, info: flight.FlightInfo) -> str:
        """Return the query id in a FlightInfo's ticket; clients can not read it, the server's tests can."""
        wrapped = Packed()
        wrapped.ParseFromString(info.endpoints[0].ticket.ticket)
        handle = m.TicketStatementQuery()
        handle.ParseFromString(wrapped.value)
        ticket = Ticket()
        ticket.ParseFromString(handle.statement_handle[16:])
        return ticket.query_id

    def refusal(self, call: Any, *arguments: Any) -> Exception:
        """Return the error of a call that must fail."""
        try:
            call(*arguments)
        except (flight.FlightError, pa.ArrowException) as error:
            return error
        raise AssertionError("the call succeeded")


class _Factory(flight.ClientMiddlewareFactory):
    def __init__(self, client: Client) -> None:
        self.client = client

    def start_call(self, info: Any) -> _Headers:  # noqa: ARG002  # Flight calls it so
        return _Headers(self.client)


class _Headers(flight.ClientMiddleware):
    def __init__(self, client: Client) -> None:
        self.client = client

    def sending_headers(self) -> dict[str, Any]:
        return dict(self.client.headers)

    def received_headers(self, headers: dict[str, list[Any]]) -> None:
        if "authorization" in headers:
            self.client.answered = {name: list(values) for name, values in headers.items()}
            if self.client.keep_token:
                value = headers["authorization"][-1]
                self.client.headers["authorization"] = value.encode() if isinstance(value, str) else value
