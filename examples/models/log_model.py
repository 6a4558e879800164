"""Fit a pipeline on flights of a server and log it there: log_model.py grpc://127.0.0.1:31337."""

import sys

from scoter_client import connect, log_model
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

SAMPLE = """
SELECT f.carrier, f.origin, f.dest, f.hour, f.distance, f.dep_delay,
       w.temp, w.wind_speed, w.precip, w.visib,
       (f.arr_delay >= 15)::INTEGER AS late
FROM flights f JOIN weather w USING (origin, time_hour)
WHERE f.month <= 10 AND f.arr_delay IS NOT NULL
  AND hash(f.carrier, f.flight, f.time_hour) % 20 = 0
ORDER BY f.time_hour, f.carrier, f.flight
"""
TEXTS = ["carrier", "origin", "dest"]

texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
columns = make_column_transformer((texts, TEXTS), remainder="passthrough")
trees = HistGradientBoostingClassifier(max_iter=30, random_state=1)
model = make_pipeline(columns, trees)

with connect(sys.argv[1]) as db, db.cursor() as cursor:
    cursor.execute(SAMPLE)
    flights = cursor.fetch_df()
    late = flights.pop("late")
    model.fit(flights, late)
    print(f"fitted on {len(flights):,} flights")
    made = log_model(db, "late", model, sample=flights, alias="candidate")
    print(f"{made.name} version {made.version} is the candidate")
