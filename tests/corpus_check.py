"""A fitted model gives through Scoter's SQL what its library gives.

This module must not know how models are trained or converted.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
from corpus import Trained, expected
from sessions import InProcess, bound

from scoter.engine.ingest import Mode, Present, ingest
from scoter.udfs.compiling import Trees

# These keep to ONNX Runtime: their trees stand in many nodes.
SEVERAL_ENSEMBLES = {"ada", "ada_regressor", "bagging"}
_REPLACE = Mode(create=True, present=Present.REPLACE)


def scored(
    session: InProcess, name: str, trained: Trained, *, compiles: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Register the model, score its rows, and return predictions and probabilities in the rows' order."""
    session.update(f"CREATE MODEL {name} FROM ? {trained.inputs}", bound(trained.data))
    table = trained.table.append_column("n", pa.array(np.arange(trained.table.num_rows)))
    ingest(session.engine, f"{name}_rows", table.to_reader(), session.context, mode=_REPLACE)
    arguments = ", ".join(trained.table.column_names)
    has_chances = session.value(
        "SELECT count(*) FROM system.model_outputs WHERE model_name = ? AND role = 'probabilities'", name
    )
    chances = f", PREDICT_PROBA('{name}', {arguments})" if has_chances else ""
    query = f"SELECT PREDICT('{name}', {arguments}){chances} FROM {name}_rows ORDER BY n"
    found = session.query(query)
    trees = compile_trees(session)
    if trees:
        assert same_bits(session.query(query), found)
        assert not compiles or name in SEVERAL_ENSEMBLES or all(each._made is not None for each in trees)
    predicted = np.array(found.column(0).to_pylist())
    if not chances:
        return predicted, None
    maps = found.column(1).combine_chunks()
    return predicted, maps.items.to_numpy().reshape(len(predicted), -1)


def compile_trees(session: InProcess) -> list[Trees]:
    """Compile the ensembles of trees that have been called, and let them be used whatever time they take."""
    loaded = session.engine.instances._sessions._loaded.values()
    found = [each.trees for each in loaded if each.trees is not None and not each.trees._is_begun]
    for trees in found:
        trees._is_begun = trees._is_tried = True
        trees.compile()
        trees._is_faster = trees._made is not None
    return found


def same_bits(found: pa.Table, right: pa.Table) -> bool:
    """Compare columns, where NaN equals NaN."""
    return all(
        pickle.dumps(mine.to_pylist()) == pickle.dumps(theirs.to_pylist())
        for mine, theirs in zip(found.columns, right.columns, strict=True)
    )


def check(session: InProcess, name: str, trained: Trained, *, compiles: bool = True) -> None:
    """Fail where Scoter and the library differ by more than the model's tolerance.

    An ensemble of trees must also give the same bits compiled, and be compiled where it ``compiles``.
    """
    predicted, chances = scored(session, name, trained, compiles=compiles)
    right, right_chances, clear = expected(trained)
    assert len(predicted) == trained.table.num_rows
    if right.dtype.kind == "f":
        close(predicted, right, trained)
        return
    assert clear.mean() >= 1 - trained.unclear, f"{(~clear).sum()} labels are not clear"
    wrong = np.flatnonzero((predicted != right.astype(predicted.dtype)) & clear)
    assert not len(wrong), shown(trained, wrong, predicted, right)
    if right_chances is not None:
        assert chances is not None, "the model has no probabilities"
        close(chances, right_chances, trained)


def close(found: np.ndarray, right: np.ndarray, trained: Trained) -> None:
    """Fail where numbers differ by more than the model's tolerance."""
    assert found.shape == right.shape
    wrong = ~np.isclose(found, right, rtol=trained.rtol, atol=trained.atol, equal_nan=True)
    places = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    assert not len(places), shown(trained, places, found, right)


def shown(trained: Trained, wrong: np.ndarray, found: Any, right: Any) -> str:
    """Return the first rows that differ, as text."""
    lines = [f"{len(wrong)} of {len(right)} rows differ"]
    for place in wrong[:8]:
        row = trained.table.slice(int(place), 1).to_pylist()[0]
        lines.append(f"row {place} {row}: {found[place]!r}, the library says {right[place]!r}")
    return "\n".join(lines)
