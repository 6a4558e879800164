"""Loaded models: one ONNX Runtime session for each file, the least recently used let go first.

This module must not know SQL, signatures or connections.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from onnx.onnx_ml_pb2 import ModelProto

from scoter.errors import ConfigurationError, ModelFailed
from scoter.udfs.artifacts import Artifacts
from scoter.udfs.compiling import Compiled, Trees, compiled, has_trees, is_available
from scoter.udfs.graphs import convolves
from scoter.udfs.preparation import prepare
from scoter.udfs.runtime import onnxruntime
from scoter.udfs.texts import Texts, encode

_FATAL_ONLY = 4
# Seconds of ONNX Runtime after which trees are compiled: what that takes with Numba's cache, the first time in a process.
WORTH = 0.5

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": _CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


def open_session(prepared: bytes, *, threads: int, provider: str = "cpu") -> onnxruntime.InferenceSession:
    """Return a session of a prepared model with ``threads`` threads inside one call.

    Operators that ``provider`` does not have run on the CPU. Raises ModelFailed where it can not be used at all:
    ONNX Runtime itself would go on without it.
    """
    wanted = _PROVIDERS[provider]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(prepared, options, providers=list(dict.fromkeys([wanted, _CPU])))
    if wanted not in session.get_providers():
        raise ModelFailed(
            f"ONNX Runtime can not use {provider}", hint="its log on the server's side says why"
        )
    return session


def check_provider(provider: str) -> None:
    """Raise ConfigurationError for a provider that the installed ONNX Runtime was built without."""
    there = [name for name, own in _PROVIDERS.items() if own in onnxruntime.get_available_providers()]
    if provider not in there:
        raise ConfigurationError(
            f"setting models.execution_provider: the installed ONNX Runtime has no {provider}",
            hint=f"it has {', '.join(there)}; others come with other packages of ONNX Runtime, as onnxruntime-gpu",
        )


# What ONNX Runtime writes of its own inside, in plainer words: at the beginning, which may name a node, and behind it.
_BEGINNINGS = (
    (r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", ""),
    (r"^This is an invalid model\. In Node, .* , Error (?=No Op registered)", ""),
    (r'^This is an invalid model\. In Node, \("([^"]*)", (\w+), .* , Error ', r"the operator \2 '\1': "),
    (
        r"^Non-zero status code returned while running (\w+) node\. Name:'([^']*)' Status Message: ",
        r"the operator \1 '\2': ",
    ),
    (r"^Node \((.*?)\) Op \((\w+)\) \[\w+\] ", r"the operator \2 '\1': "),
    (r"(?<=\w) ''(?=:)", ""),
)
_RESTS = (
    (r"(?:[A-Za-z]:)?(?:/[\w.+-]+){2,}(?::\d+)?", "…"),
    (r"… [^']*? was false\. ", ""),
    (r"(?:…|\b\w+\.(?:h|cc):\d+) \w+ (?=[A-Z])", ""),
    (r"No Op registered for (\w+) with domain_version of (\d+)", r"opset \2 has no operator \1"),
    (r" in node \(\)", ""),
)
_OPERATOR = re.compile(r"the operator \w+(?: '[^']*')?: ")


def reason(error: BaseException) -> str:
    """Return what ONNX Runtime says, as one short line without its source paths and functions.

    >>> reason(ValueError("Non-zero status code returned while running Gather node. Name:'a' Status Message: too far"))
    "the operator Gather 'a': too far"
    """
    text = _plainer(" ".join(str(error).split()), _BEGINNINGS)
    named = _OPERATOR.match(text)
    operator = named.group() if named is not None else ""
    text = operator + _plainer(text.removeprefix(operator), _RESTS)
    return text[:300] or type(error).__name__


# How ONNX Runtime says that an allocation failed: it raises no error of its own for it.
_NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "AllocateRawInternal")


def is_memory(error: BaseException) -> bool:
    """Say whether ONNX Runtime, NumPy or Python means that there is not enough memory."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY)


def _plainer(text: str, patterns: Sequence[tuple[str, str]]) -> str:
    for pattern, plain in patterns:
        text = re.sub(pattern, plain, text)
    return text


_Key = tuple[str, bool]  # sha256, and whether the number of rows was set free


@dataclass(frozen=True)
class Loaded:
    """A session, its artifact's sha256 and the bytes that it is counted with.

    ``free`` says whether a number of rows that the file fixes was set free; the inputs in ``texts`` take places in
    these lists. ``trees``, if any, run in the session's place once they are compiled. A model that ``convolves`` gets
    fewer rows at a time.
    """

    sha256: str
    free: bool
    session: onnxruntime.InferenceSession
    size: int
    texts: Mapping[str, Texts]
    trees: Trees | None = None
    convolves: bool = False

    def run(self, wanted: list[str], feeds: Any, options: object) -> tuple[list[Any], bool]:
        """Return the wanted outputs, and whether compiled trees made them."""
        if self.trees is None:
            return self.session.run(wanted, feeds, options), False
        return self.trees.run(self.session, wanted, feeds, options)


class Sessions:
    """Sessions by sha256 of the artifact, at most ``cache_bytes`` of model files.

    ``threads`` is the number of threads inside one call; 1 means that a call runs on its caller's
    thread alone and parallelism comes from callers, so that many statements do not ask for more threads than
    they have. ``provider`` is what models run on. The most recently used model always stays.

    With ``compile_trees`` an ensemble of trees is compiled once it has run for ``WORTH`` seconds.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        cache_bytes: int,
        *,
        threads: int = 1,
        provider: str = "cpu",
        compile_trees: bool = False,
    ) -> None:
        self._artifacts = artifacts
        self._cache_bytes = cache_bytes
        self._threads = threads
        self.provider = provider
        # With more threads ONNX Runtime adds up trees in an order of its own.
        self._compile_trees = compile_trees and provider == "cpu" and threads == 1 and is_available()
        self._lock = threading.Lock()
        self._loaded: OrderedDict[_Key, Loaded] = OrderedDict()
        # One for each artifact that was ever asked for: others may wait at one when its session is gone again.
        self._loading: dict[_Key, threading.Lock] = {}
        self._bytes = 0

    def get(self, sha256: str, *, free: bool = True) -> Loaded:
        """Return the session of an artifact, loading it once however many threads ask.

        With ``free`` a number of rows that the file fixes is set free. Raises CorruptData when the artifact is
        missing or changed, ModelFailed when ONNX Runtime does not accept it any more.
        """
        key = (sha256, free)
        with self._lock:
            found = self._loaded.get(key)
            if found is not None:
                self._loaded.move_to_end(key)
                return found
            gate = self._loading.setdefault(key, threading.Lock())
        with gate:
            with self._lock:
                found = self._loaded.get(key)
            if found is not None:
                return found
            loaded = self._load(sha256, free=free)
            with self._lock:
                self._loaded[key] = loaded
                self._bytes += loaded.size
                while self._bytes > self._cache_bytes and len(self._loaded) > 1:
                    _, dropped = self._loaded.popitem(last=False)
                    self._bytes -= dropped.size
            return loaded

    def forget(self, sha256: str) -> None:
        """Let a session go, as after its model was dropped; calls that hold it finish."""
        with self._lock:
            for free in (True, False):
                dropped = self._loaded.pop((sha256, free), None)
                if dropped is not None:
                    self._bytes -= dropped.size

    def _load(self, sha256: str, *, free: bool) -> Loaded:
        data = self._artifacts.get(sha256)
        try:
            model, texts = _prepared(data, free=free)
            session = self._open(model.SerializeToString())
        except ModelFailed:
            raise
        except Exception as error:
            raise ModelFailed(f"the model can not be loaded: {reason(error)}") from error
        if not (self._compile_trees and free and has_trees(model)):
            return Loaded(sha256, free, session, len(data), texts, None, convolves(model))
        trees = Trees(partial(self._compiled, sha256), WORTH)
        # Compiled, they take about as much again.
        return Loaded(sha256, free, session, 2 * len(data), texts, trees, convolves(model))

    def _compiled(self, sha256: str) -> Compiled | None:
        model, _ = _prepared(self._artifacts.get(sha256), free=True)
        return compiled(model, self._open)

    def _open(self, prepared: bytes) -> onnxruntime.InferenceSession:
        return open_session(prepared, threads=self._threads, provider=self.provider)


def _prepared(data: bytes, *, free: bool) -> tuple[ModelProto, Mapping[str, Texts]]:
    model = ModelProto()
    model.ParseFromString(data)
    return model, encode(prepare(model, free=free))
