"""DuckDB gives the same names' values and types for a query and for what we make of it."""

import json
import random
from pathlib import Path

import duckdb
import pytest

from scoter.engine.dialect import Scoter, parse, to_duckdb
from scoter.engine.functions import CALLABLE, TABLE_FUNCTIONS, VOLATILE
from scoter.engine.gate import check
from scoter.errors import ScoterError

CORPUS = Path(__file__).with_name("parse_corpus.sql").read_text("utf-8").splitlines()
LIMIT = 1_000_000
TABLES = """
SET TimeZone = 'UTC';
CREATE TABLE a AS SELECT * FROM (VALUES ('x', 1, 10), ('x', 2, 20), ('y', 2, 10), ('Y', NULL, 30), (NULL, 4, NULL)) v(k, v, t);
CREATE TABLE b AS SELECT * FROM (VALUES ('x', 1, 9), ('y', 5, 9), ('z', 2, 10)) v(k, v, t);
CREATE TABLE customer AS SELECT i AS c_custkey, ['BUILDING', 'MACHINERY', 'AUTO'][i % 3 + 1] AS c_mktsegment,
    (10 + i % 25) || '-' || i AS c_phone, ((i * 37) % 1000 - 200)::DECIMAL(12, 2) AS c_acctbal FROM range(1, 151) r(i);
CREATE TABLE orders AS SELECT i AS o_orderkey, i * 7 % 150 + 1 AS o_custkey,
    DATE '1993-01-01' + (i * 13 % 1400)::INT AS o_orderdate,
    ['1-URGENT', '2-HIGH', '3-MEDIUM'][i % 3 + 1] AS o_orderpriority FROM range(1, 1501) r(i);
CREATE TABLE lineitem AS SELECT i % 1500 + 1 AS l_orderkey, i % 10 + 1 AS l_suppkey, (i % 50)::DECIMAL(12, 2) AS l_quantity,
    (i * 11 % 900 + 0.5)::DECIMAL(12, 2) AS l_extendedprice, (i % 11 / 100)::DECIMAL(12, 2) AS l_discount,
    (i % 9 / 100)::DECIMAL(12, 2) AS l_tax, ['A', 'N', 'R'][i % 3 + 1] AS l_returnflag, ['F', 'O'][i % 2 + 1] AS l_linestatus,
    DATE '1993-01-01' + (i * 17 % 2200)::INT AS l_shipdate, DATE '1993-01-01' + (i * 19 % 2200)::INT AS l_commitdate,
    DATE '1993-01-01' + (i * 23 % 2200)::INT AS l_receiptdate, ['AIR', 'RAIL', 'SHIP'][i % 3 + 1] AS l_shipmode
    FROM range(6000) r(i);
"""
# DuckDB's parser makes calls of these from operators and brackets.
FROM_SYNTAX = {
    *(
        "array_extract",
        "array_slice",
        "list_value",
        "map",
        "row",
        "struct_extract",
        "struct_pack",
        "is_distinct",
    ),
    *("count_star", "timezone", "alias", "unpivot_list", "like_escape", "ilike_escape", "not_like_escape"),
    *("contains", "regexp_matches", "regexp_full_match", "starts_with", "date_part", "position", "substring"),
    *(
        "trim",
        "ltrim",
        "rtrim",
        "overlay",
        "to_years",
        "to_months",
        "list_apply",
        "list_filter",
        "list_transform",
    ),
}


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(":memory:") as opened:
        opened.execute(TABLES)
        yield opened


def answer(connection, sql):
    result = connection.sql(sql)
    return [str(kind) for kind in result.types], [repr(row) for row in result.fetchall()]


def duckdb_tree(connection, sql):
    return json.loads(connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()[0])


def functions_in(tree):
    found = set()
    if isinstance(tree, dict):
        if tree.get("function_name") and not tree.get("is_operator"):
            found.add(tree["function_name"].lower())
        for part in tree.values():
            found |= functions_in(part)
    elif isinstance(tree, list):
        for part in tree:
            found |= functions_in(part)
    return found


@pytest.mark.parametrize("sql", CORPUS, ids=range(len(CORPUS)))
def test_same_values_and_types(connection, sql):
    tree = parse(sql, LIMIT)
    written = to_duckdb(tree)
    assert answer(connection, written) == answer(connection, sql), written


@pytest.mark.parametrize("sql", CORPUS, ids=range(len(CORPUS)))
def test_writing_is_stable(sql):
    once = parse(sql, LIMIT).sql(dialect=Scoter)
    assert parse(once, LIMIT).sql(dialect=Scoter).replace("ANY (", "ANY(") == once.replace("ANY (", "ANY(")


def test_examples_of_every_function(connection):
    """What DuckDB's documentation calls an example gives the same result through us."""
    rows = connection.execute(
        "SELECT lower(function_name), unnest(examples) FROM duckdb_functions() WHERE len(examples) > 0"
    ).fetchall()
    tried = set()
    for name, example in sorted(set(rows)):
        if name not in CALLABLE or name in VOLATILE:
            continue
        try:
            expected = answer(connection, f"SELECT {example}")
            tree = parse(f"SELECT {example}", LIMIT)
            check(tree)
        except (duckdb.Error, ScoterError):
            continue
        assert answer(connection, to_duckdb(tree)) == expected, example
        tried.add(name)
    assert len(tried) > 200


def test_the_gate_lets_the_corpus_pass(connection):
    """DuckDB's own parser finds only functions that the gate has seen and allowed."""
    for sql in CORPUS:
        tree = parse(sql, LIMIT)
        if "current_schema" in sql or "INTEGRAL" in sql:
            continue  # the corpus compares them, the gate refuses them
        check(tree)
        found = duckdb_tree(connection, to_duckdb(tree))
        if found["error"]:  # PIVOT cannot be serialised
            assert "PIVOT" in sql, found
            continue
        assert functions_in(found) <= CALLABLE | TABLE_FUNCTIONS | FROM_SYNTAX


@pytest.mark.parametrize("hidden", ["getenv('HOME')", "read_csv('x')", "\"query\"('x')"])
def test_no_place_hides_a_function(connection, hidden):
    """A forbidden call put in place of any word is refused, or DuckDB does not read it as a call."""
    chosen = random.Random(len(hidden)).sample(CORPUS, 60)  # noqa: S311  # a choice that can be repeated
    passed = 0
    for sql in chosen:
        tokens = Scoter().tokenize(sql)
        for token in tokens[1:]:
            text = sql[: token.start] + f" {hidden} " + sql[token.end + 1 :]
            try:
                tree = parse(text, LIMIT)
                check(tree)
                written = to_duckdb(tree)
            except ScoterError:
                continue
            passed += 1
            found = duckdb_tree(connection, written)
            assert found["error"] or not functions_in(found) & {"getenv", "read_csv", "query"}, text
    assert passed < 60


ATOMS = [
    "a",
    "b",
    "c",
    "1",
    "2.5",
    "'x'",
    "(a + b)",
    "abs(a)",
    "a.b",
    "NULL",
    "true",
    "[1, 2]",
    "INTERVAL 1 DAY",
]
OPERATORS = [
    *(
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "||",
        "=",
        "<>",
        "<",
        ">",
        "<=",
        ">=",
        "AND",
        "OR",
        "&",
        "|",
        "<<",
    ),
    *(">>", "->>", "->", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "LIKE", "NOT LIKE", "ILIKE", "~", "!~"),
    *("&&", "@>", "<@", "SIMILAR TO", "NOT SIMILAR TO", "IN", "GLOB"),
]
BEHIND = [
    *(" IS NULL", " IS NOT NULL", "::INT", " IS TRUE", "[1]", " BETWEEN 1 AND 2", " NOT BETWEEN b AND c"),
    *(" IN (1, 2)", " NOT IN (1)", " COLLATE nocase", " AT TIME ZONE 'UTC'"),
]
SAME = {"query_location", "query_location_length", "alias", "is_operator", "qualified_name"}


def bare(tree):
    """Take the places away, and write the spellings that mean the same in one way."""
    if isinstance(tree, list):
        return [bare(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    found = {key: bare(part) for key, part in tree.items() if key not in SAME}
    if found.get("type") == "OPERATOR_IS_NOT_NULL":
        return {
            "class": "OPERATOR",
            "type": "OPERATOR_NOT",
            "children": [{**found, "type": "OPERATOR_IS_NULL"}],
        }
    if found.get("type") == "COMPARE_DISTINCT_FROM":
        inner = {**found, "type": "COMPARE_NOT_DISTINCT_FROM"}
        return {"class": "OPERATOR", "type": "OPERATOR_NOT", "children": [inner]}
    return found


@pytest.mark.parametrize("seed", range(4))
def test_operators_bind_as_in_duckdb(connection, seed):
    """A row of operators without parentheses is read by DuckDB as before, whatever we make of it."""
    chance = random.Random(seed)  # noqa: S311  # a choice that can be repeated
    compared = 0
    for _ in range(250):
        parts = []
        for _ in range(chance.choice((2, 2, 3))):
            atom = chance.choice(ATOMS)
            if chance.random() < 0.2:
                atom = chance.choice(("-", "NOT ")) + atom
            if chance.random() < 0.25:
                atom += chance.choice(BEHIND)
            parts += [atom, chance.choice(OPERATORS)]
        text = " ".join(parts[:-1])
        before = duckdb_tree(connection, f"SELECT {text} FROM t")
        try:
            written = to_duckdb(parse(f"SELECT {text} FROM t", LIMIT))
        except ScoterError:
            continue
        after = duckdb_tree(connection, written)
        if before["error"]:
            continue
        assert bare(after) == bare(before), f"{text} => {written}"
        compared += 1
    assert compared > 100
