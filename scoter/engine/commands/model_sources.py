"""The bytes that FROM 'uri' means: files under allowed prefixes, and versions of an MLflow registry.

This module must not know what a model file holds.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

import fsspec

from scoter.engine.cancellation import watch
from scoter.engine.commands.mlflow import SCHEME, Registry, data_path, named, origin
from scoter.engine.commands.outcome import Call
from scoter.engine.statements import span_of
from scoter.errors import InvalidModel, PermissionDenied, ScoterError
from scoter.settings import mlflow_login

_DESCRIPTION = "MLmodel"
_DESCRIPTION_MOST = 1024 * 1024
_FETCH_SECONDS = 600  # for all of a file; a server may send it drop by drop


def read_source(uri: str, call: Call) -> tuple[bytes, str]:
    """Return a model file and the text that says where it came from.

    Raises PermissionDenied for a place that no setting allows, InvalidModel for what is not there or too large,
    Unreachable for a registry that does not answer.
    """
    if not uri.startswith(SCHEME):
        return _read_place(uri, call), uri
    try:
        return _read_registry(uri, call)
    except ScoterError as error:
        error.span = error.span or span_of(call.tree.args["source"])
        raise


def _read_registry(uri: str, call: Call) -> tuple[bytes, str]:
    name, reference = named(uri)
    settings = call.parts.settings
    if settings.models.mlflow_uri is None:
        raise PermissionDenied(
            "no MLflow registry is set",
            hint="the setting models.mlflow_uri names one; FROM ? takes the file as a parameter",
        )
    check = watch(call.cancellation, _FETCH_SECONDS)
    with Registry(settings.models.mlflow_uri, mlflow_login(), settings.objects.timeout, check) as registry:
        version, place = registry.find(name, reference)

        def read(path: str, most: int) -> bytes:
            found = registry.artifact(place, path, most)
            return _read_place(f"{place.rstrip('/')}/{path}", call) if found is None else found

        data = read(data_path(read(_DESCRIPTION, _DESCRIPTION_MOST)), settings.models.max_bytes)
    return data, origin(uri, version)


def _read_place(uri: str, call: Call) -> bytes:
    """Return a model file's bytes; its URI, with links followed, must lie under an allowed prefix.

    Raises PermissionDenied for any other place, InvalidModel for a file that is missing or too large.
    """
    limits = call.parts.settings.models
    span = span_of(call.tree.args["source"])
    scheme = urlparse(uri).scheme
    if scheme in {"", "file"}:
        path = _local(uri)
        allowed = any(
            path.is_relative_to(_local(prefix))
            for prefix in limits.allowed_prefixes
            if urlparse(prefix).scheme in {"", "file"}
        )
        target = str(path)
    else:
        allowed = ".." not in uri.split("/") and any(
            uri.startswith(prefix.rstrip("/") + "/") for prefix in limits.allowed_prefixes
        )
        target = uri
    if not allowed:
        raise PermissionDenied(
            "the model file lies under none of models.allowed_prefixes",
            hint="send the file as a parameter with FROM ?, or have the prefix allowed",
            span=span,
        )
    try:
        with fsspec.open(target, "rb") as file:
            data: bytes = file.read(limits.max_bytes + 1)
    except (OSError, ImportError, ValueError) as error:
        raise InvalidModel("the model file can not be read", span=span) from error
    if len(data) > limits.max_bytes:
        raise InvalidModel(f"the model file has more than {limits.max_bytes:,} bytes", span=span)
    return data


def _local(uri: str) -> Path:
    parsed = urlparse(uri)
    return Path(unquote(parsed.path) if parsed.scheme == "file" else uri).resolve()
