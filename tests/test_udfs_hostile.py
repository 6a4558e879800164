"""Model files that are made to hurt are refused with a clear error, and the process lives on."""

from __future__ import annotations

import time
from itertools import pairwise

import adbc_driver_flightsql.dbapi as adbc
import models_zoo as zoo
import numpy as np
import onnx
import pytest
from flight_sql import served
from onnx import TensorProto, helper, numpy_helper

from scoter.errors import InvalidModel
from scoter.settings import Models
from scoter.udfs import inspection
from scoter.udfs.inspection import inspect
from scoter.udfs.versions import newest_format, newest_set

pytestmark = pytest.mark.alone

MIB = 1024 * 1024
SETTINGS = Models(load_seconds=5, load_memory=512 * MIB)
IR = 9


def tensor(name, element=TensorProto.FLOAT, shape=("n", 1)):
    return helper.make_tensor_value_info(name, element, shape)


def model(nodes, *, inputs=None, outputs=None, initializer=(), functions=(), opsets=(("", 18),)):
    graph = helper.make_graph(
        nodes, "g", inputs or [tensor("x")], outputs or [tensor("y")], initializer=list(initializer)
    )
    return helper.make_model(
        graph,
        ir_version=IR,
        opset_imports=[helper.make_opsetid(*each) for each in opsets],
        functions=list(functions),
    )


def refused(data, settings=SETTINGS, declared=()):
    if isinstance(data, onnx.ModelProto):
        data = data.SerializeToString()
    with pytest.raises(InvalidModel) as caught:
        inspect(data, declared, settings)
    text = caught.value.text()
    assert "Traceback" not in text
    assert "/site-packages" not in text
    return text


def local(bodies, called):
    """A model that calls one of its local functions; each calls those of its list one after the other."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = []
    for name, calls in bodies.items():
        edges = ["a", *(f"t{place}" for place in range(1, len(calls))), "b"]
        nodes = [
            helper.make_node(call, [edges[place]], [edges[place + 1]], domain="own")
            for place, call in enumerate(calls)
        ]
        nodes = nodes or [helper.make_node("Identity", ["a"], ["b"])]
        functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, opset))
    call = helper.make_node(called, ["x"], ["y"], domain="own")
    return model([call], functions=functions, opsets=(("", 18), ("own", 1)))


def chain(length, times=1):
    """Local functions f0 … fn, each calling the one before, so many times."""
    bodies = {f"f{place}": [f"f{place - 1}"] * times if place else [] for place in range(length)}
    return local(bodies, f"f{length - 1}")


def test_a_short_chain_of_local_functions_is_accepted():
    signature = inspect(chain(20).SerializeToString(), (), SETTINGS).signature
    assert signature.predict_type() == "FLOAT"


def test_a_chain_of_local_functions_is_refused_by_its_count_and_depth():
    assert "3,000 local functions" in refused(chain(3000))
    assert "32 deep" in refused(chain(100))


def test_a_crash_of_the_runtime_ends_the_sandbox_alone():
    """The chain that the caps refuse does crash the runtime once the caps are lifted."""
    loose = {"max_bytes": 1 << 30, "max_nodes": 1 << 30, "max_functions": 10_000, "max_call_depth": 10_000}
    with pytest.raises(InvalidModel, match=r"crashes ONNX Runtime when it is loaded \(SIGSEGV\)"):
        inspection._ask_sandbox(chain(3000).SerializeToString(), (), SETTINGS, loose)


def test_functions_that_double_at_every_level_are_refused():
    assert "more than 50,000 operators" in refused(chain(30, times=2))


def test_functions_in_a_circle_are_refused():
    assert "circle" in refused(local({"f": ["g"], "g": ["f"]}, "f"))


def tensor_bomb(elements):
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    size = numpy_helper.from_array(np.array([elements], np.int64), "size")
    return model(nodes, initializer=[size])


@pytest.mark.parametrize("elements", [10**10, 10**18])
def test_a_tensor_bomb_is_refused(elements):
    bomb = tensor_bomb(elements)
    assert bomb.ByteSize() < 250
    refused(bomb)


def test_a_tensor_bomb_that_unfolds_when_it_runs_is_refused():
    """Its size depends on the input, so that nothing can be folded while it is loaded."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "factor"], ["huge"]),
        helper.make_node("ConstantOfShape", ["huge"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    factor = numpy_helper.from_array(np.array([10**5, 10**5], np.int64), "factor")
    assert "MiB" in refused(model(nodes, initializer=[factor]))


@pytest.mark.parametrize(("slow", "floats"), [(0, 2**20), (24, 2**18)])
def test_a_model_that_needs_memory_for_each_row_is_refused(slow, floats):
    """Three rows would pass: 1 or 4 MiB each. A slow one does not come to its largest batch."""
    names = ["big", *(f"later{i}" for i in range(slow))]
    nodes = [
        helper.make_node("Expand", ["x", "wide"], ["big"]),
        *(helper.make_node("Sin", [before], [after]) for before, after in pairwise(names)),
        helper.make_node("ReduceSum", [names[-1], "axis"], ["y"], keepdims=1),
    ]
    wide = numpy_helper.from_array(np.array([1, floats], np.int64), "wide")
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    # The process that loads models is started by one that has much in use, as a server may.
    ballast = bytearray(b"x") * (500 * MIB)
    patient = Models(load_seconds=30, load_memory=512 * MIB)
    assert "MiB to load and score a batch" in refused(model(nodes, initializer=[wide, axis]), patient)
    del ballast


def endless_loop():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep_in"], ["keep_out"]),
            helper.make_node("Add", ["value_in", "one"], ["value_out"]),
        ],
        "body",
        [
            tensor("turn", TensorProto.INT64, ()),
            tensor("keep_in", TensorProto.BOOL, ()),
            tensor("value_in"),
        ],
        [tensor("keep_out", TensorProto.BOOL, ()), tensor("value_out")],
        initializer=[numpy_helper.from_array(np.array([1], np.float32), "one")],
    )
    nodes = [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)]
    return model(nodes, initializer=[numpy_helper.from_array(np.array(True), "yes")])


def test_an_endless_loop_is_refused_in_time():
    started = time.monotonic()
    text = refused(endless_loop(), Models(load_seconds=1.5, load_memory=512 * MIB))
    assert "within 1.5 s" in text
    assert time.monotonic() - started < 10


def test_a_server_refuses_each_and_goes_on(tmp_path):
    evil = {
        "did not load and score": endless_loop(),
        "MiB": tensor_bomb(10**18),
        "local functions; the limit is 500": chain(3000),
        "opset 99; this ONNX Runtime has up to": model([identity()], opsets=(("", 99),)),
    }
    limits = {"load_seconds": 1.5, "load_memory": 512 * MIB}
    with (
        served(tmp_path, models=limits) as running,
        adbc.connect(running.address, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        for said, file in evil.items():
            with pytest.raises(adbc.Error, match=f"INVALID_MODEL.*{said}"):
                cursor.execute("CREATE MODEL evil FROM ?", (file.SerializeToString(),))
            cursor.execute("SELECT count(*) FROM system.models")
            assert cursor.fetchone() == (0,)
        cursor.execute("CREATE MODEL fine FROM ?", (model([identity()]).SerializeToString(),))
        cursor.execute("SELECT PREDICT('fine', 1.5)")
        assert cursor.fetchone() == (1.5,)


def identity():
    return helper.make_node("Identity", ["x"], ["y"])


@pytest.mark.parametrize(
    ("opsets", "said"),
    [
        ((("", 99),), "has opset 99; this ONNX Runtime has up to "),
        ((("", 0),), "has opset 0; they begin with 1"),
        ((("ai.onnx", 10**9),), "has opset 1000000000; this ONNX Runtime has up to "),
        ((("", 18), ("ai.onnx.ml", 99)), "has opset 99 of ai.onnx.ml; this ONNX Runtime has up to "),
        ((("", 18), ("com.microsoft", 99)), "has opset 99 of com.microsoft; this ONNX Runtime has up to "),
    ],
)
def test_operator_sets_that_the_runtime_does_not_have_are_refused(opsets, said):
    assert said in refused(model([identity()], opsets=opsets))


def test_the_newest_of_what_the_runtime_has_is_taken():
    for opset in (newest_set(""), newest_set("") - 1):
        newest = model([identity()], opsets=(("", opset), ("ai.onnx.ml", newest_set("ai.onnx.ml"))))
        newest.ir_version = newest_format()
        assert inspect(newest.SerializeToString(), (), SETTINGS).opset == opset


def test_a_function_of_a_newer_operator_set_is_refused():
    function = helper.make_function("own", "f", ["a"], ["b"], [], [helper.make_opsetid("", 99)])
    call = helper.make_node("f", ["x"], ["y"], domain="own")
    assert "has opset 99" in refused(model([call], functions=[function], opsets=(("", 18), ("own", 1))))


def test_a_newer_file_format_is_refused():
    newer = model([identity()])
    newer.ir_version = 99
    assert "IR version 99; this ONNX Runtime has up to " in refused(newer)


def test_a_model_without_outputs_is_refused():
    bare = model([identity()])
    del bare.graph.output[:]
    assert "the model has no outputs" in refused(bare)


@pytest.mark.parametrize("location", ["../../../../etc/passwd", "weights.bin", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph", "function"])
def test_external_data_is_refused_wherever_it_stands(location, place):
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value=location)
    constant = helper.make_node("Constant", [], ["w"], value=outside)
    add = helper.make_node("Add", ["x", "w"], ["y"])
    if place == "initializer":
        hostile = model([add], initializer=[outside])
    elif place == "attribute":
        hostile = model([constant, add])
    elif place == "subgraph":
        branch = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["b"])], "b", [], [tensor("b")], initializer=[outside]
        )
        nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)]
        hostile = model(nodes, initializer=[numpy_helper.from_array(np.array(True), "yes")])
    else:
        inner = helper.make_node("Add", ["a", "w"], ["b"])
        own = helper.make_function("own", "f", ["a"], ["b"], [constant, inner], [helper.make_opsetid("", 18)])
        call = helper.make_node("f", ["x"], ["y"], domain="own")
        hostile = model([call], functions=[own], opsets=(("", 18), ("own", 1)))
    assert "outside its file" in refused(hostile)


@pytest.mark.parametrize("domain", ["com.microsoft", "evil.custom", "ai.onnx.training"])
def test_operators_of_other_domains_are_refused(domain):
    node = helper.make_node("Gelu", ["x"], ["y"], domain=domain)
    assert f"of the domain {domain}" in refused(model([node], opsets=(("", 18), (domain, 1))))


def test_an_operator_that_does_not_exist_is_refused():
    refused(model([helper.make_node("NoSuchOperator", ["x"], ["y"])]))


def test_random_numbers_are_refused():
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    assert "random" in refused(model(nodes))


def test_graphs_nested_too_deeply_are_refused():
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["b0"])], "b0", [], [tensor("b0")])
    for level in range(1, 12):
        node = helper.make_node("If", ["yes"], [f"b{level}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], f"b{level}", [], [tensor(f"b{level}")])
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    nested = model(nodes, initializer=[numpy_helper.from_array(np.array(True), "yes")])
    assert "nested more than 8 deep" in refused(nested)


@pytest.mark.parametrize("part", [0, 1, 100, 0.5, 0.99])
def test_truncated_files_are_refused(part):
    data = zoo.classifier("forest").data
    refused(data[: int(len(data) * part)] if isinstance(part, float) else data[:part])


def test_files_that_are_something_else_are_refused():
    for data in (b"hello", b"\x00" * 1000, b"PK\x03\x04" + b"\x00" * 100, b'{"a": 1}', b"\xff" * 64):
        refused(data)


def test_random_damage_is_refused_or_gives_a_signature():
    """No damaged file ends the process, hangs it, or shows another error than InvalidModel."""
    data = zoo.classifier("tree").data
    random = np.random.default_rng(11)
    refusals = 0
    for _ in range(12):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 20):
            damaged[place] ^= 1 << int(random.integers(0, 8))
        try:
            inspect(bytes(damaged), (), SETTINGS)
        except InvalidModel:
            refusals += 1
    assert refusals > 0


def test_a_file_that_swells_when_it_is_parsed_is_refused():
    """Two bytes of the file become an object of its own: the parser needs many times the file's size."""
    swollen = onnx.ModelProto(ir_version=IR, opset_import=[helper.make_opsetid("", 18)])
    header = swollen.SerializeToString()
    nodes = b"\x0a\x00" * (24 * MIB)
    length = len(nodes)
    prefix = bytearray(b"\x3a")
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    text = refused(header + bytes(prefix) + nodes, Models(load_seconds=20, load_memory=256 * MIB))
    assert "more than 256 MiB" in text


def test_the_file_size_is_limited():
    assert "limit is 1,000" in refused(zoo.classifier("forest").data, Models(max_bytes=1000))


def test_the_number_of_operators_is_limited():
    nodes = [helper.make_node("Identity", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(100)]
    nodes.append(helper.make_node("Identity", ["v100"], ["y"]))
    assert "more than 50 operators" in refused(model(nodes), Models(max_nodes=50))


def test_a_long_line_of_operators_loads_on_a_small_stack():
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(5000)]
    nodes.append(helper.make_node("Identity", ["v5000"], ["y"]))
    assert inspect(model(nodes).SerializeToString(), (), Models()).signature.predict_type() == "FLOAT"


def test_models_that_are_no_function_of_one_row_are_refused():
    mixing = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1, axes=[0]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    assert "depends on the rows beside it" in refused(model(mixing, opsets=(("", 13),)))
    total = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)]
    assert "one entry for each row" in refused(model(total, outputs=[tensor("y", shape=(1, 1))]))
