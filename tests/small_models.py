"""ONNX models of a few nodes whose answers can be computed in the head.

linear      x [N,2]           2*x0 + x1 as one [N,1] float; the inputs have no names
pair        a, b [N,1]        a + 10*b
city        city [N,1] text   Oslo 1, Rome 2, any other 0, as float
mixed       city text, n int64, on bool, w double, each [N]    the text itself
vote        x [N,2]           label 'yes' where x0 > x1, else 'no'; probabilities [N,2]
vote_map    x [N,2]           the same with probabilities in maps (ZipMap)
grade       score [N,1]       label 0, 1 or 2; probabilities [N,3]
pick        place int64 [N]   the number at that place of (10, 20, 30); fails for other places
image       image [N,2,3]         total [N,1] of the values; rows [N,2], the sum of each row
tokens      ids, mask int64 [N,length]   total [N] of ids * mask; kept [N,length], ids where mask is 1, else 0
half        x float16 [N,1]       x
eight       x [8,2]               sum [8,1] of both; its reshape needs 8 rows at a time
parts       x [N,3]               a sequence with one [3] for each row
means       lists: a sequence with one [length] for each row   [N], the mean of each
words       words {text: float}   [N,2]: the numbers of 'ice' and 'sea'
alike       Feature 1, Feature_1 [N,1]   the first + 10 * the second
maybe       x [N,1], optional extra [N,1]   x + extra, or x where there is none
slow        x [N,1]           x after a few seconds of multiplying
hungry      size int64 [N]    0, after as many floats were held as the largest size says
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
STRING, BOOL = TensorProto.STRING, TensorProto.BOOL
_IR = 9
_WIDTH = 512
_ROUNDS = 400


def _value(name: str, element: int, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, list(shape))


def _model(nodes: list, inputs: list, outputs: list, **constants: np.ndarray) -> bytes:
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, initializer=held)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, ir_version=_IR, opset_imports=opsets).SerializeToString()


def linear() -> bytes:
    return _model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [_value("x", FLOAT, "n", 2)],
        [_value("y", FLOAT, "n", 1)],
        w=np.array([[2], [1]], np.float32),
    )


def pair(factor: float = 10) -> bytes:
    return _model(
        [helper.make_node("Mul", ["b", "factor"], ["tens"]), helper.make_node("Add", ["a", "tens"], ["y"])],
        [_value("a", FLOAT, "n", 1), _value("b", FLOAT, "n", 1)],
        [_value("y", FLOAT, "n", 1)],
        factor=np.array([factor], np.float32),
    )


def city() -> bytes:
    node = helper.make_node(
        "LabelEncoder",
        ["city"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["Oslo", "Rome"],
        values_floats=[1.0, 2.0],
        default_float=0.0,
    )
    return _model([node], [_value("city", STRING, "n", 1)], [_value("y", FLOAT, "n", 1)])


def mixed() -> bytes:
    nodes = [
        helper.make_node("Identity", ["city"], ["text"]),
        helper.make_node("Identity", ["n"], ["n_out"]),
        helper.make_node("Identity", ["on"], ["on_out"]),
        helper.make_node("Identity", ["w"], ["w_out"]),
    ]
    kinds = {"city": STRING, "n": INT64, "on": BOOL, "w": DOUBLE}
    outputs = [_value("text", STRING, "rows")]
    outputs += [_value(f"{name}_out", kind, "rows") for name, kind in kinds.items() if name != "city"]
    return _model(nodes, [_value(name, kind, "rows") for name, kind in kinds.items()], outputs)


def vote(*, zipmap: bool = False) -> bytes:
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "scores" if zipmap else "probabilities"],
            domain="ai.onnx.ml",
            coefficients=[-1.0, 1.0, 1.0, -1.0],
            intercepts=[0.0, 0.0],
            classlabels_strings=["no", "yes"],
            post_transform="SOFTMAX",
        )
    ]
    outputs = [_value("label", STRING, "n")]
    if zipmap:
        nodes.append(
            helper.make_node(
                "ZipMap",
                ["scores"],
                ["probabilities"],
                domain="ai.onnx.ml",
                classlabels_strings=["no", "yes"],
            )
        )
        maps = helper.make_sequence_type_proto(
            helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
        )
        outputs.append(helper.make_value_info("probabilities", maps))
    else:
        outputs.append(_value("probabilities", FLOAT, "n", 2))
    return _model(nodes, [_value("x", FLOAT, "n", 2)], outputs)


def grade() -> bytes:
    node = helper.make_node(
        "LinearClassifier",
        ["score"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        coefficients=[-1.0, 0.0, 1.0],
        intercepts=[0.0, 0.5, 0.0],
        classlabels_ints=[0, 1, 2],
        post_transform="SOFTMAX",
    )
    outputs = [_value("label", INT64, "n"), _value("probabilities", FLOAT, "n", 3)]
    return _model([node], [_value("score", FLOAT, "n", 1)], outputs)


def pick() -> bytes:
    return _model(
        [helper.make_node("Gather", ["numbers", "place"], ["y"])],
        [_value("place", INT64, "n")],
        [_value("y", FLOAT, "n")],
        numbers=np.array([10, 20, 30], np.float32),
    )


def hungry() -> bytes:
    nodes = [
        helper.make_node("ReduceMax", ["size", "rows"], ["most"], keepdims=1),
        helper.make_node("ConstantOfShape", ["most"], ["held"]),
        helper.make_node("ReduceSum", ["held"], ["nothing"], keepdims=1),
        helper.make_node("Cast", ["size"], ["sizes"], to=FLOAT),
        helper.make_node("Mul", ["sizes", "nothing"], ["y"]),
    ]
    return _model(
        nodes, [_value("size", INT64, "n")], [_value("y", FLOAT, "n")], rows=np.array([0], np.int64)
    )


def image() -> bytes:
    nodes = [
        helper.make_node("ReduceSum", ["image", "last"], ["rows"], keepdims=0),
        helper.make_node("ReduceSum", ["rows", "first"], ["total"], keepdims=1),
    ]
    outputs = [_value("total", FLOAT, "n", 1), _value("rows", FLOAT, "n", 2)]
    return _model(
        nodes,
        [_value("image", FLOAT, "n", 2, 3)],
        outputs,
        last=np.array([2], np.int64),
        first=np.array([1], np.int64),
    )


def tokens() -> bytes:
    nodes = [
        helper.make_node("Mul", ["ids", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["total"], keepdims=0),
    ]
    inputs = [_value(name, INT64, "n", "length") for name in ("ids", "mask")]
    outputs = [_value("total", INT64, "n"), _value("kept", INT64, "n", "length")]
    return _model(nodes, inputs, outputs, axis=np.array([1], np.int64))


def half() -> bytes:
    values = [_value(name, TensorProto.FLOAT16, "n", 1) for name in ("x", "y")]
    return _model([helper.make_node("Identity", ["x"], ["y"])], values[:1], values[1:])


def eight() -> bytes:
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
        helper.make_node("ReduceSum", ["same", "axis"], ["sum"], keepdims=1),
    ]
    return _model(
        nodes,
        [_value("x", FLOAT, 8, 2)],
        [_value("sum", FLOAT, 8, 1)],
        shape=np.array([8, 2], np.int64),
        axis=np.array([1], np.int64),
    )


def parts() -> bytes:
    parts = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    node = helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=0)
    return _model([node], [_value("x", FLOAT, "n", 3)], [helper.make_value_info("parts", parts)])


def means() -> bytes:
    lists = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, ["length"]))
    reduce = helper.make_node("ReduceMean", ["each"], ["mean"], keepdims=0)
    mean = helper.make_graph([reduce], "mean", [_value("each", FLOAT, "length")], [_value("mean", FLOAT)])
    nodes = [
        helper.make_node("SequenceMap", ["lists"], ["means"], body=mean),
        helper.make_node("ConcatFromSequence", ["means"], ["y"], axis=0, new_axis=1),
    ]
    return _model(nodes, [helper.make_value_info("lists", lists)], [_value("y", FLOAT, "n")])


def words() -> bytes:
    kind = helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, []))
    node = helper.make_node(
        "DictVectorizer", ["words"], ["counts"], domain="ai.onnx.ml", string_vocabulary=["ice", "sea"]
    )
    return _model([node], [helper.make_value_info("words", kind)], [_value("counts", FLOAT, "n", 2)])


def alike() -> bytes:
    nodes = [
        helper.make_node("Mul", ["Feature_1", "ten"], ["tens"]),
        helper.make_node("Add", ["Feature 1", "tens"], ["y"]),
    ]
    inputs = [_value("Feature 1", FLOAT, "n", 1), _value("Feature_1", FLOAT, "n", 1)]
    return _model(nodes, inputs, [_value("y", FLOAT, "n", 1)], ten=np.array([10], np.float32))


def maybe() -> bytes:
    shape = ["n", 1]
    extra = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, shape))
    added = [
        helper.make_node("OptionalGetElement", ["extra"], ["value"]),
        helper.make_node("Add", ["x", "value"], ["out"]),
    ]
    plain = [helper.make_node("Identity", ["x"], ["out"])]
    result = [_value("out", FLOAT, *shape)]
    nodes = [
        helper.make_node("OptionalHasElement", ["extra"], ["there"]),
        helper.make_node(
            "If",
            ["there"],
            ["y"],
            then_branch=helper.make_graph(added, "added", [], result),
            else_branch=helper.make_graph(plain, "plain", [], result),
        ),
    ]
    inputs = [_value("x", FLOAT, *shape), helper.make_value_info("extra", extra)]
    return _model(nodes, inputs, [_value("y", FLOAT, *shape)])


def slow() -> bytes:
    """A batch of 2,048 rows takes about 400 thousand million multiplications."""
    nodes = [helper.make_node("MatMul", ["x", "widen"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{i}", "turn"], [f"h{i + 1}"]) for i in range(_ROUNDS)]
    nodes.append(helper.make_node("ReduceMean", [f"h{_ROUNDS}", "last"], ["y"], keepdims=1))
    return _model(
        nodes,
        [_value("x", FLOAT, "n", 1)],
        [_value("y", FLOAT, "n", 1)],
        widen=np.ones((1, _WIDTH), np.float32),
        turn=np.eye(_WIDTH, dtype=np.float32),
        last=np.array([1], np.int64),
    )


MODELS = {
    "linear": linear,
    "pair": pair,
    "pair_hundred": lambda: pair(100),
    "city": city,
    "mixed": mixed,
    "vote": vote,
    "vote_map": lambda: vote(zipmap=True),
    "grade": grade,
    "pick": pick,
    "image": image,
    "tokens": tokens,
    "half": half,
    "eight": eight,
    "parts": parts,
    "means": means,
    "words": words,
    "alike": alike,
    "maybe": maybe,
    "slow": slow,
    "hungry": hungry,
}


def write(directory: Path) -> None:
    """Write every model as NAME.onnx, and noise.onnx, which is none."""
    directory.joinpath("noise.onnx").write_bytes(bytes(range(256)) * 4)
    for name, make in MODELS.items():
        directory.joinpath(f"{name}.onnx").write_bytes(make())
