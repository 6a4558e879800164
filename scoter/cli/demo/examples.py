"""Where the demonstration's data and models are.

This module must not know what is done with them.
"""

from __future__ import annotations

from pathlib import Path

import scoter
from scoter.errors import ConfigurationError

TABLES = ("flights", "weather", "planes", "airports", "airlines")
MODELS = ("late_v1", "late_v2")
PROGRAM = Path("examples", "models", "log_model.py")


def checkout() -> Path:
    """Return the directory that has the examples: the checkout, or the one we are in.

    Raises ConfigurationError when the examples are in neither: they are not part of the package.
    """
    for root in (Path(scoter.__file__).resolve().parents[1], Path.cwd()):
        if all((root / path).is_file() for path in _paths()):
            return root
    raise ConfigurationError(
        "the demo's data and models are not here: they come with the repository, in examples/",
        hint="run `make demo` or `scoter demo` in a checkout of the repository",
    )


def table_file(root: Path, table: str) -> Path:
    """Return the Parquet file of a table."""
    return root / "examples" / "flights" / f"{table}.parquet"


def _paths() -> list[Path]:
    here = Path()
    tables = [table_file(here, table) for table in TABLES]
    models = [here / "examples" / "models" / f"{name}.onnx" for name in MODELS]
    return [*tables, *models, PROGRAM]
