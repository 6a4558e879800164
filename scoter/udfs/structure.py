"""What an ONNX file may contain: counted and refused before any runtime sees it.

This module must not know sessions, signatures or where a file came from. It runs inside the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError

from scoter.errors import InvalidModel
from scoter.udfs.versions import newest_format, newest_set

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

# ONNX Runtime's own operators that are allowed: the standard has none that cuts a text into words, and
# skl2onnx writes this one for every CountVectorizer and TfidfVectorizer.
_RUNTIMES_OWN = frozenset({("com.microsoft", "Tokenizer")})

_OWN_DOMAINS = frozenset(domain for domain, _ in _RUNTIMES_OWN)

# The same row would get another prediction each time: nothing could be cached, folded or replayed.
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)

FunctionKey = tuple[str, str, str]


@dataclass(frozen=True)
class Limits:
    """Caps on one model file: bytes, operators after inlining, local functions, nesting."""

    max_bytes: int
    max_nodes: int
    max_functions: int = 500
    max_call_depth: int = 32
    max_graph_depth: int = 8


def parse(data: bytes, limits: Limits) -> onnx.ModelProto:
    """Read a model file and check its structure.

    Raises InvalidModel when it is not ONNX, exceeds a cap, keeps data outside the file, uses
    an operator that is not allowed, or draws random numbers; MemoryError when parsing needs more memory
    than there is.
    """
    if len(data) > limits.max_bytes:
        raise InvalidModel(
            f"the model file has {len(data):,} bytes; the limit is {limits.max_bytes:,}",
            hint="the setting models.max_bytes raises the limit",
        )
    if not data:
        raise InvalidModel("the model file is empty")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        if "alloc" in str(error):
            raise MemoryError from error
        raise InvalidModel("the file is not an ONNX model, or is truncated or damaged") from error
    if not model.HasField("graph") or not model.ir_version:
        raise InvalidModel("the file is not an ONNX model: it has no graph")
    if not model.opset_import:
        raise InvalidModel("the model does not say which operator set it uses")
    _check_versions(model)
    if not model.graph.output:
        raise InvalidModel("the model has no outputs")
    if model.training_info:
        raise InvalidModel("the model carries a training graph", hint="export it for inference only")
    _Checker(model, limits).check()
    return model


def _check_versions(model: onnx.ModelProto) -> None:
    newest = newest_format()
    if newest is not None and model.ir_version > newest:
        raise InvalidModel(
            f"the model's file has IR version {model.ir_version}; this ONNX Runtime has up to {newest}",
            hint=f"export it with IR version {newest}, or upgrade ONNX Runtime",
        )
    functions = (each for function in model.functions for each in function.opset_import)
    for each in (*model.opset_import, *functions):
        if each.domain not in _DOMAINS | _OWN_DOMAINS:
            continue
        newest = newest_set("" if each.domain == "ai.onnx" else each.domain)
        of = "" if each.domain in ("", "ai.onnx") else f" of {each.domain}"
        if each.version < 1:
            raise InvalidModel(f"the model has opset {each.version}{of}; they begin with 1")
        if newest is not None and each.version > newest:
            raise InvalidModel(
                f"the model has opset {each.version}{of}; this ONNX Runtime has up to {newest}",
                hint=f"export it with opset {newest}{of}, or upgrade ONNX Runtime",
            )


class _Checker:
    """Walks a model once; function bodies are counted once and multiplied by their calls."""

    def __init__(self, model: onnx.ModelProto, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._functions: dict[FunctionKey, onnx.FunctionProto] = {}
        self._sizes: dict[FunctionKey, tuple[int, int]] = {}

    def check(self) -> None:
        if len(self._model.functions) > self._limits.max_functions:
            raise InvalidModel(
                f"the model has {len(self._model.functions):,} local functions; "
                f"the limit is {self._limits.max_functions:,}"
            )
        for function in self._model.functions:
            key = (function.domain, function.name, function.overload)
            if key in self._functions or function.domain in _DOMAINS:
                raise InvalidModel("the model defines a local function twice or replaces a standard operator")
            self._functions[key] = function
        nodes, depth = 0, 0
        for function in self._order():
            nodes, depth = self._measure(function.node, 1)
            self._sizes[(function.domain, function.name, function.overload)] = (nodes, depth + 1)
            self._refuse_size(nodes, depth + 1)
        self._refuse_external(self._model.graph)
        nodes, depth = self._measure(self._model.graph.node, 1)
        self._refuse_size(nodes, depth)

    def _refuse_size(self, nodes: int, depth: int) -> None:
        if nodes > self._limits.max_nodes:
            raise InvalidModel(
                f"the model has more than {self._limits.max_nodes:,} operators",
                hint="the setting models.max_nodes raises the limit",
            )
        if depth > self._limits.max_call_depth:
            raise InvalidModel(
                f"the model's local functions call each other more than {self._limits.max_call_depth} deep"
            )

    def _order(self) -> Iterator[onnx.FunctionProto]:
        """Yield functions, called before calling; without recursion, because chains may be long."""
        done: set[FunctionKey] = set()
        for start in self._functions:
            stack: list[tuple[FunctionKey, bool]] = [(start, False)]
            open_: set[FunctionKey] = set()
            while stack:
                key, left = stack.pop()
                if left:
                    open_.discard(key)
                    if key not in done:
                        done.add(key)
                        yield self._functions[key]
                    continue
                if key in done:
                    continue
                if key in open_:
                    raise InvalidModel("the model's local functions call each other in a circle")
                open_.add(key)
                stack.append((key, True))
                stack.extend((called, False) for called in self._calls(self._functions[key].node, 1))

    def _calls(self, nodes: Iterable[onnx.NodeProto], level: int) -> set[FunctionKey]:
        found: set[FunctionKey] = set()
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in self._functions:
                found.add(key)
            for graph in self._subgraphs(node, level):
                found |= self._calls(graph.node, level + 1)
        return found

    def _subgraphs(self, node: onnx.NodeProto, level: int) -> Iterator[onnx.GraphProto]:
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.HasField("g") else []
            for graph in (*graphs, *attribute.graphs):
                if level >= self._limits.max_graph_depth:
                    raise InvalidModel(
                        f"the model's graphs are nested more than {self._limits.max_graph_depth} deep"
                    )
                yield graph

    def _measure(self, nodes: Iterable[onnx.NodeProto], level: int) -> tuple[int, int]:
        """Return (operators after inlining, deepest chain of function calls) and refuse bad nodes."""
        count, depth = 0, 0
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            size = self._sizes.get(key)
            if size is not None:
                count += size[0]
                depth = max(depth, size[1])
            elif node.domain not in _DOMAINS and (node.domain, node.op_type) not in _RUNTIMES_OWN:
                raise InvalidModel(
                    f"the model uses the operator {node.op_type[:64]} of the domain {node.domain[:64]}",
                    hint="only the standard ONNX and ONNX-ML operators are supported",
                )
            elif node.op_type in _RANDOM:
                raise InvalidModel(
                    f"the model draws random numbers ({node.op_type})",
                    hint="export the model for inference, without sampling",
                )
            count += 1
            for attribute in node.attribute:
                tensors = [attribute.t] if attribute.HasField("t") else []
                sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                self._refuse_tensors((*tensors, *attribute.tensors))
                for each in (*sparse, *attribute.sparse_tensors):
                    self._refuse_tensors((each.values, each.indices))
            for graph in self._subgraphs(node, level):
                self._refuse_external(graph)
                inner, deeper = self._measure(graph.node, level + 1)
                count += inner
                depth = max(depth, deeper)
            if count > self._limits.max_nodes:
                return count, depth
        return count, depth

    def _refuse_external(self, graph: onnx.GraphProto) -> None:
        self._refuse_tensors(graph.initializer)
        for sparse in graph.sparse_initializer:
            self._refuse_tensors((sparse.values, sparse.indices))

    @staticmethod
    def _refuse_tensors(tensors: Iterable[onnx.TensorProto]) -> None:
        for tensor in tensors:
            if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise InvalidModel(
                    "the model keeps weights outside its file",
                    hint="save it as one file: onnx.save_model(…, save_as_external_data=False)",
                )
