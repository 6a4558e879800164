"""docs/connections.md says what the tests of drivers prove."""

import contextlib
import io
import re

import proofs
import pytest
import test_driver_adbc
import test_driver_jdbc
import test_driver_odbc
import test_driver_parameters
import test_driver_types
from documents import blocks, differs, headings, tables
from flight_sql import served
from sessions import InProcess

PROOFS = (test_driver_adbc, test_driver_jdbc, test_driver_odbc, test_driver_parameters, test_driver_types)


def test_the_features_are_those_that_are_proven():
    assert all(module.__doc__ for module in PROOFS)
    proofs.check_table("features", ["Feature", *proofs.CLIENTS], proofs.features())


def test_what_was_tried_names_its_test():
    rows = [cells for heading, cells in tables(proofs.CONNECTIONS) if heading == "Tools"][1:]
    assert len(rows) == 13
    places = {heading.casefold().replace(" ", "-") for heading in headings(proofs.CONNECTIONS)}
    for tool, _, tried in rows:
        (section,) = re.findall(r"\(#([a-z-]+)\)", tool)
        assert section in places
        files = re.findall(r"\(\.\./(tests/\w+\.py)\)", tried)
        assert tried == "described" or files, tool
        assert all((proofs.ROOT / name).is_file() for name in files), tool


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with served(tmp_path_factory.mktemp("connections")) as running:
        session = InProcess(running.engine)
        session.update("CREATE TABLE flights (n BIGINT, origin VARCHAR)")
        session.update("INSERT INTO flights VALUES (1, 'EWR'), (2, 'JFK')")
        yield running


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy")
def test_the_programs_run(lake):
    programs = [block for block in blocks(proofs.CONNECTIONS) if block.language == "python"]
    assert len(programs) == 2
    for block in programs:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            text = block.text.replace("grpc://127.0.0.1:31337", lake.address)
            exec(compile(text, block.where, "exec"), {})  # noqa: S102  # our own document
        assert not differs(said.getvalue().splitlines(), block.expected), said.getvalue()
