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

COMPARE = """
SELECT a.name AS airline,
       count(*) AS flights,
       round(avg((d.arr_delay >= 15)::INTEGER), 3) AS was_late,
       round(avg(PREDICT_PROBA('late@1', d, class => 1)), 3) AS v1_says,
       round(avg(PREDICT_PROBA('late@2', d, class => 1)), 3) AS v2_says,
       sum((PREDICT('late@1', d) <> PREDICT('late@2', d))::INTEGER)
           AS differ
FROM departures d
JOIN airlines a ON a.carrier = d.carrier
WHERE d.month >= 11 AND d.arr_delay IS NOT NULL
GROUP BY a.name
ORDER BY flights DESC
LIMIT 6
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
FROM departures d, range(1000) AS again
"""

STATE = """
SELECT count(*) AS rows, sum(late) AS late,
       (SELECT max_by(snapshot_id, committed_at) FROM "scores$snapshots")
           AS snapshot_id
FROM scores
"""

CHAMPION = """
SELECT count(*) AS flights,
       count(*) FILTER (arr_delay >= 15) AS were_late,
       sum(PREDICT('late@champion', d)) AS called_late,
       count(*) FILTER ((PREDICT('late@champion', d) = 1) = (arr_delay >= 15))
           AS called_right
FROM departures d
WHERE month >= 11 AND arr_delay IS NOT NULL
"""

FLIP = "ALTER MODEL late SET ALIAS champion = 2"

LOAD = """
for table in {tables}; do
  scoter import $table {files} --lake {lake}
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
