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


@settings(max_examples=150, deadline=None)
@given(sql=statements(), rows=st.tuples(ROWS, ROWS, ROWS))
def test_rows_of_which_the_predicate_is_not_true_can_be_left_out(connection, sql, rows):
    """For any join of three tables, each cut down to what is said of it, the result stays the same."""
    for name, values in zip("abc", rows, strict=True):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} (i INTEGER, k INTEGER)")
        if values:
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", values)
    whole = connection.execute(f"{sql} ORDER BY ALL").fetchall()
    for name, predicate in said(sql).items():
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {name} WHERE {predicate}")
    assert connection.execute(f"{sql} ORDER BY ALL").fetchall() == whole
