"""Imports run down one line: cli, server, engine, udfs, catalog, settings and errors."""

from __future__ import annotations

import ast
from pathlib import Path

from importlinter.api import use_cases

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"


def broken(config: Path) -> list[str]:
    """Return the names of the contracts of a configuration that do not hold."""
    options = use_cases.read_user_options(config_filename=str(config))
    use_cases._register_contract_types(options)
    report = use_cases.create_report(options, cache_dir=None)
    assert not report.could_not_run
    assert len(report.contracts) >= 1
    return [contract.name for contract, check in report.get_contracts_and_checks() if not check.kept]


def test_no_import_goes_up(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    assert broken(PYPROJECT) == []


def test_an_import_that_goes_up_is_found(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    config = tmp_path / "pyproject.toml"
    config.write_text(
        """
        [tool.importlinter]
        root_package = "scoter"
        [[tool.importlinter.contracts]]
        name = "upside down"
        type = "layers"
        layers = ["scoter.catalog", "scoter.engine"]
        """
    )
    assert broken(config) == ["upside down"]


def test_packages_only_say_what_they_are_for() -> None:
    """A package's __init__.py holds a docstring and exports."""
    for path in (ROOT / "scoter").rglob("__init__.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert docstring or isinstance(node, ast.Import | ast.ImportFrom | ast.Assign), path


def test_every_module_says_what_it_must_not_know() -> None:
    for path in (ROOT / "scoter").rglob("*.py"):
        if path.name == "__init__.py" or path.name.endswith("_pb2.py") or "migrations" in path.parts:
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        assert "not know" in docstring, path
