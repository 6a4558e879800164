"""The SQL of the story, in the order of telling.

This module must not know how it is run or shown.
"""

from __future__ import annotations

DASHBOARD = """
SELECT a.name AS airline,
       count(*) AS flights,
       round(avg(f.arr_delay), 1) AS mean_delay,
       round(100 * avg((f.arr_delay >= 15)::INTEGER), 1) AS late_percent,
       round(avg(p.seats)) AS seats,
       round(avg(w.wind_speed), 1) AS wind
FROM flights f
JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
JOIN planes p ON p.tailnum = f.tailnum
JOIN airports d ON d.faa = f.dest
JOIN airlines a ON a.carrier = f.carrier
GROUP BY a.name
ORDER BY late_percent DESC
LIMIT 6
"""

CREATE_MODEL = "CREATE MODEL late FROM 'examples/models/late_v1.onnx'"

ADD_VERSION = "ALTER MODEL late ADD VERSION FROM 'examples/models/late_v2.onnx'"

ALIASES = (
    "ALTER MODEL late SET ALIAS champion = 1",
    "ALTER MODEL late SET ALIAS challenger = 2",
)

VERSIONS = """
SELECT version, is_default, aliases, bytes, left(sha256, 8) AS sha256,
       split_part(source, '/', 3) AS file
FROM system.model_versions
ORDER BY version
"""

DEPARTURES = """
CREATE TABLE departures PARTITIONED BY (month) AS
SELECT f.month, f.day, f.carrier, f.flight, f.origin, f.dest, f.hour,
       f.distance, f.dep_delay, f.arr_delay,
       w.temp, w.wind_speed, w.precip, w.visib
FROM flights f
JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
"""

EXPLAIN = """
EXPLAIN SELECT flight, PREDICT('late@challenger', d) AS late
FROM departures d
WHERE month = 12
"""

HOLDOUT = """
CREATE VIEW holdout AS
SELECT *, (arr_delay >= 15)::INTEGER AS was_late
FROM departures
WHERE month >= 11 AND arr_delay IS NOT NULL
"""

EVALUATE = """
SELECT version, n, round(accuracy, 4) AS accuracy,
       round(precision, 4) AS precision, round(recall, 4) AS recall,
       round(roc_auc, 4) AS roc_auc, round(log_loss, 4) AS log_loss
FROM (
  SELECT 1 AS version, *
  FROM ML_EVALUATE(MODEL late@1, TABLE holdout, label => 'was_late')
  UNION ALL
  SELECT 2 AS version, *
  FROM ML_EVALUATE(MODEL late@2, TABLE holdout, label => 'was_late')
)
ORDER BY version
"""

A_B = """
SELECT arm, count(*) AS flights, sum(was_late) AS were_late,
       sum(late) AS called_late, sum(late * was_late) AS hits,
       round(hits / called_late, 3) AS hit_rate
FROM (
  SELECT was_late,
         CASE WHEN hash(carrier, flight) % 2 = 0
              THEN 'champion' ELSE 'challenger' END AS arm,
         CASE arm WHEN 'champion' THEN PREDICT('late@champion', d)
                  ELSE PREDICT('late@challenger', d) END AS late
  FROM holdout d
)
GROUP BY arm
ORDER BY arm
"""

EVALUATE_CANDIDATE = """
SELECT n, round(accuracy, 4) AS accuracy,
       round(precision, 4) AS precision, round(recall, 4) AS recall,
       round(roc_auc, 4) AS roc_auc, round(log_loss, 4) AS log_loss
FROM ML_EVALUATE(MODEL late@candidate,
                 TABLE (SELECT * FROM holdout), label => 'was_late')
"""

CREATE_SCORES = """
CREATE TABLE scores (
  month INTEGER, day INTEGER, carrier VARCHAR, flight INTEGER,
  origin VARCHAR, dest VARCHAR, late BIGINT, probability DOUBLE
) PARTITIONED BY (month)
"""

SCORE = """
INSERT INTO scores
SELECT month, day, carrier, flight, origin, dest,
       PREDICT('late@champion', d),
       PREDICT_PROBA('late@champion', d, class => 1)
FROM departures d
"""

SNAPSHOTS = """
SELECT snapshot_id, operation,
       summary['scoter.model'] AS model,
       summary['scoter.model-version'] AS version,
       left(summary['scoter.model-sha256'], 8) AS sha256,
       summary['total-records'] AS rows
FROM "scores$snapshots"
"""

LONG_INSERT = """
INSERT INTO scores
SELECT month, day, carrier, flight, origin, dest,
       PREDICT('late@champion', d),
       PREDICT_PROBA('late@champion', d, class => 1)
FROM departures d, range(10000) AS again
WHERE month = 12
"""

STATE = """
SELECT count(*) AS rows, sum(late) AS late,
       (SELECT max_by(snapshot_id, committed_at) FROM "scores$snapshots")
           AS snapshot_id
FROM scores
"""

CHAMPION = """
SELECT count(*) AS flights,
       sum(was_late) AS were_late,
       sum(PREDICT('late@champion', d)) AS called_late,
       count(*) FILTER (PREDICT('late@champion', d) = was_late)
           AS called_right
FROM holdout d
"""

FLIP = "ALTER MODEL late SET ALIAS champion = 2"

LOAD = """
for table in {tables}; do
  scoter import $table {files} \\
    --lake {lake}
done
"""

PYICEBERG = """
from pyiceberg.catalog.sql import SqlCatalog

lake = "{lake}"
catalog = SqlCatalog("lake", uri=f"sqlite:///{{lake}}/metastore.db",
                     warehouse=f"file://{{lake}}/warehouse")
table = catalog.load_table("main.scores")
december = table.scan(row_filter="month == 12").to_arrow()
"""
