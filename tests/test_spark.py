"""Apache Spark and Scoter at the tables of one REST catalog: each reads what the other wrote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import slt
from both_engines import Both, together
from spark_program import Refused


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with together(tmp_path_factory.mktemp("spark")) as made:
        yield made


VALUES = {
    "BOOLEAN": ("true", "false"),
    "INT": ("2147483647", "-2147483648"),
    "BIGINT": ("9223372036854775807", "-9223372036854775808"),
    "FLOAT": ("1.5", "CAST('NaN' AS FLOAT)", "CAST('-Infinity' AS FLOAT)"),
    "DOUBLE": ("1e300", "CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)", "-0.5"),
    "DECIMAL(4,2)": ("99.99", "-0.01"),
    "DECIMAL(18,3)": ("123456789012345.678", "-0.001"),
    "DECIMAL(38,10)": ("1234567890123456789012345678.0123456789", "-0.0000000001"),
    "DATE": ("DATE '1969-12-31'", "DATE '2024-02-29'", "DATE '0001-01-01'", "DATE '9999-12-31'"),
    "TIMESTAMP": (
        "TIMESTAMP '1969-12-31 23:59:59.999999Z'",
        "TIMESTAMP '2024-07-01 12:00:00.5+02:00'",
        "TIMESTAMP '2024-07-01 12:00:00 America/New_York'",
    ),
    "TIMESTAMP_NTZ": ("TIMESTAMP_NTZ '1969-12-31 23:59:59.999999'", "TIMESTAMP_NTZ '2024-07-01 12:00:00'"),
    "STRING": ("'Ünïcödé – 鴨 🦆'", "''", "'a\\nb'"),
    "BINARY": ("X'00FF'", "X''"),
    "ARRAY<INT>": ("array(1, NULL, 3)", "array()"),
    "MAP<STRING, DOUBLE>": ("map('a', 1.5D, 'é', NULL)", "map()"),
    "STRUCT<a: INT, `B c`: STRING>": (
        "named_struct('a', 1, 'B c', 'x')",
        "named_struct('a', NULL, 'B c', NULL)",
    ),
    "ARRAY<STRUCT<k: STRING, m: MAP<INT, ARRAY<DATE>>>>": (
        "array(named_struct('k', 'x', 'm', map(1, array(DATE '2024-01-01', NULL))), NULL)",
    ),
}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_values_of_every_type_that_spark_writes(both: Both, version: int) -> None:
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(VALUES))
    both.spark.run(
        f"CREATE TABLE far.s.types{version} (n INT, {columns}) USING iceberg TBLPROPERTIES ('format-version' = '{version}')"
    )
    rows = [  # the fifth row is of NULLs
        [str(n), *(values[n] if n < len(values) else "NULL" for values in VALUES.values())] for n in range(5)
    ]
    lines = ", ".join(f"({', '.join(row)})" for row in rows)
    both.spark.run(f"INSERT INTO far.s.types{version} VALUES {lines}")
    found = both.rows(f"SELECT * FROM far.s.types{version} ORDER BY n")
    assert found[1][1:4] == (False, -2147483648, -9223372036854775808)
    assert found[0][7:9] == (
        Decimal("123456789012345.678"),
        Decimal("1234567890123456789012345678.0123456789"),
    )
    assert found[2][10] == datetime(2024, 7, 1, 16, tzinfo=UTC)
    assert found[4][1:] == (None,) * len(VALUES)
    if version == 3:
        with pytest.raises(slt.Refused, match=r"^\[0A000\]"):
            both.scoter.update("INSERT INTO far.s.types3 SELECT * FROM far.s.types3")
        return
    both.scoter.update(f"INSERT INTO far.s.types{version} SELECT * FROM far.s.types{version}")
    again = both.rows(f"SELECT * FROM far.s.types{version} ORDER BY n")
    assert again == [row for row in found for _ in range(2)]


def test_schemas_that_spark_changes(both: Both) -> None:
    name = "far.s.evolved"
    steps = [
        (
            f"CREATE TABLE {name} (a INT, b FLOAT, c DECIMAL(4,1), s STRUCT<x: INT, y: STRING>, "
            "l ARRAY<STRUCT<p: INT, q: STRING>>, m MAP<STRING, STRUCT<u: FLOAT>>) USING iceberg"
        ),
        (
            f"INSERT INTO {name} VALUES (1, 1.5, 10.5, named_struct('x', 1, 'y', 'one'), "
            "array(named_struct('p', 1, 'q', 'q')), map('k', named_struct('u', 0.5)))"
        ),
        f"ALTER TABLE {name} ALTER COLUMN a TYPE BIGINT",
        f"ALTER TABLE {name} ALTER COLUMN b TYPE DOUBLE",
        f"ALTER TABLE {name} ALTER COLUMN c TYPE DECIMAL(20,1)",
        f"ALTER TABLE {name} ALTER COLUMN s.x TYPE BIGINT",
        f"ALTER TABLE {name} ALTER COLUMN m.value.u TYPE DOUBLE",
        (
            f"INSERT INTO {name} VALUES (3000000000, 1e300, 1234567890123456789.5, named_struct('x', 3000000000, 'y', NULL), "
            "NULL, map('k', named_struct('u', 1e300)))"
        ),
        f"ALTER TABLE {name} RENAME COLUMN a TO id",
        f"ALTER TABLE {name} RENAME COLUMN s.y TO word",
        f"ALTER TABLE {name} RENAME COLUMN l.element.p TO number",
        f"ALTER TABLE {name} ADD COLUMN a STRING COMMENT 'another one' AFTER id",
        f"ALTER TABLE {name} ADD COLUMN s.z DATE FIRST",
        f"ALTER TABLE {name} ADD COLUMN l.element.r TIMESTAMP",
        f"ALTER TABLE {name} ADD COLUMN m.value.v ARRAY<INT>",
        (
            f"INSERT INTO {name} VALUES (3, 'three', 3.0, 3.0, named_struct('z', DATE '2024-01-01', 'x', 3, 'word', 'three'), "
            "array(named_struct('number', 3, 'q', 'q', 'r', TIMESTAMP '2024-01-01 00:00:00')), "
            "map('k', named_struct('u', 3.0, 'v', array(3))))"
        ),
        f"ALTER TABLE {name} DROP COLUMN b",
        f"ALTER TABLE {name} DROP COLUMN s.x",
        f"ALTER TABLE {name} DROP COLUMN l.element.q",
        f"ALTER TABLE {name} ADD COLUMN b STRING",
        f"ALTER TABLE {name} ADD COLUMN s.x STRING",
        f"ALTER TABLE {name} ALTER COLUMN m FIRST",
        f"ALTER TABLE {name} ALTER COLUMN s.word AFTER x",
        (
            f"INSERT INTO {name} VALUES (map('k', NULL), 4, 'four', 4, named_struct('z', NULL, 'x', 'x4', 'word', 'four'), "
            "array(named_struct('number', 4, 'r', NULL)), 'b4')"
        ),
    ]
    for step in steps:
        both.spark.run(step)
        if step.startswith("INSERT"):
            both.rows(f"SELECT * FROM {name}")
    assert dict(both.rows(f"SELECT id, b FROM {name}")) == {1: None, 3000000000: None, 3: None, 4: "b4"}
    for number, snapshot in enumerate(
        both.rows(f"SELECT snapshot_id FROM {name}.snapshots ORDER BY committed_at")
    ):
        assert len(both.rows(f"SELECT * FROM {name} FOR VERSION AS OF {snapshot[0]}")) == number + 1
    both.scoter.update(
        f"INSERT INTO {name} (id, a, s) VALUES (5, 'five', {{'z': DATE '2024-01-05', 'x': 'x5', 'word': 'five'}})"
    )
    both.rows(f"SELECT * FROM {name}")


COLUMNS = {
    "n": ("INT", "INTEGER"),
    "ts": ("TIMESTAMP", "TIMESTAMPTZ"),
    "ntz": ("TIMESTAMP_NTZ", "TIMESTAMP"),
    "d": ("DATE", "DATE"),
    "word": ("STRING", "VARCHAR"),
    "price": ("DECIMAL(9,2)", "DECIMAL(9,2)"),
    "f": ("DOUBLE", "DOUBLE"),
    "yes": ("BOOLEAN", "BOOLEAN"),
    "bin": ("BINARY", "BLOB"),
}
ROWS = """
(1, TIMESTAMP '2024-01-01 00:30:00Z', TIMESTAMP_NTZ '2024-01-01 00:30:00', DATE '2024-01-01', 'a b/c=d%',
  1.50, 1.5, true, X'00'),
(-7, TIMESTAMP '1969-12-31 23:59:59Z', TIMESTAMP_NTZ '1969-12-31 23:59:59', DATE '1969-12-31', 'Ünï',
  -0.01, -0.5, false, X'FF'),
(25, TIMESTAMP '2024-01-01 01:00:00Z', TIMESTAMP_NTZ '2024-06-01 01:00:00', DATE '2024-06-01', '🦆🦆🦆',
  99.99, CAST('NaN' AS DOUBLE), true, X''),
(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(1, TIMESTAMP '2030-02-03 04:05:06.789Z', TIMESTAMP_NTZ '2030-02-03 04:05:06.789', DATE '2030-02-03', '',
  1000000.00, 0.0, true, X'0001')
"""
CONDITIONS = {
    "ts >= TIMESTAMP '2024-01-01 00:45:00Z'": 2,
    "word > 'a'": 3,
    "f < 0": 1,
    "NOT yes": 1,
    "hex(bin) = 'FF'": 1,
    "n IS NULL OR ts IS NULL": 1,
    "word IS NOT NULL AND price IS NOT NULL": 4,
}
PARTITIONS = {
    "identity": "n, ts, ntz, d, word, price, yes, bin",
    "bucket": "bucket(4, n), bucket(4, ts), bucket(4, ntz), bucket(4, d), bucket(4, word), bucket(4, price), bucket(4, bin)",
    "other": "days(ts), hours(ntz), months(d), truncate(2, word), truncate(50, price), truncate(10, n), truncate(1, bin)",
    "years": "years(ts), years(ntz), years(d), f",
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_partitions(both: Both, name: str) -> None:
    kinds = zip(*COLUMNS.values(), strict=True)
    theirs, ours = (", ".join(f"{c} {k}" for c, k in zip(COLUMNS, kind, strict=True)) for kind in kinds)
    of_spark, of_scoter = f"far.s.spark_{name}", f"far.s.scoter_{name}"
    fields = PARTITIONS[name]
    both.spark.run(f"CREATE TABLE {of_spark} ({theirs}) USING iceberg PARTITIONED BY ({fields})")
    both.spark.run(f"INSERT INTO {of_spark} VALUES {ROWS}")
    # Scoter makes no partitions of floats by their value, and writes to those that there are.
    fields = fields.removesuffix(", f")
    both.scoter.update(f"CREATE TABLE {of_scoter} ({ours}) PARTITIONED BY ({fields})")
    both.scoter.update(f"INSERT INTO {of_scoter} SELECT * FROM {of_spark}")
    rows = both.rows(f"SELECT * FROM {of_spark}")
    assert both.rows(f"SELECT * FROM {of_scoter}") == rows
    for condition, count in CONDITIONS.items():
        assert len(both.scoter.rows(f"SELECT * FROM {of_spark} WHERE {condition}")) == count, condition
        assert len(both.spark.rows(f"SELECT * FROM {of_scoter} WHERE {condition}")) == count, condition
    if fields == PARTITIONS[name]:
        files = "SELECT partition, sum(record_count) AS n FROM {}.files GROUP BY partition"
        assert both.rows(files.format(of_spark)) == both.rows(files.format(of_scoter))
    # Each appends to what the other made.
    both.spark.run(f"INSERT INTO {of_scoter} SELECT * FROM {of_spark}")
    both.scoter.update(f"INSERT INTO {of_spark} SELECT * FROM {of_spark}")
    for table in (of_scoter, of_spark):
        assert both.rows(f"SELECT * FROM {table}") == sorted([*rows, *rows], key=str)


def test_partitions_that_spark_changes(both: Both) -> None:
    name = "far.s.specs"
    moment = "2024-01-02 0{}:00:00Z"
    both.spark.run(
        f"CREATE TABLE {name} (id INT, ts TIMESTAMP, word STRING) USING iceberg PARTITIONED BY (days(ts))",
        f"INSERT INTO {name} VALUES (1, TIMESTAMP '{moment.format(1)}', 'a'), (2, NULL, 'b')",
        f"ALTER TABLE {name} ADD PARTITION FIELD bucket(4, id)",
        f"INSERT INTO {name} VALUES (3, TIMESTAMP '{moment.format(3)}', 'c')",
    )
    both.scoter.update(f"INSERT INTO {name} VALUES (4, '{moment.format(4)}', 'd')")
    both.spark.run(
        f"ALTER TABLE {name} REPLACE PARTITION FIELD days(ts) WITH hours(ts)",
        f"ALTER TABLE {name} DROP PARTITION FIELD bucket(4, id)",
        f"ALTER TABLE {name} ADD PARTITION FIELD word AS letter",
        f"INSERT INTO {name} VALUES (5, TIMESTAMP '{moment.format(5)}', 'e')",
    )
    both.scoter.update(f"INSERT INTO {name} VALUES (6, '{moment.format(6)}', 'f')")
    assert [n for (n,) in both.rows(f"SELECT spec_id FROM {name}.files")] == [0, 0, 1, 1, 4, 4]
    both.spark.run(
        f"ALTER TABLE {name} DROP PARTITION FIELD letter",
        f"ALTER TABLE {name} DROP COLUMN word",
    )
    both.scoter.update(f"INSERT INTO {name} VALUES (7, '{moment.format(7)}')")
    for condition, found in {
        "id > 3": [4, 5, 6, 7],
        "id = 3": [3],
        f"ts >= TIMESTAMP '{moment.format(5)}'": [5, 6, 7],
        "ts IS NULL": [2],
    }.items():
        assert [n for (n,) in both.rows(f"SELECT id FROM {name} WHERE {condition}")] == found


MERGE_ON_READ = ", ".join(f"'write.{kind}.mode' = 'merge-on-read'" for kind in ("delete", "update", "merge"))


@pytest.mark.parametrize(("version", "kind"), [(2, "PARQUET"), (3, "PUFFIN")])
def test_rows_that_spark_deletes(both: Both, version: int, kind: str) -> None:
    name = f"far.s.deleted{version}"
    both.spark.run(
        f"CREATE TABLE {name} (id BIGINT, word STRING, g INT) USING iceberg PARTITIONED BY (g) "
        f"TBLPROPERTIES ('format-version' = '{version}', {MERGE_ON_READ})",
        f"INSERT INTO {name} SELECT id, concat('w', id), id % 3 FROM range(300)",
        f"INSERT INTO {name} SELECT id, concat('w', id), NULL FROM range(300, 310)",
        f"DELETE FROM {name} WHERE id % 7 = 0",
    )
    assert len(both.rows(f"SELECT * FROM {name}")) == 310 - 45
    both.spark.run(
        f"ALTER TABLE {name} SET TBLPROPERTIES ('write.delete.granularity' = 'partition')",
        f"UPDATE {name} SET word = 'new', g = g + 1 WHERE id % 10 = 3",
        f"MERGE INTO {name} t USING (SELECT id * 2 AS id FROM range(10, 200)) u ON t.id = u.id "
        "WHEN MATCHED AND u.id % 4 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET word = 'merged' "
        "WHEN NOT MATCHED THEN INSERT (id, word) VALUES (u.id, 'inserted')",
    )
    both.rows(f"SELECT * FROM {name}")
    assert {found for (found,) in both.scoter.rows(f"SELECT file_format FROM {name}.delete_files")} == {kind}
    if version == 2:
        both.scoter.update(f"INSERT INTO {name} SELECT id + 1000, word, g FROM {name} WHERE id < 100")
    both.spark.run(f"DELETE FROM {name} WHERE id % 11 = 0")
    left = both.rows(f"SELECT * FROM {name}")
    snapshots = both.scoter.rows(f"SELECT snapshot_id FROM {name}.snapshots ORDER BY committed_at")
    for (snapshot,) in snapshots[2:4]:
        both.rows(f"SELECT * FROM {name} FOR VERSION AS OF {snapshot}")
    both.spark.run(
        f"CALL far.system.rewrite_data_files(table => 's.deleted{version}', options => map('rewrite-all', 'true'))",
        f"CALL far.system.expire_snapshots(table => 's.deleted{version}', older_than => TIMESTAMP '2100-01-01')",
    )
    assert both.rows(f"SELECT * FROM {name}") == left
    assert both.scoter.value(f"SELECT count(*) AS n FROM {name}.snapshots") == 1


def test_row_ids(both: Both) -> None:
    name = "far.s.lineage"
    lineage = f"SELECT _row_id, _last_updated_sequence_number, * FROM {name}"
    both.scoter.update(f"CREATE TABLE {name} AS SELECT i AS id FROM range(4) AS r(i)")
    both.spark.run(
        f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version' = '3', {MERGE_ON_READ})",
        f"INSERT INTO {name} SELECT id FROM range(4, 8)",
        f"UPDATE {name} SET id = 100 WHERE id IN (1, 6)",
        f"DELETE FROM {name} WHERE id = 2",
    )
    found = both.rows(lineage)
    assert len({row_id for row_id, _, _ in found}) == 7
    assert {number for _, number, id_ in found if id_ == 100} == {3}
    both.spark.run(
        "CALL far.system.rewrite_data_files(table => 's.lineage', options => map('rewrite-all', 'true'))"
    )
    assert both.rows(lineage) == found


def test_branches_tags_and_times(both: Both) -> None:
    name = "far.s.tagged"
    both.spark.run(
        f"CREATE TABLE {name} (n INT) USING iceberg",
        f"INSERT INTO {name} VALUES (1)",
        f"ALTER TABLE {name} CREATE TAG `v1`",
        f"INSERT INTO {name} VALUES (2)",
        f"ALTER TABLE {name} CREATE BRANCH `side`",
        f"INSERT INTO {name}.branch_side VALUES (10)",
        f"ALTER TABLE {name} ADD COLUMN m INT",
        f"INSERT INTO {name} VALUES (3, 3)",
    )
    assert both.rows(f"SELECT * FROM {name} FOR VERSION AS OF 'v1'") == [(1,)]
    assert both.rows(f"SELECT * FROM {name} FOR VERSION AS OF 'side'") == [(1, None), (10, None), (2, None)]
    refs = [("main", "BRANCH"), ("side", "BRANCH"), ("v1", "TAG")]
    assert both.rows(f"SELECT name, type FROM {name}.refs") == refs
    moments = both.rows(f"SELECT committed_at, snapshot_id FROM {name}.snapshots ORDER BY committed_at")
    assert both.rows(f"SELECT n FROM {name} FOR TIMESTAMP AS OF '{moments[1][0].isoformat()}'") == [
        (1,),
        (2,),
    ]
    both.spark.run(f"CALL far.system.rollback_to_snapshot('s.tagged', {moments[0][1]})")
    assert both.rows(f"SELECT * FROM {name}") == [(1, None)]


def test_metadata_tables(both: Both) -> None:
    name = "far.s.looked_at"
    both.spark.run(
        f"CREATE TABLE {name} (id BIGINT, word STRING, g INT) USING iceberg PARTITIONED BY (bucket(4, id)) "
        f"TBLPROPERTIES ({MERGE_ON_READ})",
        f"INSERT INTO {name} VALUES (1, 'Ünï', NULL), (2, NULL, 7), (9, 'x', 9), (17, 'y', 9)",
        f"DELETE FROM {name} WHERE id = 1",
    )
    both.scoter.update(f"INSERT INTO {name} VALUES (3, 'drei', 1)")
    shown = {
        "snapshots": "committed_at, snapshot_id, parent_id, operation, manifest_list",
        "history": "*",
        "metadata_log_entries": "*",
        "files": "content, file_path, spec_id, partition, record_count, file_size_in_bytes, "
        "readable_metrics.word.lower_bound AS lower, readable_metrics.g.upper_bound AS upper",
        "entries": "status, snapshot_id, sequence_number, file_sequence_number",
        "manifests": "*",
        "partitions": "*",
    }
    for table, columns in shown.items():
        assert both.rows(f"SELECT {columns} FROM {name}.{table}"), table


def test_aggregates_that_spark_takes_from_manifests(both: Both) -> None:
    name = "far.s.pushed"
    both.scoter.update(
        f"CREATE TABLE {name} (i INTEGER, l BIGINT, f FLOAT, d DOUBLE, p DECIMAL(9,2), q DECIMAL(30,5), "
        "day DATE, ts TIMESTAMP, tz TIMESTAMPTZ, word VARCHAR, yes BOOLEAN, long VARCHAR)"
    )
    both.spark.run(f"ALTER TABLE {name} SET TBLPROPERTIES ('write.metadata.metrics.default' = 'full')")
    both.scoter.update(
        f"INSERT INTO {name} VALUES "
        "(2147483647, 9007199254740993, 0.1, 0.1, 0.01, 1234567890123456789012345.00001, '1969-12-31', "
        "'1969-12-31 23:59:59.999999', '2024-01-01 00:00:00.000001Z', repeat('é', 40), true, repeat('é', 400)), "
        "(-5, -9007199254740993, -0.1, -1e-300, -99.99, -0.00001, '2400-01-01', "
        "'2400-01-01 00:00:00.000001', '0001-01-01 00:00:00Z', repeat('🦆', 40), false, repeat('🦆', 400)), "
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    columns = ["i", "l", "f", "d", "p", "q", "day", "ts", "tz", "word", "yes"]
    for of in (columns, ["long"]):
        asked = ", ".join(f"min({c}) AS least_{c}, max({c}) AS most_{c}, count({c}) AS n_{c}" for c in of)
        sql = f"SELECT {asked}, count(*) AS n FROM {name}"
        ((plan,),) = both.spark.rows(f"EXPLAIN {sql}")
        assert ("LocalTableScan" in plan) == (of == columns), plan
        assert len(both.rows(sql)) == 1


PROPERTIES = {
    "gzip": "'write.parquet.compression-codec' = 'gzip', 'write.metadata.compression-codec' = 'gzip'",
    "lz4": "'write.parquet.compression-codec' = 'lz4_raw'",
    "no_bounds": "'write.metadata.metrics.default' = 'none', 'write.object-storage.enabled' = 'true'",
    "small_pages": "'write.parquet.page-version' = 'v2', 'write.parquet.page-size-bytes' = '1000', "
    "'write.parquet.row-group-size-bytes' = '4096', 'write.parquet.bloom-filter-enabled.column.id' = 'true'",
}


@pytest.mark.parametrize("kind", PROPERTIES)
def test_files_that_spark_writes_in_other_ways(both: Both, kind: str) -> None:
    name = f"far.s.with_{kind}"
    both.spark.run(
        f"CREATE TABLE {name} (id BIGINT, word STRING) USING iceberg TBLPROPERTIES ({PROPERTIES[kind]})",
        f"INSERT INTO {name} SELECT id, concat('w', id) FROM range(3000)",
    )
    assert len(both.rows(f"SELECT * FROM {name} WHERE id >= 2500 OR word = 'w3'")) == 501
    if kind != "lz4":  # which DuckDB does not write
        both.scoter.update(f"INSERT INTO {name} SELECT * FROM {name} WHERE id = 7")
        assert both.rows(f"SELECT * FROM {name} WHERE id = 7") == [(7, "w7"), (7, "w7")]


@pytest.mark.parametrize(
    ("columns", "properties", "message"),
    [
        ("1 AS n", "'write.format.default' = 'avro'", "data files of format AVRO"),
        ("1 AS n", "'write.format.default' = 'orc'", "data files of format ORC"),
        ("1 AS n, parse_json('1') AS v", "'format-version' = '3'", "a column of type variant"),
    ],
)
def test_what_scoter_does_not_read_is_said(both: Both, columns: str, properties: str, message: str) -> None:
    both.spark.run(
        f"CREATE OR REPLACE TABLE far.s.unread USING iceberg TBLPROPERTIES ({properties}) AS SELECT {columns}"
    )
    with pytest.raises(slt.Refused, match=rf"^\[0A000\] NOT_SUPPORTED: .*{message}"):
        both.scoter.rows("SELECT n FROM far.s.unread")
    both.spark.run("DROP TABLE far.s.unread")


def test_names(both: Both) -> None:
    both.spark.run(
        "CREATE NAMESPACE far.`Räume`",
        'CREATE TABLE far.`Räume`.`Größe Übung` (`Id` INT, `Straße.nr` STRING, `a b` INT, `select` INT, `x"y` INT, '
        "`鴨` STRUCT<`In Ner`: INT>) USING iceberg PARTITIONED BY (`Straße.nr`, bucket(2, `a b`), `鴨`.`In Ner`)",
        "INSERT INTO far.`Räume`.`Größe Übung` VALUES (1, 'x', 2, 3, 4, named_struct('In Ner', 5))",
    )
    name = 'far."Räume"."Größe Übung"'
    both.scoter.update(f"INSERT INTO {name} VALUES (2, 'ß/=', 3, 4, 5, {{'In Ner': 6}})")
    assert both.scoter.query(f"SELECT * FROM {name}").column_names[:3] == ["Id", "Straße.nr", "a b"]
    wanted = [(1, {"In Ner": 5}), (2, {"In Ner": 6})]
    assert (
        both.scoter.rows(f'SELECT id, "鴨" FROM {name} WHERE "Straße.nr" IS NOT NULL ORDER BY id') == wanted
    )
    assert both.spark.rows("SELECT id, `鴨` FROM far.`Räume`.`Größe Übung` ORDER BY id") == wanted
    both.spark.run(
        "SET spark.sql.caseSensitive=true", "CREATE TABLE far.s.cased (a INT, A INT) USING iceberg"
    )
    both.spark.run("SET spark.sql.caseSensitive=false")
    with pytest.raises(slt.Refused, match=r"^\[0A000\] NOT_SUPPORTED: .*differ only by case"):
        both.scoter.rows("SELECT * FROM far.s.cased")


def test_tables_that_spark_empties_and_replaces(both: Both) -> None:
    name = "far.s.replaced"
    both.spark.run(f"CREATE TABLE {name} (id INT, w STRING) USING iceberg PARTITIONED BY (id)")
    assert both.rows(f"SELECT * FROM {name}") == []
    both.scoter.update(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    both.spark.run("SET spark.sql.sources.partitionOverwriteMode=dynamic")
    both.spark.run(f"INSERT OVERWRITE {name} VALUES (1, 'new')")
    assert both.rows(f"SELECT * FROM {name}") == [(1, "new"), (2, "b")]
    both.spark.run(f"TRUNCATE TABLE {name}")
    assert both.rows(f"SELECT * FROM {name}") == []
    columns = ", ".join(f"{i} AS c{i}" for i in range(300))
    both.spark.run(f"CREATE OR REPLACE TABLE {name} USING iceberg AS SELECT {columns}")
    both.scoter.update(f"INSERT INTO {name} SELECT * FROM {name}")
    assert both.rows(f"SELECT * FROM {name}") == [tuple(range(300))] * 2


def test_what_a_table_demands(both: Both) -> None:
    name = "far.s.strict"
    both.spark.run(
        f"CREATE TABLE {name} (id INT NOT NULL, w STRING NOT NULL, s STRUCT<a: INT NOT NULL>) USING iceberg",
        f"ALTER TABLE {name} SET IDENTIFIER FIELDS id",
        f"ALTER TABLE {name} WRITE ORDERED BY w DESC NULLS LAST",
        f"INSERT INTO {name} VALUES (1, 'a', named_struct('a', 1))",
        f"ALTER TABLE {name} ALTER COLUMN w DROP NOT NULL",
    )
    for values in ("NULL, 'a', {'a': 1}", "2, 'a', {'a': NULL}"):
        with pytest.raises(slt.Refused, match=r"^\[23502\]"):
            both.scoter.update(f"INSERT INTO {name} VALUES ({values})")
    both.scoter.update(f"INSERT INTO {name} VALUES (2, NULL, {{'a': 2}})")
    assert both.rows(f"SELECT * FROM {name}") == [(1, "a", {"a": 1}), (2, None, {"a": 2})]


def test_comments_and_properties(both: Both) -> None:
    name = "far.s.said"
    both.scoter.update(
        f"CREATE TABLE {name} (n INTEGER NOT NULL COMMENT 'eins – é', m INTEGER) COMMENT 'Tabelle'"
    )
    assert ("n", "int", "eins – é") in both.spark.rows(f"DESCRIBE TABLE EXTENDED {name}")
    assert ("Comment", "Tabelle", "") in both.spark.rows(f"DESCRIBE TABLE EXTENDED {name}")
    both.spark.run(
        f"ALTER TABLE {name} ALTER COLUMN m COMMENT 'zwei'",
        f"COMMENT ON TABLE {name} IS 'neu'",
        f"ALTER TABLE {name} SET TBLPROPERTIES ('of.spark' = '1')",
    )
    created = both.scoter.rows(f"SHOW CREATE TABLE {name}")[0][1]
    assert "\"m\" INTEGER COMMENT 'zwei'" in created
    assert created.endswith("COMMENT 'neu'")
    both.scoter.update(f"COMMENT ON TABLE {name} IS 'alt'")
    both.scoter.update(f"INSERT INTO {name} VALUES (1, 2)")
    assert ("of.spark", "1") in both.spark.rows(f"SHOW TBLPROPERTIES {name}")
    assert ("Comment", "alt", "") in both.spark.rows(f"DESCRIBE TABLE EXTENDED {name}")


def test_views(both: Both) -> None:
    both.spark.run(
        "USE far.s",
        "CREATE TABLE base USING iceberg AS SELECT * FROM VALUES (1, 'a', 1.50), (2, 'A', 0.25), (NULL, 'a', 1.01) AS t(n, `Wort`, p)",
        "CREATE VIEW of_spark (`Größe x`, total, middle) AS SELECT n + 1, sum(p), avg(n) FROM base WHERE wort <=> 'a' GROUP BY n + 1",
        "CREATE VIEW first_of_spark AS SELECT n, p FROM base ORDER BY n LIMIT 2",
        "CREATE VIEW upper_of_spark AS SELECT upper(wort) AS w FROM base",
        "USE spark_catalog.default",
    )
    groups = both.rows("SELECT total, middle FROM far.s.of_spark")
    assert groups == [(Decimal("1.01"), None), (Decimal("1.50"), 1.0)]
    assert both.rows("SELECT * FROM far.s.first_of_spark") == [(1, Decimal("1.50")), (None, Decimal("1.01"))]
    with pytest.raises(slt.Refused, match=r"^\[0A000\] NOT_SUPPORTED: .*dialect spark"):
        both.scoter.rows("SELECT * FROM far.s.upper_of_spark")
    both.scoter.update("CREATE VIEW far.s.of_scoter AS SELECT 'b' AS b")
    # Neither takes the other's text away.
    with pytest.raises(Refused, match="loss of view dialects"):
        both.spark.run("CREATE OR REPLACE VIEW far.s.of_scoter AS SELECT 1 AS b")
    with pytest.raises(slt.Refused, match=r"^\[0A000\]"):
        both.scoter.update("CREATE OR REPLACE VIEW far.s.of_spark AS SELECT 1 AS a")
    assert both.scoter.rows("SELECT * FROM far.s.of_scoter") == [("b",)]
