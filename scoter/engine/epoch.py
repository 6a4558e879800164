"""What dates and times are counted from and in: Iceberg's days and microseconds since 1970.

This module must not know SQL, tables or files.
"""

from __future__ import annotations

import datetime as dt

DAY = 86_400_000_000
"""Microseconds of a day."""

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # what has no zone is counted from it
EPOCH_UTC = EPOCH.replace(tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
