"""One statement from the command line: run it, send its rows to a sink, say how it went.

This module must not know where statements come from.
"""

from __future__ import annotations

import time

from rich.text import Text

from scoter.cli.console import notice, output
from scoter.cli.output import Sink, TableSink
from scoter.cli.sessions import Answer, Session
from scoter.cli.waiting import Meter, wait_for


def run(session: Session, sql: str, sink: Sink, *, timing: bool) -> None:
    """Run a statement and write its result; raises ScoterError, Cancelled after Ctrl-C."""
    meter = Meter("running")
    started = time.perf_counter()

    def work() -> Answer:
        answer = session.run(sql)
        sink.begin(answer.schema)
        for batch in answer.batches:
            sink.write(batch)
            meter.rows = sink.rows
        return answer

    answer = wait_for(work, session.cancel, meter, show=not sink.on_terminal)
    elapsed = time.perf_counter() - started
    said = [_outcome(answer, sink.rows), sink.end()]
    if timing:
        said.append(duration(elapsed))
    if isinstance(sink, TableSink) and not sink.to_file:
        output().print(Text(" · ".join(part for part in said if part), style="dim"), soft_wrap=True)
    elif timing:
        notice(f"{said[0]} · {said[-1]}")


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> duration(0.0123), duration(2.5), duration(190)
    ('12.3 ms', '2.50 s', '3 min 10 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def _outcome(answer: Answer, rows: int) -> str:
    if answer.affected is None:
        return f"{rows:,} row{'' if rows == 1 else 's'}"
    if answer.affected == 0:
        return "ok"
    return f"{answer.affected:,} row{'' if answer.affected == 1 else 's'} written"
