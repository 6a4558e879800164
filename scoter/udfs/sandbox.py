"""The sacrificial process in which a model is parsed, loaded and run for the first time.

This module must not know the lake, its directories or SQL. It reads one line of JSON (limits) and a
model from standard input and writes one line of JSON (facts or an error) to standard output.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from dataclasses import asdict
from typing import Any

from scoter.errors import InvalidModel
from scoter.udfs import structure
from scoter.udfs.sessions import is_memory, reason
from scoter.udfs.trial import examine

# Loading and running recurses along the graph. What passes on a small stack passes on the larger
# stacks of the service's threads.
_STACK_BYTES = 2 * 1024 * 1024


def _confine(memory: int, seconds: int) -> None:
    """Give up memory, time, files and core dumps before the model is read."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _answer(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        declared = [(name, tuple(shape)) for name, shape in header["declared"]]
        facts = examine(data, structure.Limits(**header["limits"]), declared)
    except InvalidModel as error:
        return {"error": error.message, "hint": error.hint}
    except Exception as error:  # noqa: BLE001  # a hostile file's fault, and the process ends after this
        if is_memory(error):
            return {"memory": True}
        return {"error": f"the model can not be loaded: {reason(error)}", "hint": None}
    return {"facts": asdict(facts)}


def main() -> None:
    """Answer for one model and end."""
    header = json.loads(sys.stdin.buffer.readline())
    _confine(header["memory"], header["seconds"])
    data = sys.stdin.buffer.read(header["bytes"])
    answers: list[dict[str, Any]] = []
    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=lambda: answers.append(_answer(header, data)))
    thread.start()
    thread.join()
    os.write(1, json.dumps(answers[0] if answers else {"memory": True}).encode())
    # No destructors of a session that a hostile file has filled.
    os._exit(0)


if __name__ == "__main__":
    main()
