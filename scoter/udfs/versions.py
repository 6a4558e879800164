"""The newest file format and operator sets that the installed ONNX Runtime takes.

It does not say so anywhere but in what it answers to files that are too new: it is asked with two of a few bytes.
This module must not know models, limits or where files come from.
"""

from __future__ import annotations

import re
from functools import cache

import onnx
import onnxruntime
from onnx import TensorProto, helper

STANDARD = ""
_FAR = 2**31 - 1
_OLD_FORMAT = 3
_OLD_SETS = {STANDARD: 7, "ai.onnx.ml": 1, "com.microsoft": 1}
_NEWEST_SET = re.compile(r"till opset (\d+)")
_NEWEST_FORMAT = re.compile(r"max supported IR version: (\d+)")


@cache
def newest_set(domain: str) -> int | None:
    """Return the newest version of a domain's operators, None for a domain without versions of its own."""
    return _answer(_NEWEST_SET, _OLD_FORMAT, {**_OLD_SETS, domain: _FAR}) if domain in _OLD_SETS else None


@cache
def newest_format() -> int | None:
    """Return the newest version of the file format."""
    return _answer(_NEWEST_FORMAT, _FAR, _OLD_SETS)


def _answer(number: re.Pattern[str], ir_version: int, sets: dict[str, int]) -> int | None:
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "asks", shape[:1], shape[1:])
    imports = [helper.make_opsetid(domain, version) for domain, version in sets.items()]
    asked: onnx.ModelProto = helper.make_model(graph, ir_version=ir_version, opset_imports=imports)
    try:
        onnxruntime.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  # its classes are of its C++ side; the text is what is asked for
        found = number.search(str(error))
        return int(found.group(1)) if found else None
    return None
