"""What a statement says of one table alone: right for every kind of join, and never too much."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from scoter.engine.predicates import table_predicates

COLUMNS = {"a": frozenset({"x", "k", "i"}), "b": frozenset({"y", "k", "i"}), "c": frozenset({"z", "k", "i"})}


def said(sql, columns=None):
    """Return {table: predicate} of a statement."""
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    known = None if columns is None else lambda table: columns.get(table.name)
    found = table_predicates(tree, known)
    return {t.alias_or_name: found[id(t)].sql("duckdb") for t in tree.find_all(exp.Table) if id(t) in found}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM a WHERE x > 1", {"a": "x > 1"}),
        ("SELECT * FROM s.a WHERE a.x > 1", {"a": "x > 1"}),
        ("SELECT * FROM a AS q WHERE Q.x > 1 AND a.x > 2", {"q": "x > 1"}),
        ("SELECT * FROM a AS q(m, n) WHERE m > 1", {}),
        ("SELECT * FROM a WHERE s.f > 1", {}),
        ("SELECT * FROM a HAVING x > 1", {}),
        ("SELECT * FROM a WHERE x > 1 QUALIFY row_number() OVER () = 1", {"a": "x > 1"}),
        ("SELECT * FROM a TABLESAMPLE 10% WHERE x > 1", {}),
        ("SELECT * FROM a WHERE x > 1 USING SAMPLE 10", {}),
        ("SELECT * FROM a WHERE x > (SELECT max(y) FROM b WHERE b.y < 9)", {"b": "y < 9"}),
        ("SELECT * FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.y = 1)", {"b": "y = 1"}),
        ("SELECT * FROM a, b WHERE a.k = b.k AND a.x = 1 AND b.y = 2", {"a": "x = 1", "b": "y = 2"}),
        ("SELECT * FROM a JOIN b ON a.k = b.k AND b.y = 2 AND a.x IS NULL", {"a": "x IS NULL", "b": "y = 2"}),
        ("SELECT * FROM a LEFT JOIN b ON a.k = b.k AND b.y = 2 AND a.x = 1", {"b": "y = 2"}),
        ("SELECT * FROM a LEFT JOIN b ON b.y IS NULL WHERE a.x = 1", {"a": "x = 1", "b": "y IS NULL"}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE b.y IS NULL", {}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE b.y = 1", {"b": "y = 1"}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE coalesce(b.y, 1) = 1", {}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE NOT b.y = 1", {"b": "NOT y = 1"}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE NOT b.y IS NULL", {"b": "NOT y IS NULL"}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE b.y = 1 OR b.y IS NULL", {}),
        ("SELECT * FROM a LEFT JOIN b USING (k) WHERE b.y IS NOT DISTINCT FROM 1", {}),
        ("SELECT * FROM a RIGHT JOIN b ON a.k = b.k AND b.y = 2 AND a.x = 1", {"a": "x = 1"}),
        ("SELECT * FROM a FULL JOIN b ON a.k = b.k AND b.y = 2 AND a.x = 1", {}),
        ("SELECT * FROM a FULL JOIN b USING (k) WHERE a.x = 1 AND b.y IS NULL", {"a": "x = 1"}),
        ("SELECT * FROM a SEMI JOIN b ON a.k = b.k AND b.y = 2 AND a.x = 1", {"a": "x = 1", "b": "y = 2"}),
        ("SELECT * FROM a ANTI JOIN b ON a.k = b.k AND b.y = 2 AND a.x = 1", {"b": "y = 2"}),
        ("SELECT * FROM a ASOF JOIN b ON a.k >= b.k WHERE a.x = 1 AND b.y = 2", {"a": "x = 1"}),
        ("SELECT * FROM a ASOF JOIN b ON a.k >= b.k JOIN c ON b.y = 2", {}),
        ("SELECT * FROM a POSITIONAL JOIN b WHERE a.x = 1", {}),
        ("SELECT * FROM a PIVOT (sum(x) FOR y IN (1, 2)) WHERE k = 1", {}),
        ("SELECT * FROM (a JOIN b ON a.k = b.k) WHERE a.x = 1", {}),
        ("SELECT * FROM a, b WHERE (a.x = 1 AND b.y = 2) OR (a.x = 3 AND b.y = 4)", {"a": "x = 1 OR x = 3", "b": "y = 2 OR y = 4"}),
        ("SELECT * FROM a, b WHERE a.x = 1 OR b.y = 4", {}),
        ("SELECT * FROM a, b WHERE NOT (a.x = 1 AND b.y = 2)", {}),
        ("SELECT * FROM a, b WHERE x = 1", {}),
        ("SELECT * FROM a AS p, a AS q WHERE p.x = 1 AND q.x = 2", {"p": "x = 1", "q": "x = 2"}),
        ("SELECT * FROM s.a, r.a WHERE a.x = 1", {}),
        ("SELECT * FROM a WHERE x = 1 UNION ALL SELECT * FROM b WHERE y = 2", {"a": "x = 1", "b": "y = 2"}),
        ("INSERT INTO q SELECT * FROM a WHERE x = 1", {"a": "x = 1"}),
        ("SELECT * FROM a WHERE x = ?", {}),
        ("FROM a WHERE x = 1", {"a": "x = 1"}),
    ],
)  # fmt: skip
def test_what_is_said(sql, expected):
    assert said(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM a, b WHERE x = 1 AND Y = 2 AND z = 3", {"a": "x = 1", "b": "Y = 2"}),
        ("SELECT * FROM a, (SELECT * FROM b) AS d WHERE x = 1 AND y = 1", {"a": "x = 1"}),
        ("SELECT * FROM a JOIN b USING (k) WHERE x = 1 AND k = 2", {"a": "x = 1"}),
        ("SELECT * FROM a NATURAL JOIN b WHERE x = 1", {}),
        ("SELECT * FROM a WHERE y = 1", {}),
    ],
)
def test_columns_without_qualifier_find_their_table(sql, expected):
    assert said(sql, COLUMNS) == expected


JOINS = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "ASOF JOIN", "CROSS JOIN"]


def conditions(tables):
    column = st.sampled_from([f"{t}.{c}" for t in tables for c in ("i", "k")])
    leaf = st.one_of(
        st.builds("{} {} {}".format, column, st.sampled_from(["=", "<>", "<", ">="]), st.integers(0, 2)),
        st.builds("{} IS {}NULL".format, column, st.sampled_from(["", "NOT "])),
        st.builds("{} IS NOT DISTINCT FROM {}".format, column, st.integers(0, 2)),
        st.builds("coalesce({}, 1) = {}".format, column, st.integers(0, 2)),
        st.builds("{} = {}".format, column, column),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} AND {})".format, inner, inner),
            st.builds("({} OR {})".format, inner, inner),
            st.builds("(NOT {})".format, inner),
        ),
        max_leaves=4,
    )


@st.composite
def statements(draw):
    first, second = draw(st.sampled_from(JOINS)), draw(st.sampled_from(JOINS))
    sql, seen = "SELECT * FROM a", ["a"]
    for kind, name in ((first, "b"), (second, "c")):
        visible = [*seen, name]
        if kind == "CROSS JOIN":
            sql += f" CROSS JOIN {name}"
        elif kind == "ASOF JOIN":
            sql += f" ASOF JOIN {name} ON a.k >= {name}.k"
        else:
            sql += f" {kind} {name} ON {draw(conditions(visible))}"
        if kind not in ("SEMI JOIN", "ANTI JOIN"):
            seen.append(name)
    return f"{sql} WHERE {draw(conditions(seen))} AND {draw(conditions(seen))}"


ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 2), st.none() | st.integers(0, 2)),
    min_size=0,
    max_size=4,
    unique=True,
)


@pytest.fixture(scope="module")
def connection():

    connection = duckdb.connect(config={"threads": 1})
    yield connection
    connection.close()


def check_left_out(connection, sql, rows):
    """Compare the result of a statement with that over tables cut down to what is said of them."""
    for name, values in zip("abc", rows, strict=True):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} (i INTEGER, k INTEGER)")
        if values:
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", values)
    whole = connection.execute(f"{sql} ORDER BY ALL").fetchall()
    for name, predicate in said(sql).items():
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {name} WHERE {predicate}")
    assert connection.execute(f"{sql} ORDER BY ALL").fetchall() == whole


@settings(max_examples=150, deadline=None)
@given(sql=statements(), rows=st.tuples(ROWS, ROWS, ROWS))
def test_rows_of_which_the_predicate_is_not_true_can_be_left_out(connection, sql, rows):
    """For any join of three tables, each cut down to what is said of it, the result stays the same."""
    check_left_out(connection, sql, rows)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM (SELECT x, k AS j FROM a) v WHERE v.x = 1 AND j = 2", {"a": "x = 1 AND k = 2"}),
        ("SELECT * FROM (SELECT x AS k, k AS x FROM a) v WHERE x = 1", {"a": "k = 1"}),
        ("SELECT * FROM (SELECT * FROM a WHERE k > 5) WHERE x = 1", {"a": "k > 5 AND x = 1"}),
        ("SELECT * FROM (SELECT x, k FROM a) v(p, q) WHERE p = 1", {"a": "x = 1"}),
        ("SELECT * FROM (SELECT * FROM a) v(p, q) WHERE p = 1", {}),
        ("SELECT * FROM (SELECT x + 1 AS x FROM a) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x, sum(k) AS s FROM a GROUP BY x) v WHERE x = 1 AND s = 2", {"a": "x = 1"}),
        ("SELECT * FROM (SELECT x, sum(k) AS s FROM a GROUP BY ALL) v WHERE x = 1 OR s = 2", {}),
        ("SELECT * FROM (SELECT x, sum(k) AS s FROM a GROUP BY ROLLUP (x)) v WHERE x IS NULL", {}),
        ("SELECT * FROM (SELECT DISTINCT x FROM a) v WHERE x = 1", {"a": "x = 1"}),
        ("SELECT * FROM (SELECT DISTINCT ON (x) x, k FROM a) v WHERE k = 1", {}),
        ("SELECT * FROM (SELECT x FROM a ORDER BY x LIMIT 1) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x, row_number() OVER () AS n FROM a) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x FROM a QUALIFY row_number() OVER () = 1) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x FROM a USING SAMPLE 5) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x, x FROM a) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x FROM a) v TABLESAMPLE 10% WHERE x = 1", {}),
        ("SELECT * FROM (SELECT x FROM a UNION ALL SELECT y FROM b) v WHERE x = 1", {}),
        ("SELECT * FROM (SELECT a.x, b.y FROM a LEFT JOIN b USING (k)) v WHERE x = 1 AND y = 2", {"a": "x = 1", "b": "y = 2"}),
        ("SELECT * FROM (SELECT a.x, b.y FROM a LEFT JOIN b USING (k)) v WHERE y IS NULL", {}),
        ("SELECT * FROM c LEFT JOIN (SELECT x, k FROM a) v ON v.x = 1 AND c.z = 2", {"a": "x = 1"}),
        ("SELECT * FROM c LEFT JOIN (SELECT x, k FROM a) v USING (k) WHERE v.x IS NULL", {}),
        ("SELECT * FROM (SELECT x FROM (SELECT x, k FROM a WHERE k = 3) i) v WHERE x = 1", {"a": "k = 3 AND x = 1"}),
        ("SELECT * FROM a, (SELECT a.x AS q FROM b) v WHERE q = 1", {}),
    ],
)  # fmt: skip
def test_what_is_said_through_subqueries(sql, expected):
    assert said(sql) == expected


INNER = [
    "SELECT i AS p, k AS q FROM a",
    "SELECT k AS p, i AS q FROM a WHERE i <> 1",
    "SELECT DISTINCT i AS p, k AS q FROM a",
    "SELECT i AS p, max(k) AS q FROM a GROUP BY i",
    "SELECT i AS p, k AS q, count(*) FROM a GROUP BY ALL",
    "SELECT i AS p, count(*) AS q FROM a GROUP BY ROLLUP (i)",
    "SELECT i AS p, k AS q FROM a ORDER BY ALL LIMIT 2",
    "SELECT i AS p, sum(k) OVER (ORDER BY i, k) AS q FROM a",
    "SELECT DISTINCT ON (i) i AS p, k AS q FROM a ORDER BY i, k",
    "SELECT a.i AS p, b.k AS q FROM a LEFT JOIN b ON a.k = b.k AND b.i <> 2",
    "SELECT a.i AS p, b.k AS q FROM a FULL JOIN b USING (i)",
    "SELECT p, q FROM (SELECT i AS q, k AS p FROM a WHERE k IS NOT NULL) AS n",
    "SELECT coalesce(i, 1) AS p, k AS q FROM a",
]


@st.composite
def outer_statements(draw):
    inner, kind = draw(st.sampled_from(INNER)), draw(st.sampled_from(JOINS[:6]))
    about = st.recursive(
        st.one_of(
            st.builds("v.{} {} {}".format, st.sampled_from("pq"), st.sampled_from(["=", "<>", "<"]), st.integers(0, 2)),
            st.builds("v.{} IS {}NULL".format, st.sampled_from("pq"), st.sampled_from(["", "NOT "])),
            st.builds("c.{} = v.{}".format, st.sampled_from("ik"), st.sampled_from("pq")),
        ),
        lambda part: st.one_of(st.builds("({} AND {})".format, part, part), st.builds("({} OR {})".format, part, part)),
        max_leaves=3,
    )  # fmt: skip
    order = f"({inner}) AS v {kind} c" if draw(st.booleans()) else f"c {kind} ({inner}) AS v"
    hidden = kind in ("SEMI JOIN", "ANTI JOIN")
    where = "true" if hidden else f"{draw(about)} AND {draw(about)}"
    return f"SELECT * FROM {order} ON {draw(about)} WHERE {where}"


@settings(max_examples=200, deadline=None)
@given(sql=outer_statements(), rows=st.tuples(ROWS, ROWS, ROWS))
def test_rows_can_be_left_out_below_subqueries(connection, sql, rows):
    """As above, with conditions on the columns of a subquery of many shapes."""
    check_left_out(connection, sql, rows)
