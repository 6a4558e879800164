"""Versions of models in an MLflow registry, found and fetched by its REST interface.

MLflow's own client would bring forty packages, a web server and cloud kits among them, for three requests.
This module must not know SQL, nor which places may be read beside the registry's own.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import requests

from scoter.errors import InvalidModel, NotSupported, PermissionDenied, Unreachable

SCHEME = "models:/"
_PROXIED = "mlflow-artifacts"
_SOURCE = re.compile(r"models:/([^/@:]+)(?:/([1-9][0-9]*)|@([^/@]+))")
_ANSWER_MOST = 1024 * 1024
_CHUNK = 1024 * 1024

Login = tuple[str, str] | str | None


def named(uri: str) -> tuple[str, str]:
    """Return the model's name, and its version's number or an alias behind @.

    >>> named("models:/late/3"), named("models:/late@champion")
    (('late', '3'), ('late', '@champion'))

    Raises InvalidModel for anything else.
    """
    found = _SOURCE.fullmatch(uri)
    if found is None:
        raise InvalidModel(
            "the source does not name a version of an MLflow registry",
            hint="write models:/name/3 or models:/name@alias",
        )
    name, number, alias = found.groups()
    return name, number or f"@{alias}"


def origin(uri: str, version: str) -> str:
    """Return what is kept of a source: an alias may mean another version tomorrow."""
    return uri if uri.endswith(f"/{version}") else f"{uri} (version {version})"


def pinned(source: str) -> str:
    """Return a source that means the version which was read.

    >>> pinned("models:/late@champion (version 3)")
    'models:/late/3'
    """
    return re.sub(r"^(models:/[^/@:]+)@.* \(version ([0-9]+)\)$", r"\1/\2", source)


def data_path(description: bytes) -> str:
    """Return the path of the ONNX file that a file MLmodel names; raises InvalidModel where it names none."""
    try:
        yaml = importlib.import_module("yaml")
    except ImportError as error:
        raise NotSupported("PyYAML is not installed", hint="pip install 'scoter[mlflow]'") from error
    try:
        flavors = yaml.safe_load(description)["flavors"]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidModel("the registry's file MLmodel can not be read") from error
    onnx = flavors.get("onnx") if isinstance(flavors, dict) else None
    path = onnx.get("data") if isinstance(onnx, dict) else None
    if not isinstance(path, str):
        known = ", ".join(sorted(map(str, flavors))) if isinstance(flavors, dict) else "none"
        raise InvalidModel(
            f"the model has no ONNX flavour; its flavours are {known[:200]}",
            hint="log it with mlflow.onnx.log_model",
        )
    if not path or path.startswith("/") or not re.fullmatch(r"[\w .+/=@-]+", path) or ".." in path.split("/"):
        raise InvalidModel("the registry's file MLmodel names a file outside the model")
    return path


class Registry:
    """One MLflow server, asked for one statement; ``check`` raises when that must end."""

    def __init__(self, uri: str, login: Login, timeout: float, check: Callable[[], None]) -> None:
        self._uri = uri.rstrip("/")
        self._timeout = timeout
        self._check = check
        self._session = requests.Session()
        if isinstance(login, tuple):
            self._session.auth = login
        elif login is not None:
            self._session.headers["Authorization"] = f"Bearer {login}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def find(self, name: str, reference: str) -> tuple[str, str]:
        """Return a version's number and the place of its files; raises InvalidModel where there is none."""
        version = reference
        if reference.startswith("@"):
            found = self._ask("registered-models/alias", name=name, alias=reference[1:])
            version = str(found.get("model_version", {}).get("version", ""))
            if not version.isdecimal():
                raise Unreachable("the MLflow server's answer can not be read")
        found = self._ask("model-versions/get-download-uri", name=name, version=version)
        place = found.get("artifact_uri")
        if not isinstance(place, str):
            raise Unreachable("the MLflow server's answer can not be read")
        return version, place

    def artifact(self, place: str, path: str, most: int) -> bytes | None:
        """Return a file below a place that the server itself gives out; None for a place elsewhere.

        Raises InvalidModel for a file that is missing or has more than ``most`` bytes.
        """
        parts = urlsplit(place)
        if parts.scheme != _PROXIED:
            return None
        if parts.netloc and parts.netloc != urlsplit(self._uri).netloc:
            raise PermissionDenied("the model's files lie on another server than models.mlflow_uri")
        steps = [step for step in f"{parts.path}/{path}".split("/") if step]
        if ".." in steps:
            raise InvalidModel("the MLflow server names a file outside its own")
        url = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{'/'.join(map(quote, steps))}"
        return self._fetch(url, {}, most)

    def _ask(self, method: str, **parameters: str) -> dict[str, Any]:
        data = self._fetch(f"{self._uri}/api/2.0/mlflow/{method}", parameters, _ANSWER_MOST)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise Unreachable("the MLflow server's answer can not be read") from error
        return answer if isinstance(answer, dict) else {}

    def _fetch(self, url: str, parameters: dict[str, str], most: int) -> bytes:
        self._check()
        try:
            # A redirect could lead anywhere, with the login.
            with self._session.get(
                url, params=parameters, timeout=self._timeout, stream=True, allow_redirects=False
            ) as answer:
                self._refuse(answer)
                return self._read(answer, most)
        except requests.RequestException as error:
            raise Unreachable(
                "the MLflow server does not answer", hint="the setting models.mlflow_uri says where it is"
            ) from error

    def _refuse(self, answer: requests.Response) -> None:
        # MLflow calls an alias that does not exist a wrong parameter.
        if answer.status_code in (requests.codes.not_found, requests.codes.bad_request):
            raise InvalidModel("the MLflow registry has no such model, version, alias or file")
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise PermissionDenied(
                "the MLflow server refuses the login",
                hint="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, hold it",
            )
        if answer.status_code != requests.codes.ok:
            raise Unreachable(f"the MLflow server answers with the status {answer.status_code}")

    def _read(self, answer: requests.Response, most: int) -> bytes:
        data = bytearray()
        for chunk in answer.iter_content(_CHUNK):
            self._check()
            data += chunk
            if len(data) > most:
                raise InvalidModel(f"the registry's file has more than {most:,} bytes")
        return bytes(data)
