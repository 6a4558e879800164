"""Arrow data as clients send it: checked in full before anything reads it.

Arrow trusts offsets, and Python fails late at names that are no text.
This module must not know what the data is for.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from scoter.errors import InvalidValue


def check_names(fields: Iterable[pa.Field]) -> None:
    """Raise UnicodeDecodeError where a field at any depth has a name that is not UTF-8."""
    for field in fields:
        field.name  # noqa: B018  # pyarrow decodes it here
        check_names(field.type.field(i) for i in range(field.type.num_fields))


def let_go(error: BaseException) -> None:
    """Make ``error`` and its causes forget the calls through which they came, and with them refused rows.

    Who keeps the error would keep these, until Python's collector comes.
    """
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__


def one_batch(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Return rows that a client sent as one batch; raises InvalidValue for damaged data."""
    try:
        check_names(schema)
        for batch in batches:
            batch.validate(full=True)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InvalidValue("the bound values are not valid Arrow data") from error
    if len(batches) == 1:
        return batches[0]
    whole = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], schema=schema)
