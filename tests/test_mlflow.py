"""Models of an MLflow registry: a real server of MLflow, in an environment of its own, and servers that misbehave."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from java import one_process
from sessions import InProcess, opened
from slt import Refused

from scoter.engine.commands.mlflow import data_path, named, pinned
from scoter.errors import ConfigurationError, InvalidModel
from scoter.settings import load

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SERVER = HERE / "mlflow_server"
EXAMPLES = ROOT / "examples" / "models"
SECONDS = 600
MODELS = ("late_v1", "late_v2")


def environment() -> Path:
    """Make MLflow's virtual environment, once for each state of its requirements."""
    requirements = SERVER / "requirements.txt"
    directory = (
        ROOT / ".venv-mlflow" / sha256(requirements.read_bytes() + sys.executable.encode()).hexdigest()[:12]
    )
    python = directory / "bin" / "python"
    done = directory / ".installed"
    with one_process(ROOT / ".venv-mlflow"):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True, timeout=SECONDS)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*install, "-r", requirements], check=True, timeout=SECONDS)
            done.touch()
    return python


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of MLflow with two versions of late, the second one champion; its address."""
    python, directory = environment(), tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/registry.db"]
    command += ["--artifacts-destination", str(directory / "artifacts")]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = directory / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=directory, env=quiet, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(f"{uri}/health", process, log)
        files = [str(EXAMPLES / f"{name}.onnx") for name in MODELS]
        published = subprocess.run(
            [python, SERVER / "publish.py", uri, "late", *files],
            cwd=directory,
            env=quiet,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert published.returncode == 0, published.stderr[-3000:]
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # our own server
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(log.read_text()[-3000:])


@contextmanager
def asking(directory: Path, uri: str | None, **models: object) -> Iterator[InProcess]:
    with opened(directory, models={"mlflow_uri": uri, **models}, objects={"timeout": 5}) as engine:
        yield InProcess(engine)


def test_versions_and_aliases(registry: str, tmp_path: Path) -> None:
    with asking(tmp_path, registry) as session:
        session.update("CREATE MODEL late FROM 'models:/late/1'")
        session.update("ALTER MODEL late ADD VERSION FROM 'models:/late@champion'")
        assert session.rows("SELECT version, source FROM system.model_versions ORDER BY version") == [
            (1, "models:/late/1"),
            (2, "models:/late@champion (version 2)"),
        ]
        statements = str(session.rows("SHOW CREATE MODEL late"))
        assert "FROM ''models:/late/2''" in statements or "FROM 'models:/late/2'" in statements
        row = "'AA', 'JFK', 'LAX', 8, 2475, 180, 50, 5, 0, 10"
        assert session.value(f"SELECT PREDICT('late@2', {row})") == 1
        for source, message in {
            "models:/late/9": "has no such model, version",
            "models:/late@nobody": "has no such model, version, alias",
            "models:/nothing/1": "has no such model",
            "models:/late-plain/1": "no ONNX flavour; its flavours are python_function",
            "models:/late": "does not name a version",
            "models:/late/latest": "does not name a version",
        }.items():
            with pytest.raises(Refused, match=message):
                session.update(f"CREATE MODEL never FROM '{source}'")
    with (
        asking(tmp_path / "small", registry, max_bytes=1000) as session,
        pytest.raises(Refused, match="1,000"),
    ):
        session.update("CREATE MODEL never FROM 'models:/late/1'")


def test_without_the_setting_nothing_is_asked(tmp_path: Path) -> None:
    with asking(tmp_path, None) as session, pytest.raises(Refused, match=r"42501.*models\.mlflow_uri"):
        session.update("CREATE MODEL never FROM 'models:/late/1'")
    with pytest.raises(ConfigurationError, match="mlflow_uri"):
        load(tmp_path, models={"mlflow_uri": "file:///etc"})


class Answers(BaseHTTPRequestHandler):
    """Says on each path what the test wants; remembers the logins."""

    said: dict[str, tuple[int, bytes]]
    logins: list[str | None]

    def do_GET(self) -> None:
        type(self).logins.append(self.headers["Authorization"])
        for part, (status, body) in type(self).said.items():
            if part in self.path:
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(said: dict[str, tuple[int, bytes]]) -> Iterator[tuple[str, list[str | None]]]:
    kind = type("Said", (Answers,), {"said": said, "logins": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kind.logins
        finally:
            server.shutdown()
            thread.join()


PLACE = (200, b'{"artifact_uri": "mlflow-artifacts:/0/m"}')


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"download-uri": (302, b"")}, "58000.*status 302"),
        ({"download-uri": (500, b"")}, "58000.*status 500"),
        ({"download-uri": (401, b"")}, "42501.*refuses the login"),
        ({"download-uri": (200, b"<html>")}, "58000.*can not be read"),
        ({"download-uri": (200, b"[1]")}, "58000.*can not be read"),
        ({"download-uri": (200, b'{"artifact_uri": "file:///etc"}')}, "42501.*allowed_prefixes"),
        ({"download-uri": (200, b'{"artifact_uri": "mlflow-artifacts://other/0"}')}, "42501.*another server"),
        ({"download-uri": (200, b'{"artifact_uri": "mlflow-artifacts:/../0"}')}, "outside its own"),
        ({"download-uri": PLACE, "MLmodel": (200, b"a: [")}, "MLmodel can not be read"),
        ({"download-uri": PLACE, "MLmodel": (200, b"{flavors: {onnx: {data: ../x}}}")}, "outside the model"),
        ({"download-uri": PLACE, "MLmodel": (200, b"x" * 2**21)}, "more than 1,048,576 bytes"),
        ({"download-uri": PLACE, "MLmodel": (200, b"{flavors: {onnx: {data: m}}}")}, "has no such"),
    ],
)
def test_servers_that_misbehave(tmp_path: Path, said: dict[str, tuple[int, bytes]], message: str) -> None:
    with (
        answering(said) as (uri, _),
        asking(tmp_path, uri) as session,
        pytest.raises(Refused, match=message),
    ):
        session.update("CREATE MODEL never FROM 'models:/late/1'")


def test_a_server_that_is_away(tmp_path: Path) -> None:
    with (
        asking(tmp_path, "http://127.0.0.1:9") as session,
        pytest.raises(Refused, match=r"58000.*does not answer"),
    ):
        session.update("CREATE MODEL never FROM 'models:/late/1'")


def test_the_login_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering({}) as (uri, logins), asking(tmp_path, uri) as session:
        for variables in ({}, {"TOKEN": "t"}, {"USERNAME": "ann", "PASSWORD": "p"}):
            for name, value in variables.items():
                monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
            with pytest.raises(Refused, match="has no such"):
                session.update("CREATE MODEL never FROM 'models:/late/1'")
    assert logins == [None, "Bearer t", "Basic YW5uOnA="]


def test_files_elsewhere_need_a_prefix(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    place.mkdir()
    (place / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}")
    (place / "model.onnx").write_bytes((EXAMPLES / "late_v1.onnx").read_bytes())
    said = {"download-uri": (200, f'{{"artifact_uri": "file://{place}"}}'.encode())}
    with answering(said) as (uri, _):
        with asking(tmp_path / "open", uri, allowed_prefixes=[str(place)]) as session:
            session.update("CREATE MODEL late FROM 'models:/late/1'")
        with asking(tmp_path / "closed", uri) as session, pytest.raises(Refused, match="42501"):
            session.update("CREATE MODEL late FROM 'models:/late/1'")


def test_names() -> None:
    assert named("models:/a b.c/12") == ("a b.c", "12")
    assert named("models:/späť@x:y") == ("späť", "@x:y")
    for wrong in ("models:/", "models:/a", "models:/a/0", "models:/a/b/1", "models://host/a/1", "models:/a@"):
        with pytest.raises(InvalidModel):
            named(wrong)
    assert pinned("models:/a@b (version 3)") == "models:/a/3"
    assert pinned("/srv/a@b (version 3)") == "/srv/a@b (version 3)"
    assert data_path(b"flavors: {onnx: {data: model.onnx}}") == "model.onnx"
