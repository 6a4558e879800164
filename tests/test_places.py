"""Where errors of model statements point to: the part of the text that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sessions import InProcess
from slt import Refused

PLACE = re.compile(r"\((\d+):(\d+)\)")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE MODEL p FROM '{pair}' INPUT (^a VARCHAR, b FLOAT)", "the model takes FLOAT there"),
        ("CREATE MODEL p FROM '{pair}' INPUT (a FLOAT, ^c FLOAT)", 'no input "c"'),
        ("CREATE MODEL p FROM '{pair}' INPUT (a FLOAT, ^A FLOAT)", 'INPUT names "A" twice'),
        ("CREATE MODEL p FROM '{pair}' INPUT (^a FLOAT)", "of these b is missing"),
        ("CREATE MODEL p FROM '{pair}' INPUT (a FLOAT, b FLOAT, ^c FLOAT)", "INPUT gives 3 inputs"),
        ("CREATE MODEL p FROM '{pair}' INPUT (a FLOAT, ^b FLOAT ON NULL 'x')", "ON NULL x is not a FLOAT"),
        ("CREATE MODEL p FROM '{pair}' INPUT (a FLOAT, ^b DATE)", "can not have the type DATE"),
        ("CREATE MODEL p FROM '{pair}' OUTPUT (^y VARCHAR)", 'the output "y" is FLOAT, not VARCHAR'),
        (
            "CREATE MODEL p FROM '{pair}' INPUT (x FLOAT, b FLOAT) WITH (pre = {{a: ^x || 'x'}})",
            "takes FLOAT there",
        ),
        ("CREATE MODEL p FROM '{pair}' WITH (sha256 = ^'abc')", "has the sha256 .*, not abc"),
        ("CREATE MODEL p FROM '{pair}' INPUT (^id FLOAT, a FLOAT, b FLOAT)", "INPUT gives 3 inputs"),
        (
            "CREATE MODEL p FROM '{pair}' INPUT (^x FLOAT, b FLOAT) WITH (pre = {{a: 1}})",
            "INPUT gives 3 inputs",
        ),
        (
            "CREATE MODEL p FROM '{pair}' INPUT (x FLOAT, ^X FLOAT) WITH (pre = {{a: x}})",
            'INPUT names "X" twice',
        ),
        ("ALTER MODEL pair DROP VERSION ^7", "no version 7"),
        ("ALTER MODEL pair DROP VERSION ^x", "takes a number"),
        ("ALTER MODEL pair DROP ALIAS ^nope", 'no alias "nope"'),
        ("SELECT PREDICT_PROBA('grade', 1, class => ^9)", "has no class 9"),
        (
            "SELECT * FROM ML_PREDICT(MODEL grade, TABLE t, ^threshold => 1e)",
            "threshold is a number|SYNTAX|exist",
        ),
        ("DESCRIBE MODEL ^nope", "model main.nope does not exist"),
        ("DESCRIBE MODEL ^pair@9", "no version 9"),
        ("ALTER MODEL ^nope SET ALIAS x = 1", "model main.nope does not exist"),
        ("ALTER MODEL pair SET ALIAS x = ^9", "no version 9"),
        ("ALTER MODEL pair SET DEFAULT_VERSION = ^9", "no version 9"),
        ("SHOW MODELS ^LIKE 'p%'", "SHOW MODELS with LIKE"),
    ],
)
def test_an_error_points_at_what_is_wrong(
    session: InProcess, model_files: Path, sql: str, message: str
) -> None:
    for name in ("pair", "grade"):
        session.update(f"CREATE MODEL {name} FROM '{model_files}/{name}.onnx'")
    session.update("CREATE TABLE t AS SELECT 1 AS score")
    written = sql.format(pair=f"{model_files}/pair.onnx")
    with pytest.raises(Refused, match=message) as refused:
        session.query(written.replace("^", ""))
    found = PLACE.search(str(refused.value))
    assert found is not None
    assert found.groups() == ("1", str(written.index("^") + 1))
