"""What the tables of every catalog do, whoever keeps its metadata and wherever its files lie.

This module must not know which catalog that is.
"""

from __future__ import annotations

from sessions import InProcess


def check_table(session: InProcess) -> None:
    """Make, write and read a table `t` in the empty schema `far.one`, at its snapshots and beside one of the lake."""
    session.update("CREATE TABLE far.one.t (n BIGINT, d DATE) PARTITIONED BY (month(d))")
    session.update("INSERT INTO far.one.t VALUES (1, DATE '2024-01-01'), (2, DATE '2024-02-01'), (3, NULL)")
    session.update("INSERT INTO far.one.t VALUES (4, DATE '2024-02-02')")
    assert session.rows("SELECT n FROM far.one.t WHERE d >= DATE '2024-02-01' ORDER BY n") == [(2,), (4,)]
    (first, second) = session.rows("SELECT snapshot_id FROM far.one.t.snapshots ORDER BY committed_at")
    assert session.value(f"SELECT count(*) AS n FROM far.one.t FOR VERSION AS OF {first[0]}") == 3
    assert first != second
    session.update("CREATE TABLE t AS SELECT * FROM far.one.t")
    assert session.value("SELECT count(*) AS n FROM t JOIN far.one.t AS u USING (n)") == 4
