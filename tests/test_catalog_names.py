"""Names: written so that they can be read back, checked so that they can be directories."""

import duckdb
import pytest

from scoter.catalog import names
from scoter.catalog.names import ModelName, TableName
from scoter.errors import InvalidDefinition


def test_written_names_quote_only_where_needed():
    assert str(TableName("lake", "main", "flights")) == "lake.main.flights"
    assert str(TableName("lake", "a.b", "my table")) == 'lake.a.b."my table"'
    assert str(TableName("lake", "Order", "t$x")) == 'lake."Order"."t$x"'
    assert str(ModelName("main", 'we"ird')) == 'main."we""ird"'
    assert TableName("lake", "a.b", "t").identifier == ("a", "b", "t")


def test_reserved_words_are_those_of_duckdb():
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        ).fetchall()
    assert frozenset(row[0] for row in rows) == names._RESERVED


@pytest.mark.parametrize("name", ["t", "_", "T-1", "my table", "a$b", "x" * 128])
def test_allowed_names(name):
    assert names.check_name(name, "table") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " t",
        "t ",
        "1t",
        "a/b",
        "a\\b",
        "..",
        "a.b",
        "é",
        "a\nb",
        "t\n",
        "a*",
        "a?",
        "a#b",
        "a%2f",
        "\0",
        "x" * 129,
    ],
)
def test_refused_names(name):
    with pytest.raises(InvalidDefinition) as caught:
        names.check_name(name, "table")
    assert "\n" not in caught.value.message or "\n" in name


@pytest.mark.parametrize("schema", ["", ".", "a.", ".a", "a..b", "a/b", "x." * 65 + "x"])
def test_refused_schemas(schema):
    with pytest.raises(InvalidDefinition):
        names.check_schema_name(schema)


@pytest.mark.parametrize("name", ["ann", "ann@example.org", "a.b+c", "7of9"])
def test_allowed_users(name):
    assert names.check_principal_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a:b", "@a", "a/b", "ann\n", "x" * 129])
def test_refused_users(name):
    with pytest.raises(InvalidDefinition):
        names.check_principal_name(name)
