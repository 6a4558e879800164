"""The proxy of the operations guide: nginx with the configuration that it shows, before a real server."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from documents import ROOT, blocks
from flight_sql import certificate, packed, wait_for
from raw_flight import Raw, descriptor, outcome
from test_server_process import process

from scoter.catalog.principals import Role
from scoter.engine.service import Engine
from scoter.server.flightsql import messages_pb2 as m
from scoter.settings import load

MIB = 2**20
ENDLESS = "SELECT count(*) AS n FROM range(3000000) a(i), range(3000000) b(j) WHERE (i * j) % 7 = 8"
BASIC = "Basic " + base64.b64encode(b"ann:right horse").decode()


def nginx_binary() -> str:
    """Return nginx; skip without it, or fail where CI=true."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("nginx is not installed, and CI must run the test of the proxy")
        pytest.skip("nginx is not installed")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(directory: Path, port: int, upstream: str) -> Path:
    """Write the block of the guide with this machine's places, inside what Debian's package puts around it."""
    (block,) = [b for b in blocks(ROOT / "docs" / "operations.md") if b.language == "nginx"]
    text = block.text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = text.replace("/etc/scoter/", f"{directory}/").replace("127.0.0.1:31337", upstream)
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    found = directory / "nginx.conf"
    found.write_text(
        f"daemon off;\npid {directory}/nginx.pid;\nerror_log {directory}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return found


class Proxied:
    """A server behind nginx, and how to reach both."""

    def __init__(self, server: subprocess.Popen[str], directory: Path, port: int) -> None:
        self.server = server
        self.direct = server.address
        self.address = f"grpc+tls://127.0.0.1:{port}"
        self.certificate = (directory / "cert.pem").read_bytes()
        self.log = directory / "nginx.log"

    def peak(self) -> int:
        """Return the most bytes that the server has had in memory."""
        text = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


@contextmanager
def proxied(directory: Path):
    binary = nginx_binary()
    engine = Engine(load(directory / "lake", log=directory / "log.jsonl"))
    engine.principals.add("ann", Role.ADMIN, "right horse")
    engine.close()
    certificate(directory)
    with process(directory) as server:
        port = free_port()
        upstream = server.address.partition("://")[2]
        found = configuration(directory, port, upstream)
        proxy = subprocess.Popen([binary, "-p", str(directory), "-c", str(found)], stderr=subprocess.PIPE)
        try:
            assert wait_for(lambda: listening(port) or proxy.poll() is not None, 10)
            assert proxy.poll() is None, proxy.stderr.read().decode()
            yield Proxied(server, directory, port)
        finally:
            proxy.terminate()
            proxy.wait(10)
            proxy.stderr.close()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    with proxied(tmp_path_factory.mktemp("proxy")) as found:
        yield found


@pytest.fixture
def raw(behind):
    made = Raw(behind.address, behind.certificate)
    yield made
    made.close()


def test_a_driver_works_through_it(behind):
    most = str(256 * MIB)
    options = {
        "username": "ann",
        "password": "right horse",
        "adbc.flight.sql.client_option.tls_root_certs": behind.certificate.decode(),
        "adbc.flight.sql.client_option.with_max_msg_size": most,
        "adbc.flight.sql.rpc.call_header.scoter-max-message-bytes": most,
    }
    with adbc.connect(behind.address, options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n BIGINT, s VARCHAR)")
        cursor.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"s{i}") for i in range(1000)])
        cursor.execute("SELECT count(*), max(n) FROM t WHERE n >= ?", (500,))
        assert cursor.fetchall() == [(500, 999)]
        # Answers are not limited, nor rows that are written.
        cursor.execute("SELECT repeat('x', 50000000) AS t")
        assert len(cursor.fetchone()[0]) == 50_000_000
        rows = pa.table({"n": pa.array(range(3_000_000), pa.int64()), "s": ["text"] * 3_000_000})
        assert cursor.adbc_ingest("u", rows, mode="create") == 3_000_000
        cursor.execute("SET query_tag = 'mine'")
        cursor.execute("SHOW query_tag")
        assert cursor.fetchall() == [("query_tag", "mine")]


def test_a_stranger_makes_the_server_hold_nothing(behind, raw):
    before = behind.peak()
    large = descriptor(packed(m.CommandStatementQuery(query="x" * (150 * MIB))))
    code, said = outcome(raw.ask("GetFlightInfo", large, timeout=60))
    assert (code, said) == ("RESOURCE_EXHAUSTED", "the request is larger than the proxy allows")

    # Rows pass the proxy, and the server checks the login before it reads them.
    def rows():
        for _ in range(150):
            yield large[:MIB]

    code, said = outcome(raw.send("DoPut", rows(), timeout=60))
    assert code == "UNAUTHENTICATED"
    assert "[28000] AUTHENTICATION_FAILED" in said
    assert behind.peak() - before < 64 * MIB


def test_what_the_proxy_prevents_is_real(behind):
    """Without the proxy the message is read before the login is looked at."""
    before = behind.peak()
    direct = Raw(behind.direct)
    large = descriptor(packed(m.CommandStatementQuery(query="x" * (150 * MIB))))
    assert outcome(direct.ask("GetFlightInfo", large, timeout=60))[0] == "UNAUTHENTICATED"
    direct.close()
    assert behind.peak() - before > 100 * MIB


def test_errors_pass_as_they_are(behind, raw):
    command = descriptor(packed(m.CommandStatementQuery(query="SELECT * FROM nowhere")))
    code, said = outcome(raw.ask("GetFlightInfo", command, authorization=BASIC))
    assert code == "UNKNOWN"
    assert re.match(r"\[42P01\] UNDEFINED_TABLE: .*Query id [0-9a-f]{32}", said)
    assert outcome(raw.ask("GetFlightInfo", command))[0] == "UNAUTHENTICATED"


def test_a_client_that_leaves_ends_its_statement_behind_the_proxy(behind, raw):
    insert = descriptor(packed(m.CommandStatementQuery(query=f"CREATE TABLE never AS {ENDLESS}")))
    code, _ = outcome(raw.ask("GetFlightInfo", insert, timeout=1, authorization=BASIC))
    assert code == "DEADLINE_EXCEEDED"
    log = behind.log.parent / "log.jsonl"
    assert wait_for(lambda: '"57014"' in log.read_text())


def test_nothing_else_is_there(raw):
    call = raw.channel.unary_stream("/grpc.health.v1.Health/Check")
    assert outcome(call(b"", timeout=10))[0] == "UNIMPLEMENTED"


def test_a_server_that_is_away_is_said_to_be_away(tmp_path):
    with proxied(tmp_path) as found:
        found.server.terminate()
        found.server.wait(20)
        raw = Raw(found.address, found.certificate)
        command = descriptor(packed(m.CommandStatementQuery(query="SELECT 1")))
        code, said = outcome(raw.ask("GetFlightInfo", command, timeout=10, authorization=BASIC))
        raw.close()
    assert (code, said.startswith("the server can not be reached")) == ("UNAVAILABLE", True)
