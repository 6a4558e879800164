"""CREATE TABLE's columns and partitions as Iceberg schemas and specs."""

import pytest
from pyiceberg.types import (
    DecimalType,
    IntegerType,
    ListType,
    MapType,
    StringType,
    StructType,
    TimestamptzType,
)
from sqlglot import exp

from scoter.engine.dialect import parse
from scoter.engine.statements import CreateTable
from scoter.engine.writing.definition import partition_spec, schema_of, table_schema
from scoter.errors import DuplicateColumn, InvalidDefinition, TypeMismatch, UndefinedColumn


def define(sql):
    tree = parse(sql, 100_000)
    assert isinstance(tree, CreateTable)
    return table_schema(tree.args["columns"], tree.args.get("partitions") or [])


def test_columns_types_nullability_comments_and_ids():
    schema, spec = define(
        """CREATE TABLE t (a int NOT NULL COMMENT 'the key', "B c" STRUCT(x DECIMAL(5), y VARCHAR[]),
           m MAP(VARCHAR, STRUCT(z TIMESTAMPTZ)))"""
    )
    assert spec.is_unpartitioned()
    a, b, m = schema.fields
    assert (a.field_id, a.name, a.field_type, a.required, a.doc) == (1, "a", IntegerType(), True, "the key")
    assert (b.field_id, b.name, b.required, b.doc) == (2, "B c", False, None)
    assert isinstance(b.field_type, StructType)
    assert b.field_type.fields[0].field_type == DecimalType(5, 0)
    assert isinstance(b.field_type.fields[1].field_type, ListType)
    assert isinstance(m.field_type, MapType)
    assert m.field_type.key_type == StringType()
    assert m.field_type.value_type.fields[0].field_type == TimestamptzType()
    ids = [field.field_id for field in schema._lazy_id_to_field.values()]
    assert sorted(ids) == list(range(1, len(ids) + 1))


def test_partition_fields():
    _, spec = define(
        """CREATE TABLE t (a int, b VARCHAR, c DATE, f TIMESTAMPTZ, f_day int)
           PARTITIONED BY (days(f), bucket(16, a), truncate(b, 4), C, year(c), month(f), hours(f))"""
    )
    assert [(field.name, str(field.transform), field.source_id) for field in spec.fields] == [
        ("f_day_", "day", 4),
        ("a_bucket", "bucket[16]", 1),
        ("b_trunc", "truncate[4]", 2),
        ("c", "identity", 3),
        ("c_year", "year", 3),
        ("f_month", "month", 4),
        ("f_hour", "hour", 4),
    ]
    assert [field.field_id for field in spec.fields] == list(range(1000, 1007))


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("CREATE TABLE t (a int, A int)", DuplicateColumn),
        ("CREATE TABLE t (s STRUCT(a int, A int))", DuplicateColumn),
        ("CREATE TABLE t (s MAP(int, STRUCT(a int, a int)[]))", DuplicateColumn),
        ('CREATE TABLE t ("s.x" int, s STRUCT(x int))', DuplicateColumn),
        ('CREATE TABLE t (s STRUCT(x int), "S.X" int)', DuplicateColumn),
        ('CREATE TABLE t (s STRUCT("a.b" int, a STRUCT(b int)))', DuplicateColumn),
        ('CREATE TABLE t (l int[], "l.element" int)', DuplicateColumn),
        ('CREATE TABLE t (m MAP(int, STRUCT(x int)), "m.value.x" int)', DuplicateColumn),
        ("CREATE TABLE t (a HUGEINT)", TypeMismatch),
        ("CREATE TABLE t (a INTERVAL)", TypeMismatch),
        ("CREATE TABLE t (a STRUCT(b INTERVAL))", TypeMismatch),
        ("CREATE TABLE t (a int) PARTITIONED BY (b)", UndefinedColumn),
        ("CREATE TABLE t (a int) PARTITIONED BY (days(a))", InvalidDefinition),
        ("CREATE TABLE t (a DATE) PARTITIONED BY (hour(a))", InvalidDefinition),
        ("CREATE TABLE t (a DOUBLE) PARTITIONED BY (bucket(4, a))", InvalidDefinition),
        ("CREATE TABLE t (a DATE) PARTITIONED BY (truncate(4, a))", InvalidDefinition),
        ("CREATE TABLE t (a int[]) PARTITIONED BY (a)", InvalidDefinition),
        ("CREATE TABLE t (a DOUBLE) PARTITIONED BY (a)", InvalidDefinition),
        ("CREATE TABLE t (a UUID) PARTITIONED BY (a)", InvalidDefinition),
        ("CREATE TABLE t (a int) PARTITIONED BY (bucket(0, a))", InvalidDefinition),
        ("CREATE TABLE t (a int) PARTITIONED BY (bucket(99999999999, a))", InvalidDefinition),
        ("CREATE TABLE t (a int) PARTITIONED BY (a, A)", InvalidDefinition),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_place(sql, error):
    with pytest.raises(error) as caught:
        define(sql)
    assert caught.value.span is not None


def test_columns_of_a_query():
    schema = schema_of(
        ["a", "b", "c", "d", "e", "f"],
        [
            "INTEGER",
            "DECIMAL(18,3)",
            'STRUCT("x y" VARCHAR[], z MAP(VARCHAR, INTEGER))',
            "TIMESTAMP WITH TIME ZONE",
            exp.DataType.build("VARCHAR"),
            "ENUM('p', 'q')",
        ],
    )
    assert [str(field.field_type) for field in schema.fields][:2] == ["int", "decimal(18, 3)"]
    assert schema.find_type("d") == TimestamptzType()
    assert schema.find_type("e") == schema.find_type("f") == StringType()
    assert not any(field.required for field in schema.fields)
    assert partition_spec(schema, []).is_unpartitioned()


@pytest.mark.parametrize(
    ("names", "types", "error"),
    [
        (["a", "A"], ["INTEGER", "INTEGER"], DuplicateColumn),
        (["s", "s.x"], ["STRUCT(x INTEGER)", "INTEGER"], DuplicateColumn),
        ([""], ["INTEGER"], InvalidDefinition),
        (["a"], ["HUGEINT"], TypeMismatch),
        (["a"], ["INTERVAL"], TypeMismatch),
        (["a"], ["UNION(n INTEGER, s VARCHAR)"], TypeMismatch),
    ],
)
def test_queries_that_can_not_be_stored(names, types, error):
    with pytest.raises(error):
        schema_of(names, types)
