"""Tables that other engines wrote: every case gives exactly its rows, or the error that is named here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from foreign_cases import FOLDER, Case, cases, difference, path_map
from sessions import InProcess, opened
from slt import Refused

CASES = cases()
ORC = r"\[0A000\].*data files of format ORC"
AVRO = r"\[0A000\].*data files of format AVRO"
ORC_DELETES = r"\[0A000\].*position deletes of format ORC"
UNKNOWN_TYPE = r"\[0A000\].*has a column of type variant, which can not be read"

# What is not read yet, by table or by case; everything else gives its rows.
REFUSED = {
    "trino_variant": UNKNOWN_TYPE,
    "iceberg_v2_partitioned_position_deletes_orc/1": ORC_DELETES,
    "iceberg_v2_partitioned_position_deletes_orc/2": ORC_DELETES,
    "iceberg_v2_partitioned_position_deletes_orc/3": ORC_DELETES,
    "iceberg_v2_partitioned_position_deletes_orc/4": ORC,
    "iceberg_v2_positional_delete_all_rows_orc/1": ORC_DELETES,
    "iceberg_v2_positional_delete_all_rows_orc/2": ORC,
    "iceberg_v3_default_value_orc": ORC,
    "iceberg_v3_default_value_avro": AVRO,
    "iceberg_v3_row_lineage_orc": ORC,
    "airports_orc": ORC,
    "iceberg_alltypes_part_orc": ORC,
    "iceberg_v2_no_deletes_orc": ORC,
    "iceberg_partitioned_orc": ORC,
    "iceberg_migrated_complex_test_orc": ORC,
    "iceberg_mixed_file_format_test": ORC,
}
# Cases of these tables that read snapshots from before what is refused.
READ = frozenset(
    {
        "iceberg_mixed_file_format_test/2",
    }
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with opened(tmp_path_factory.mktemp("lake"), catalogs={"lake": {"path_map": path_map(CASES)}}) as engine:
        yield InProcess(engine)


def refusal(case: Case) -> str | None:
    """Return the pattern of the error that a case gives, None where it gives its rows."""
    return None if case.id in READ else REFUSED.get(case.id, REFUSED.get(case.table))


def answer(session: InProcess, case: Case) -> str | None:
    """Run a case; return how its rows differ from the expected ones. Raises Refused."""
    name = f"foreign.{case.table}"
    session.query("CREATE SCHEMA IF NOT EXISTS foreign")
    session.query("USE foreign")
    if (case.table,) not in session.rows("SELECT table_name FROM information_schema.tables"):
        session.query(
            f"CALL system.register_table(table => '{name}', metadata_file => '{FOLDER / case.metadata}')"
        )
    found = session.query(case.sql)
    rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    return difference(case, found.column_names, rows)


@pytest.mark.skipif(not CASES, reason="the tables of other engines are not beside this folder")
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_a_case_gives_its_rows_or_a_named_error(session: InProcess, case: Case) -> None:
    words = refusal(case)
    if words is None:
        assert answer(session, case) is None
    else:
        with pytest.raises(Refused, match=words):
            answer(session, case)


@pytest.mark.skipif(not CASES, reason="the tables of other engines are not beside this folder")
def test_what_is_listed_as_refused_is_a_case() -> None:
    known = {case.id for case in CASES} | {case.table for case in CASES}
    assert set(REFUSED) | READ <= known


@pytest.mark.skipif(not CASES, reason="the tables of other engines are not beside this folder")
def test_explain_shows_delete_files(session: InProcess) -> None:
    table = "iceberg_v2_partitioned_position_deletes"
    case = next(case for case in CASES if case.table == table)
    answer(session, case)
    (line,) = [text for key, text in session.rows(f"EXPLAIN SELECT * FROM {table}") if key == "tables"]
    assert "  delete files 3 of 3" in line
