"""Our statements become typed nodes, are written back without loss, and errors point at their place."""

import logging

import pytest
from sqlglot import exp

from scoter.engine import statements as ours
from scoter.engine.dialect import Scoter, parse, to_duckdb
from scoter.engine.gate import check
from scoter.engine.statements import span_of
from scoter.errors import (
    InternalError,
    InvalidSyntax,
    NotSupported,
    ScoterError,
    Span,
    TooComplex,
    TooLarge,
)

LIMIT = 1_000_000
ROUND_TRIPS = [
    (ours.CreateModel, "CREATE MODEL m FROM 'file:///x.onnx'"),
    (ours.CreateModel, "CREATE MODEL m FROM ?"),
    (ours.CreateModel, "CREATE MODEL m FROM $1"),
    (
        ours.CreateModel,
        (
            "CREATE OR REPLACE MODEL s.m FROM 'x' INPUT (age INTEGER ON NULL NAN, city VARCHAR ON NULL 'NA', "
            "d DOUBLE ON NULL -1, e INTEGER ON NULL ERROR, f FLOAT ON NULL NULL, g BOOLEAN ON NULL TRUE, h BIGINT) "
            "OUTPUT (label VARCHAR, proba) WITH (task = 'classification', labels = ['a', 'b'], n = 1)"
        ),
    ),
    (ours.CreateModel, "CREATE MODEL IF NOT EXISTS m FROM 'x'"),
    (ours.AddModelVersion, "ALTER MODEL m ADD VERSION FROM 'x' INPUT (a INTEGER)"),
    (ours.AddModelVersion, "ALTER MODEL s.m ADD VERSION FROM ?"),
    (ours.SetModelDefault, "ALTER MODEL m SET DEFAULT_VERSION = 3"),
    (ours.SetModelAlias, "ALTER MODEL m SET ALIAS champion = 3"),
    (ours.DropModelAlias, "ALTER MODEL m DROP ALIAS champion"),
    (ours.DropModelVersion, "ALTER MODEL m DROP VERSION 2"),
    (ours.RenameModel, "ALTER MODEL m RENAME TO s.n"),
    (ours.SetModelOwner, "ALTER MODEL m OWNER TO ann"),
    (ours.SetModelTags, "ALTER MODEL s.m SET TAG team = 'search', \"a b\" = ''"),
    (ours.UnsetModelTags, 'ALTER MODEL m UNSET TAG team, "a b"'),
    (ours.CommentOnModel, "COMMENT ON MODEL s.m IS 'late?'"),
    (ours.CommentOnModel, "COMMENT ON MODEL m IS NULL"),
    (ours.ShowCreateModel, "SHOW CREATE MODEL s.m"),
    (ours.DropModel, "DROP MODEL IF EXISTS s.m"),
    (ours.DropModel, 'DROP MODEL "My model"'),
    (ours.CommentOn, "COMMENT ON TABLE s.t IS 'it''s'"),
    (ours.CommentOn, "COMMENT ON TABLE t IS NULL"),
    (ours.CommentOn, "COMMENT ON VIEW s.v IS 'x'"),
    (ours.CreateView, "CREATE VIEW s.v AS SELECT 1 AS a"),
    (ours.CreateView, "CREATE OR REPLACE VIEW v (a, \"B\" COMMENT 'x') COMMENT 'y' AS SELECT a, b FROM t"),
    (
        ours.CreateView,
        "CREATE VIEW IF NOT EXISTS v AS WITH x AS (SELECT 1) SELECT * FROM x UNION ALL SELECT 2",
    ),
    (ours.DropView, "DROP VIEW IF EXISTS c.s.v"),
    (ours.RenameView, "ALTER VIEW s.v RENAME TO w"),
    (ours.ShowViews, "SHOW VIEWS FROM s"),
    (ours.ShowCreateTable, "SHOW CREATE VIEW v"),
    (ours.CommentOn, "COMMENT ON COLUMN c.s.\"T t\".a.b IS 'x'"),
    (ours.ShowModels, "SHOW MODELS"),
    (ours.ShowModels, "SHOW MODELS FROM s"),
    (ours.ShowVersions, "SHOW VERSIONS IN MODEL s.m"),
    (ours.ShowTables, "SHOW TABLES"),
    (ours.ShowTables, "SHOW TABLES FROM c.s"),
    (ours.ShowTables, "SHOW ALL TABLES"),
    (ours.ShowSchemas, "SHOW SCHEMAS"),
    (ours.ShowSchemas, "SHOW SCHEMAS FROM c"),
    (ours.ShowCatalogs, "SHOW CATALOGS"),
    (ours.ShowColumns, "SHOW COLUMNS FROM s.t"),
    (ours.ShowCreateTable, "SHOW CREATE TABLE t"),
    (ours.ShowSettings, "SHOW ALL"),
    (ours.ShowIsolation, "SHOW TRANSACTION ISOLATION LEVEL"),
    (ours.ShowSetting, "SHOW timezone"),
    (ours.DescribeModel, "DESCRIBE MODEL m"),
    (ours.DescribeModel, "DESCRIBE MODEL s.m@champion"),
    (ours.DescribeModel, "DESCRIBE MODEL m@3"),
    (ours.DescribeModel, 'DESCRIBE MODEL m@"a b"'),
    (ours.DescribeTable, "DESCRIBE TABLE s.t"),
    (ours.DescribeQuery, "DESCRIBE SELECT 1 AS x"),
    (ours.Explain, "EXPLAIN SELECT 1"),
    (ours.Explain, "EXPLAIN ANALYZE INSERT INTO t SELECT 1"),
    (ours.Explain, "EXPLAIN CREATE MODEL m FROM 'x'"),
    (ours.SetSetting, "SET timezone = 'Europe/Berlin'"),
    (ours.SetSetting, "SET statement_timeout = 30"),
    (ours.SetSetting, "SET x = -1"),
    (ours.SetSetting, "SET x = on"),
    (ours.ResetSetting, "RESET timezone"),
    (ours.ResetSetting, "RESET ALL"),
    (ours.UseSchema, "USE s"),
    (ours.UseSchema, "USE c.s"),
    (ours.CreateSchema, "CREATE SCHEMA IF NOT EXISTS c.s"),
    (ours.DropSchema, "DROP SCHEMA IF EXISTS s CASCADE"),
    (
        ours.CreateTable,
        (
            "CREATE TABLE IF NOT EXISTS s.t (id INTEGER NOT NULL COMMENT 'key', b DECIMAL(10, 2), "
            "c STRUCT(a INTEGER, b VARCHAR[]), d MAP(VARCHAR, BIGINT), ts TIMESTAMPTZ) "
            "PARTITIONED BY (b, year(ts), month(ts), day(ts), hour(ts), bucket(16, id), truncate(4, b)) "
            "COMMENT 'a table' WITH (k = 'v')"
        ),
    ),
    (ours.CreateTable, "CREATE OR REPLACE TABLE t AS SELECT 1 AS x"),
    (ours.CreateTable, "CREATE TABLE t PARTITIONED BY (x) AS SELECT 1 AS x WITH NO DATA"),
    (ours.DropTable, "DROP TABLE IF EXISTS c.s.t CASCADE"),
    (
        ours.RegisterTable,
        "CALL system.register_table(table => 's.\"odd name\"', metadata_file => 'file:///it''s/v1.json')",
    ),
    (exp.Insert, "INSERT INTO t VALUES (1, 'a'), (2, NULL)"),
    (exp.Insert, "INSERT INTO s.t (a, b) SELECT 1, 2"),
    (exp.Insert, "INSERT INTO t BY NAME SELECT 1 AS a"),
    (exp.Insert, "INSERT INTO t DEFAULT VALUES"),
    (exp.Insert, "INSERT INTO t VALUES (?, $1, $name)"),
    (exp.Insert, "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x"),
    (
        ours.Merge,
        (
            "MERGE INTO c.s.t AS a USING (SELECT 1 AS k) AS b ON a.k = b.k WHEN MATCHED AND a.x > 1 THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET x = b.k + 1, a.y = ? WHEN NOT MATCHED AND b.k = 2 THEN DO NOTHING "
            "WHEN NOT MATCHED THEN INSERT (x, y) VALUES (b.k, NULL) WHEN NOT MATCHED BY SOURCE THEN DELETE"
        ),
    ),
    (
        ours.Merge,
        "MERGE INTO t USING u FOR VERSION AS OF 3 ON t.k = u.k WHEN NOT MATCHED THEN INSERT VALUES (u.k)",
    ),
    (ours.Merge, "WITH u AS (SELECT 1 AS k) MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN DELETE"),
    (
        ours.Explain,
        "EXPLAIN MERGE INTO t USING u ON t.k = u.k WHEN MATCHED THEN UPDATE SET x = PREDICT('m', u.k)",
    ),
    (ours.Update, "UPDATE c.s.t AS a SET x = a.y + 1, a.y = ? WHERE a.k IN (SELECT k FROM u)"),
    (ours.Update, "WITH u AS (SELECT 1 AS k) UPDATE t SET x = (SELECT k FROM u)"),
    (ours.Delete, "DELETE FROM t AS a WHERE a.k = 1 AND PREDICT('m', a.x) > 2"),
    (ours.Delete, "DELETE FROM s.t"),
    (ours.BeginTransaction, "BEGIN"),
    (ours.CommitTransaction, "COMMIT"),
    (ours.RollbackTransaction, "ROLLBACK"),
    (exp.Select, "SELECT * FROM t FOR VERSION AS OF 123"),
    (exp.Select, "SELECT * FROM t FOR VERSION AS OF 'tag' AS x"),
    (exp.Select, "SELECT * FROM t FOR TIMESTAMP AS OF CAST('2020-01-01' AS TIMESTAMP)"),
    (exp.Select, "SELECT PREDICT('m@3', a, b) FROM t"),
    (exp.Select, "SELECT PREDICT('m', *) FROM t"),
    (exp.Select, "SELECT PREDICT('m', {'age': a}) FROM t"),
    (exp.Select, "SELECT PREDICT_PROBA('m', c, class => 'yes') FROM t AS c"),
    (exp.Select, "SELECT PREDICT_ALL('m', c), TRY_PREDICT('m', c.*) FROM t AS c"),
    (exp.Select, "SELECT sum(PREDICT('m', c)) FILTER(WHERE PREDICT('m', c) > 1) FROM t AS c"),
    (exp.Select, "SELECT * FROM ML_PREDICT(MODEL m@champion, TABLE t)"),
    (
        exp.Select,
        (
            "SELECT * FROM ML_PREDICT(MODEL s.m, TABLE (SELECT * FROM t), threshold => 0.4, "
            "keep_original_columns => ['id']) AS p JOIN z USING (id)"
        ),
    ),
]


@pytest.mark.parametrize(("kind", "sql"), ROUND_TRIPS, ids=[sql for _, sql in ROUND_TRIPS])
def test_round_trip(kind, sql):
    tree = parse(sql, LIMIT)
    assert type(tree) is kind
    assert tree.sql(dialect=Scoter) == sql
    assert parse(tree.sql(dialect=Scoter), LIMIT) == tree
    assert tree.copy() == tree
    check(tree)


def test_with_before_insert_stands_in_its_query():
    tree = parse("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", LIMIT)
    assert tree.sql(dialect=Scoter) == "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x"


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        ("ALTER MODEL m SET OWNER TO ann", "ALTER MODEL m OWNER TO ann"),
        ("ALTER MODEL m VERSION 3 SET ALIAS = champion", "ALTER MODEL m SET ALIAS champion = 3"),
        ("SHOW DATABASES", "SHOW CATALOGS"),
        ("SHOW TABLES IN s", "SHOW TABLES FROM s"),
        ("SHOW TIME ZONE", "SHOW timezone"),
        ("SET TIME ZONE 'UTC'", "SET timezone = 'UTC'"),
        ("SET SESSION x TO 5", "SET x = 5"),
        ("DESCRIBE t", "DESCRIBE TABLE t"),
        ("DESC FROM t", "DESCRIBE SELECT * FROM t"),
        ("BEGIN TRANSACTION", "BEGIN"),
        ("START TRANSACTION", "BEGIN"),
        ("END", "COMMIT"),
        ("ABORT", "ROLLBACK"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF now()", "SELECT * FROM t FOR TIMESTAMP AS OF now()"),
        ("SELECT * FROM t AT (VERSION => 3)", "SELECT * FROM t FOR VERSION AS OF 3"),
        ("SELECT * FROM t AS x AT (TIMESTAMP => now())", "SELECT * FROM t FOR TIMESTAMP AS OF now() AS x"),
        ("SELECT * FROM ML.PREDICT(MODEL m, TABLE t)", "SELECT * FROM ML_PREDICT(MODEL m, TABLE t)"),
        ("SELECT * FROM PREDICT(MODEL m, TABLE t)", "SELECT * FROM ML_PREDICT(MODEL m, TABLE t)"),
        ("SELECT * FROM ML_PREDICT(TABLE t, MODEL m)", "SELECT * FROM ML_PREDICT(MODEL m, TABLE t)"),
        ("select 1 -- note\n;;", "SELECT 1"),
        ("/* a */ SELECT /* sqlglot.anonymous */ 1 /* b */", "SELECT 1"),
        ("FROM t", "SELECT * FROM t"),
        ("VALUES (1), (2)", "SELECT * FROM (VALUES (1), (2))"),
        (
            "CREATE TABLE t (c INT) PARTITIONED BY (years(c), truncate(c, 4))",
            "CREATE TABLE t (c INTEGER) PARTITIONED BY (year(c), truncate(4, c))",
        ),
        ("SELECT 'a'\n 'b'", "SELECT 'ab'"),
        ("SELECT list_transform(l, x -> x + 1)", "SELECT list_transform(l, LAMBDA x : x + 1)"),
        ("SELECT json_type(j -> 'a')", "SELECT json_type(j -> 'a')"),
    ],
)
def test_other_spellings(sql, same):
    assert parse(sql, LIMIT) == parse(same, LIMIT)
    assert parse(sql, LIMIT).sql(dialect=Scoter) == same


def test_parts_of_a_model_statement():
    tree = parse(
        "CREATE OR REPLACE MODEL s.churn FROM 'file:///m.onnx' INPUT (age INT ON NULL -1) WITH (a = 'b')",
        LIMIT,
    )
    assert (tree.this.schema, tree.this.name, tree.this.version) == ("s", "churn", None)
    assert tree.args["replace"] is True
    assert tree.args["source"].name == "file:///m.onnx"
    (declared,) = tree.args["inputs"]
    assert (declared.name, declared.args["kind"].sql("duckdb")) == ("age", "INT")
    assert declared.args["on_null"].sql(dialect=Scoter) == "-1"
    assert parse("DESCRIBE MODEL m@Champion", LIMIT).this.version == "Champion"
    assert parse("ALTER MODEL m SET ALIAS c = 3", LIMIT).args["version"].name == "3"
    assert isinstance(parse("CREATE MODEL m FROM ?", LIMIT).args["source"], exp.Placeholder)


def test_parts_of_a_call():
    call = parse("SELECT 1 +\n  PREDICT_PROBA('m', c, class => 'yes') FROM t c", LIMIT).find(ours.Predict)
    assert (call.kind, call.model.name, call.class_label.name) == ("proba", "m", "yes")
    assert [a.sql() for a in call.arguments] == ["c"]
    assert span_of(call) == Span(2, 3)
    table = parse("SELECT * FROM ML_PREDICT(MODEL m@3, TABLE t, threshold => 0.4)", LIMIT).find(
        ours.MlPredict
    )
    assert (table.this.name, table.this.version) == ("m", "3")
    assert isinstance(table.expression, exp.Table)
    assert table.args["options"][0].name == "threshold"
    rated = parse("SELECT * FROM ML_EVALUATE(MODEL m@3, TABLE (SELECT 1), label => 'y')", LIMIT)
    assert rated.find(ours.MlEvaluate).args["options"][0].expression.name == "y"


def test_parts_of_a_table():
    tree = parse(
        "CREATE TABLE t (a INT NOT NULL COMMENT 'k', b INT) PARTITIONED BY (bucket(16, a), b)", LIMIT
    )
    first, second = tree.args["columns"]
    assert (first.name, first.args["not_null"], first.args["comment"].name) == ("a", True, "k")
    assert not second.args["not_null"]
    bucket, identity = tree.args["partitions"]
    assert (bucket.name, bucket.transform_name, bucket.parameter) == ("a", "bucket", 16)
    assert (identity.name, identity.transform_name, identity.parameter) == ("b", "identity", None)


def test_time_travel_has_one_form():
    table = parse("SELECT * FROM s.t AT (VERSION => 3) AS x", LIMIT).find(exp.Table)
    assert table.args["version"].expression.name == "3"
    assert not table.args.get("when")
    with pytest.raises(NotSupported):
        to_duckdb(parse("WITH c AS (SELECT 1) SELECT * FROM c FOR VERSION AS OF 3", LIMIT))


@pytest.mark.parametrize(
    ("sql", "find", "line", "column"),
    [
        ("SELECT a,\n   bcd FROM t", lambda t: t.selects[1], 2, 4),
        ('SELECT "a b"', lambda t: t.selects[0], 1, 8),
        ("SELECT x.abc FROM t x", lambda t: t.selects[0], 1, 8),
        ("SELECT 1 FROM s.t", lambda t: t.find(exp.Table), 1, 15),
        ("SELECT 1 + lower(x)", lambda t: t.find(exp.Anonymous), 1, 12),
        ("SELECT 1 + current_date", lambda t: t.find(exp.CurrentDate), 1, 12),
        ("SELECT a AS b, c + d", lambda t: t.selects[1], 1, 16),
        ("  DROP MODEL m", lambda t: t, 1, 3),
        ("SHOW VERSIONS IN MODEL abc", lambda t: t.this, 1, 24),
    ],
)
def test_places(sql, find, line, column):
    assert span_of(find(parse(sql, LIMIT))) == Span(line, column)


@pytest.mark.parametrize(
    ("sql", "kind", "place"),
    [
        ("", InvalidSyntax, None),
        (" ; -- nothing", InvalidSyntax, None),
        ("SELECT 1; SELECT 2", InvalidSyntax, Span(1, 9)),
        ("SELECT (1", InvalidSyntax, Span(1, 9)),
        ("SELECT 1 +", InvalidSyntax, Span(1, 10)),
        ("SELECT 'abc", InvalidSyntax, None),
        ('SELECT "abc', InvalidSyntax, None),
        ("SELECT /* abc", InvalidSyntax, None),
        ("SELEC 1", InvalidSyntax, Span(1, 1)),
        ("SELECT 1\nFROM t\nWHER a", InvalidSyntax, Span(3, 6)),
        ("1 + 1", InvalidSyntax, Span(1, 1)),
        ("SELECT 0xFF", InvalidSyntax, Span(1, 8)),
        ("SELECT 12ab", InvalidSyntax, Span(1, 8)),
        ("SELECT 'a' 'b'", InvalidSyntax, Span(1, 12)),
        ("CREATE MODEL m@3 FROM 'x'", InvalidSyntax, Span(1, 15)),
        ("CREATE MODEL m FROM 5", InvalidSyntax, Span(1, 21)),
        ("CREATE MODEL m FROM 'x' INPUT (a)", InvalidSyntax, Span(1, 33)),
        ("CREATE MODEL m FROM 'x' INPUT (a INT ON NULL (1))", InvalidSyntax, None),
        ("CREATE MODEL m FROM 'x' INPUT (a INT) INPUT (b INT)", InvalidSyntax, None),
        ("CREATE MODEL m AS SELECT 1", NotSupported, Span(1, 16)),
        ("ALTER MODEL m SET DEFAULT_VERSION =", InvalidSyntax, None),
        ("ALTER MODEL m RENAME n", InvalidSyntax, Span(1, 15)),
        ("ALTER MODEL m RENAME TO n@3", InvalidSyntax, Span(1, 26)),
        ("ALTER MODEL m SET TAG t = 3", InvalidSyntax, Span(1, 27)),
        ("CREATE TABLE t", InvalidSyntax, None),
        ("CREATE TABLE t (a INT PRIMARY KEY)", NotSupported, Span(1, 23)),
        ("CREATE TABLE t (a INT, PRIMARY KEY (a))", NotSupported, Span(1, 24)),
        ("CREATE TABLE t (a INT DEFAULT 1)", NotSupported, Span(1, 23)),
        ("CREATE TABLE t (a INT) PARTITIONED BY (foo(a))", NotSupported, Span(1, 40)),
        ("INSERT INTO t VALUES (1) RETURNING a", NotSupported, Span(1, 26)),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", NotSupported, Span(1, 26)),
        ("INSERT OR REPLACE INTO t VALUES (1)", NotSupported, Span(1, 8)),
        ("MERGE INTO t USING u ON t.a = u.a", InvalidSyntax, None),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET *", NotSupported, Span(1, 64)),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN INSERT VALUES (1)", InvalidSyntax, Span(1, 53)),
        ("MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN DELETE", InvalidSyntax, Span(1, 57)),
        ("MERGE INTO t USING u USING (a) WHEN MATCHED THEN DELETE", NotSupported, Span(1, 22)),
        ("MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING 1", NotSupported, Span(1, 55)),
        ("UPDATE t SET a = 1 FROM u", NotSupported, Span(1, 20)),
        ("UPDATE t SET (a, b) = (1, 2)", NotSupported, Span(1, 14)),
        ("UPDATE t", InvalidSyntax, None),
        ("DELETE FROM t USING u", NotSupported, Span(1, 15)),
        ("DELETE FROM t WHERE a = 1 RETURNING a", NotSupported, Span(1, 27)),
        ("DELETE t", InvalidSyntax, Span(1, 8)),
        ("TRUNCATE t", NotSupported, Span(1, 1)),
        ("SELECT PREDICT()", InvalidSyntax, None),
        ("SELECT PREDICT('m', a, classes => 'x')", InvalidSyntax, None),
        ("SELECT * FROM ML_PREDICT(MODEL m)", InvalidSyntax, None),
        ("SELECT * FROM t FOR VERSION AS OF 1 AT (VERSION => 2)", InvalidSyntax, None),
        ("EXPLAIN EXPLAIN SELECT 1", NotSupported, None),
        ("SET VARIABLE x = 1", NotSupported, Span(1, 5)),
        ("SELECT @x", NotSupported, Span(1, 8)),
        ("FROM t |> WHERE a", NotSupported, Span(1, 8)),
    ],
)
def test_refused_with_a_place(sql, kind, place):
    with pytest.raises(ScoterError) as caught:
        parse(sql, LIMIT)
    assert type(caught.value) is kind
    assert "\x1b" not in caught.value.text()
    assert "sqlglot" not in caught.value.text()
    assert "class '" not in caught.value.text()
    if place is not None:
        assert caught.value.span == place


NESTED = {
    "parentheses": "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "sums": "SELECT " + "1 + " * 3000 + "1",
    "negations": "SELECT " + "NOT " * 3000 + "true",
    "minus": "SELECT " + "- " * 3000 + "1",
    "cases": "SELECT " + "CASE WHEN true THEN " * 1000 + "1" + " END" * 1000,
    "subqueries": "SELECT " + "(SELECT " * 1000 + "1" + ")" * 1000,
    "lists": "SELECT " + "[" * 3000 + "]" * 3000,
    "structs": "SELECT " + "{a: " * 3000 + "1" + "}" * 3000,
    "casts": "SELECT 1" + "::INT" * 3000,
    "subscripts": "SELECT x" + "[1]" * 3000,
    "names": "SELECT " + "a." * 3000 + "a",
    "methods": "SELECT 'a'" + ".upper()" * 3000,
    "types": "SELECT x::" + "STRUCT(a " * 1000 + "INT" + ")" * 1000,
    "unions": " UNION ALL ".join(["SELECT 1"] * 3000),
    "between": "SELECT " + "1 BETWEEN 1 AND " * 2000 + "1",
    "explain": "EXPLAIN " * 3000 + "SELECT 1",
    "words": "SELECT " + "1, " * 150_000 + "1",
}


@pytest.mark.parametrize("sql", NESTED.values(), ids=NESTED)
def test_too_complex(sql):
    with pytest.raises(TooComplex):
        parse(sql, LIMIT)


def test_too_large():
    with pytest.raises(TooLarge):
        parse("SELECT '" + "x" * 2_000_000 + "'", LIMIT)
    with pytest.raises(TooLarge):
        parse("SELECT 'ü'", 10)
    parse("SELECT 'ü'", 11)


def test_long_but_flat_statements_pass():
    many = parse("SELECT 1 WHERE " + " AND ".join(f"a = {i}" for i in range(2000)), LIMIT)
    check(many)
    check(parse("SELECT a IN (" + ", ".join(map(str, range(5000))) + ") FROM t", LIMIT))


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.DEBUG):
        for sql in (
            "CALL x()",
            "CHECKPOINT",
            "ALTER TABLE t ADD PARTITION FIELD a",
            "VACUUM",
            "EXECUTE p",
            "KILL 1",
        ):
            with pytest.raises(ScoterError):
                parse(sql, LIMIT)
        parse("RESET x", LIMIT)
    assert caplog.records == []


def test_what_we_write_for_duckdb_has_no_node_of_ours():
    for sql in ("SHOW TABLES", "SET threads = 1", "SELECT PREDICT('m', a)", "CREATE TABLE t (a INT)"):
        with pytest.raises(InternalError):
            to_duckdb(parse(sql, LIMIT))
    assert to_duckdb(parse("SELECT a FROM t", LIMIT)) == 'SELECT "a" FROM "t"'


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SELECT $1,$2", "SELECT $1, $2"),
        ("SELECT $a,$a,$a,$b", "SELECT $a, $a, $a, $b"),
        ("SELECT abs($1::INT)+abs($1::INT)", "SELECT abs(CAST($1 AS INT)) + abs(CAST($1 AS INT))"),
        ("SELECT $$it's$$, $tag$a $$ b$tag$, $é$c$é$", "SELECT 'it''s', 'a $$ b', 'c'"),
        ("SELECT $😀$d$😀$, $हिंदी$e$हिंदी$, $_1$f$_1$", "SELECT 'd', 'e', 'f'"),
    ],
)
def test_what_stands_between_two_parameters_is_no_string(written, meant):
    assert parse(written, 1000) == parse(meant, 1000)


@pytest.mark.parametrize("written", ["SELECT $$", "SELECT $a$", "SELECT $a$b$A$", "SELECT $a,$b$"])
def test_a_string_between_dollar_signs_ends(written):
    with pytest.raises(InvalidSyntax):
        parse(written, 1000)
