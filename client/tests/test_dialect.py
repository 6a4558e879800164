"""The dialect against a server: reflection, definitions, statements and pandas; what SQLAlchemy's suite does not ask."""

import datetime as dt
import decimal
import uuid
import warnings

import pandas as pd
import pytest
import scoter_client
import sqlalchemy as sa
from scoter_client.dialect import ScoterDialect
from scoter_client.dialect import types as duck
from scoter_client.dialect.identifiers import RESERVED
from scoter_client.dialect.spelling import read_type
from sqlalchemy import types

MAJOR = int(sa.__version__.split(".", maxsplit=1)[0])


def spelled(kind):
    return ScoterDialect().type_compiler.process(types.to_instance(kind) if isinstance(kind, type) else kind)


@pytest.mark.parametrize(
    "text",
    [
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL(9, 2)", "VARCHAR", "BLOB", "UUID", "DATE", "TIME",
        "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "INTERVAL", "JSON", "INTEGER[]", "VARCHAR[][]",
        "STRUCT(a INTEGER, b VARCHAR)", "MAP(VARCHAR, DOUBLE)", "DECIMAL(38, 0)[]",
        'STRUCT(a STRUCT("x y" MAP(VARCHAR, INTEGER[]), "q""r" DECIMAL(5, 1)), "select" DATE[])[]',
    ],
)  # fmt: skip
def test_types_are_read_as_they_are_written(text):
    assert spelled(read_type(text)) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (types.Integer, "INTEGER"),
        (types.BigInteger, "BIGINT"),
        (types.String(50), "VARCHAR"),
        (types.Text, "VARCHAR"),
        (types.Unicode(10), "VARCHAR"),
        (types.Float, "DOUBLE"),
        (types.Float(24), "FLOAT"),
        (types.Float(53), "DOUBLE"),
        (types.REAL, "FLOAT"),
        (types.Numeric(10, 2), "DECIMAL(10, 2)"),
        (types.DateTime, "TIMESTAMP"),
        (types.DateTime(timezone=True), "TIMESTAMP WITH TIME ZONE"),
        (types.LargeBinary, "BLOB"),
        (types.Enum("a", "b"), "VARCHAR"),
        (types.JSON, "JSON"),
        (types.ARRAY(types.Integer, dimensions=2), "INTEGER[][]"),
    ],
)
def test_sqlalchemys_types_are_spelled_as_duckdb_does(kind, text):
    assert spelled(kind) == text


def test_a_decimal_needs_its_digits():
    with pytest.raises(sa.exc.CompileError, match="precision and a scale"):
        spelled(types.Numeric())


def test_types_that_are_not_known():
    assert isinstance(read_type("GEOMETRY"), types.NullType)
    assert isinstance(read_type("STRUCT(nonsense)"), types.NullType)


def test_reflection_with_types_and_comments(engine, name):
    table = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, comment="it's the key"),
        sa.Column("price", sa.Numeric(9, 2)),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("tags", sa.ARRAY(sa.String)),
        sa.Column("place", duck.STRUCT({"lat": sa.Float(), "lon": sa.Float()})),
        sa.Column("Odd Name", duck.UUID()),
        comment='what "it" is',
        scoter_partition_by="bucket(4, id)",
    )
    table.create(engine)
    found = sa.inspect(engine)
    columns = {column["name"]: column for column in found.get_columns(name)}
    assert {key: spelled(column["type"]) for key, column in columns.items()} == {
        "id": "BIGINT",
        "price": "DECIMAL(9, 2)",
        "at": "TIMESTAMP WITH TIME ZONE",
        "tags": "VARCHAR[]",
        "place": "STRUCT(lat DOUBLE, lon DOUBLE)",
        "Odd Name": "UUID",
    }
    assert [column["nullable"] for column in columns.values()] == [False] + [True] * 5
    assert columns["id"]["comment"] == "it's the key"
    assert found.get_table_comment(name) == {"text": 'what "it" is'}
    assert found.get_pk_constraint(name)["constrained_columns"] == []
    assert (found.get_foreign_keys(name), found.get_indexes(name)) == ([], [])
    assert name in found.get_table_names()
    assert found.has_table(name)
    assert found.has_table(name.upper())
    assert not found.has_table("nowhere")
    assert {"main", "information_schema"} <= set(found.get_schema_names())
    assert "tables" in found.get_view_names("information_schema")
    assert "models" in found.get_view_names("lake.system")
    with pytest.raises(sa.exc.NoSuchTableError):
        found.get_columns("nowhere")
    reflected = sa.Table(name, sa.MetaData(), autoload_with=engine, schema="lake.main")
    with engine.begin() as connection:
        row = {
            "id": 1,
            "price": decimal.Decimal("1.25"),
            "at": dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc),
            "tags": ["a", "b"],
            "place": {"lat": 52.4, "lon": 4.9},
            "Odd Name": uuid.UUID(int=7),
        }
        connection.execute(reflected.insert(), row)
        assert dict(connection.execute(reflected.select()).mappings().one()) == row
    table.drop(engine)


def test_definitions_leave_out_keys_and_refuse_constraints(engine, name):
    metadata = sa.MetaData()
    parent = sa.Table(f"{name}_p", metadata, sa.Column("id", sa.Integer, primary_key=True))
    child = sa.Table(
        f"{name}_c",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent", sa.Integer, sa.ForeignKey(parent.c.id), index=True),
    )
    metadata.create_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(parent.insert(), {"id": 1})
        connection.execute(child.insert(), {"id": 2, "parent": 1})
        joined = sa.select(child.c.id, parent.c.id).select_from(child.join(parent))
        assert connection.execute(joined).fetchall() == [(2, 1)]
    metadata.drop_all(engine)
    for more in (
        [sa.Column("id", sa.Integer, unique=True)],
        [sa.Column("id", sa.Integer), sa.CheckConstraint("id > 0")],
    ):
        with pytest.raises(sa.exc.CompileError, match="constraints"):
            sa.Table(name, sa.MetaData(), *more).create(engine)
    assert not sa.inspect(engine).has_table(name)


def test_every_reserved_word_is_a_name(engine, name):
    words = sorted(RESERVED)
    table = sa.Table(name, sa.MetaData(), *[sa.Column(word, sa.Integer) for word in words])
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), {word: place for place, word in enumerate(words)})
        inner = table.select().subquery("order")
        found = connection.execute(sa.select(*[inner.c[word].label(word) for word in words]))
        assert tuple(found.one()) == tuple(range(len(words)))
    table.drop(engine)


def test_values_that_stand_alone_are_cast(engine):
    number, text = sa.literal(5_000_000_000), sa.literal("x")
    wanted = [
        (number, 5_000_000_000),
        (text, "x"),
        (sa.literal(1.5), 1.5),
        (sa.literal(decimal.Decimal("1.25")), decimal.Decimal("1.25")),
        (sa.literal(True), True),
        (sa.literal(dt.date(2024, 1, 2)), dt.date(2024, 1, 2)),
        (text + sa.literal("y"), "xy"),
        (number + 1, 5_000_000_001),
        (sa.func.coalesce(sa.literal(None, sa.String), "z"), "z"),
        (sa.case((sa.literal(1) == 1, "yes"), else_="no"), "yes"),
        (sa.literal(None, sa.Integer).is_(None), True),
        (sa.func.round(sa.literal(2.345), 1), 2.3),
    ]
    with engine.connect() as connection:
        row = connection.execute(
            sa.select(*[value.label(f"c{i}") for i, (value, _) in enumerate(wanted)])
        ).one()
    assert list(row) == [value for _, value in wanted]


@pytest.mark.parametrize("kind", [sa.Numeric(), sa.Numeric(10, 2), sa.Float(), sa.Integer()])
def test_a_text_given_for_a_number_never_stands_in_a_statement(kind):
    value = sa.literal("1) AS x, (SELECT 2", kind)
    column = sa.column("a", kind)
    for statement in (sa.select(value), sa.select(sa.case((sa.true(), value))), sa.select(column + value)):
        for options in ({}, {"literal_binds": True}, {"render_postcompile": True}):
            try:
                text = str(statement.compile(dialect=ScoterDialect(), compile_kwargs=options))
            except (ValueError, sa.exc.SQLAlchemyError):
                continue
            assert "SELECT 2" not in text, text


def test_decimals_that_stand_in_a_statement(engine):
    numbers = [decimal.Decimal("1.50"), decimal.Decimal("1E+3"), 2, 0.1]
    with engine.connect() as connection:
        for number in numbers:
            assert connection.execute(
                sa.select(sa.literal(number, sa.Numeric()))
            ).scalar() == decimal.Decimal(str(number))
        with pytest.raises((ValueError, sa.exc.SQLAlchemyError)):
            connection.execute(sa.select(sa.literal(decimal.Decimal("NaN"), sa.Numeric())))


def test_numbers_beside_columns_keep_their_value(engine, name):
    table = sa.Table(name, sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("at", sa.DateTime))
    table.create(engine)
    noon = dt.datetime(2024, 1, 1, 12)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"n": n, "at": noon + dt.timedelta(days=n)} for n in range(4)])
        rows = connection.execute(sa.select(table.c.n * 1.5).where(table.c.n > 1.5).order_by(table.c.n))
        assert [value for (value,) in rows] == [3.0, 4.5]
        last = sa.select(table.c.n).where(table.c.at >= noon + dt.timedelta(days=3))
        assert connection.execute(last).scalar_one() == 3
        text = str(last.compile(connection, compile_kwargs={"literal_binds": True}))
        assert "TIMESTAMP '2024-01-04 12:00:00'" in text
        assert connection.execute(sa.text(text)).scalar_one() == 3
        assert connection.execute(
            sa.select(sa.func.max(table.c.at) - sa.func.min(table.c.at))
        ).scalar_one() == (dt.timedelta(days=3))
        pair = sa.tuple_(table.c.n, table.c.at).in_([(1, noon + dt.timedelta(days=1)), (2, noon)])
        assert connection.execute(sa.select(table.c.n).where(pair)).scalars().all() == [1]
        page = sa.select(table.c.n).order_by(table.c.n).offset(1)
        assert connection.execute(page.limit(2)).scalars().all() == [1, 2]
        assert connection.execute(page).scalars().all() == [1, 2, 3]
    table.drop(engine)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT * FROM nowhere", sa.exc.ProgrammingError),
        ("SELECT CAST('x' AS INTEGER)", sa.exc.DataError),
        ("TRUNCATE nowhere", sa.exc.NotSupportedError),
    ],
)
def test_errors_are_sqlalchemys(engine, sql, kind):
    with engine.connect() as connection, pytest.raises(kind):
        connection.execute(sa.text(sql)).fetchall()


def test_locks_are_refused(engine):
    with engine.connect() as connection, pytest.raises(sa.exc.CompileError, match="locks"):
        connection.execute(sa.select(sa.literal(1)).with_for_update())


def test_one_isolation_level(url):
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", future=True)
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "AUTOCOMMIT"
    engine.dispose()
    with pytest.raises(sa.exc.ArgumentError):
        sa.create_engine(url, isolation_level="SERIALIZABLE").connect()


def test_rows_that_a_rollback_leaves_are_told(engine, url, name):
    table = sa.Table(name, sa.MetaData(), sa.Column("n", sa.Integer))
    table.create(engine)
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(table.insert(), {"n": 1})
        with pytest.warns(scoter_client.Warning, match="rows were written and stay"):
            transaction.rollback()
    asked_for = sa.create_engine(url, isolation_level="AUTOCOMMIT", future=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", scoter_client.Warning)
        with asked_for.connect() as connection:
            connection.execute(table.insert(), {"n": 2})
    asked_for.dispose()
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 2
    table.drop(engine)


@pytest.mark.parametrize(
    ("tail", "message"),
    [("?tsl=1", "unknown options: tsl"), ("?tls=maybe", "true or false"), ("/a/b/c", "catalog/schema")],
)
def test_urls_that_can_not_be_read(url, tail, message):
    with pytest.raises(sa.exc.ArgumentError, match=message):
        sa.create_engine(url + tail).connect()


def test_a_pool_notices_that_its_server_is_gone():
    engine = sa.create_engine("scoter://127.0.0.1:1")
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()
    engine.dispose()
    lost = scoter_client.OperationalError(
        "IO: [FlightSQL] connection error (Unavailable; Prepare)", status_code=10, vendor_code=14
    )
    assert engine.dialect.is_disconnect(lost, None, None)
    assert not engine.dialect.is_disconnect(ValueError("Unavailable"), None, None)


def test_pings(url):
    engine = sa.create_engine(url, pool_pre_ping=True)
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_pandas_reads_and_writes(engine, name):
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [1.5, None, -2.5],
            "s": ["a", None, "it's"],
            "b": [True, False, True],
            "at": [dt.datetime(2024, 1, 1), dt.datetime(2024, 2, 29, 12, 34, 56, 789000), None],
        }
    )
    assert frame.to_sql(name, engine, index=False) in {3, None}
    assert frame.to_sql(name, engine, index=False, if_exists="append", method="multi") in {3, None}
    with engine.connect() as connection:
        found = pd.read_sql(sa.text(f"SELECT * FROM {name} ORDER BY n LIMIT 100"), connection)
        snapshots = connection.execute(sa.text(f'SELECT count(*) FROM "{name}$snapshots"')).scalar()
        part = pd.read_sql(
            sa.text(f"SELECT n FROM {name} WHERE n >= :least ORDER BY n"), connection, params={"least": 2}
        )
    assert snapshots == 2
    assert part["n"].tolist() == [2, 2, 3, 3]
    doubled = pd.concat([frame, frame]).sort_values("n", kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, doubled, check_dtype=False)
    frame.to_sql(name, engine, if_exists="replace")
    assert pd.read_sql_table(name, engine, index_col="index")["n"].tolist() == [1, 2, 3]
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {name}"))
