"""How our nodes are written as SQL text.

This module must not know how they were read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn

from sqlglot import exp
from sqlglot.generators.duckdb import DuckDBGenerator

from scoter.engine import statements as ours
from scoter.engine.grammar.expressions import Plain
from scoter.errors import NotSupported

_CALLS = {
    "predict": "PREDICT",
    "proba": "PREDICT_PROBA",
    "all": "PREDICT_ALL",
    "try": "TRY_PREDICT",
    "together": "predict_together",
}


def _schema(self: DuckDBGenerator, e: ours.SchemaName) -> str:
    catalog = self.sql(e, "catalog")
    return f"{catalog}.{self.sql(e, 'this')}" if catalog else self.sql(e, "this")


def _model(self: DuckDBGenerator, e: ours.ModelReference) -> str:
    db = self.sql(e, "db")
    text = f"{db}.{self.sql(e, 'this')}" if db else self.sql(e, "this")
    version = e.version
    if version is None:
        return text
    return f"{text}@{_version(self, e.args['version'])}"


def _version(self: DuckDBGenerator, version: exp.Literal) -> str:
    text = str(version.name)
    plain = text.isdigit() or (text.isidentifier() and text.isascii())
    return text if plain else self.sql(exp.to_identifier(text, quoted=True))


def _list(self: DuckDBGenerator, e: exp.Expr, key: str) -> str:
    return ", ".join(self.sql(part) for part in e.args.get(key) or ())


def _input(self: DuckDBGenerator, e: ours.ModelInput) -> str:
    policy = self.sql(e, "on_null")
    return f"{self.sql(e, 'this')} {self.sql(e, 'kind')}" + (f" ON NULL {policy}" if policy else "")


def _output(self: DuckDBGenerator, e: ours.ModelOutput) -> str:
    return f"{self.sql(e, 'this')} {self.sql(e, 'kind')}".rstrip()


def _option(self: DuckDBGenerator, e: ours.Option) -> str:
    arrow = "=>" if isinstance(e.parent, ours.TableCall) else "="
    return f"{self.sql(e, 'this')} {arrow} {self.sql(e, 'expression')}"


def _origin(self: DuckDBGenerator, e: exp.Expr) -> str:
    text = f"FROM {self.sql(e, 'source')}"
    for key, word in (("inputs", "INPUT"), ("outputs", "OUTPUT"), ("options", "WITH")):
        if e.args.get(key):
            text += f" {word} ({_list(self, e, key)})"
    return text


def _create_model(self: DuckDBGenerator, e: ours.CreateModel) -> str:
    replace = "OR REPLACE " if e.args.get("replace") else ""
    exists = "IF NOT EXISTS " if e.args.get("exists") else ""
    return f"CREATE {replace}MODEL {exists}{self.sql(e, 'this')} {_origin(self, e)}"


def _predict(self: DuckDBGenerator, e: ours.Predict) -> str:
    parts = [self.sql(e, "model"), *(self.sql(a) for a in e.arguments)]
    if e.class_label is not None:
        parts.append(f"class => {self.sql(e, 'class_label')}")
    if e.on_error is not None:
        parts.append(f"on_error => {self.sql(e, 'on_error')}")
    parts += [f"result => {self.sql(each)}" for each in e.results]
    return f"{_CALLS[e.kind]}({', '.join(parts)})"


def _table_call(self: DuckDBGenerator, e: ours.TableCall) -> str:
    relation = self.sql(e, "expression")
    table = f"TABLE {relation}" if isinstance(e.expression, exp.Table) else f"TABLE ({relation})"
    options = _list(self, e, "options")
    return f"{e.function}(MODEL {self.sql(e, 'this')}, {table}{', ' + options if options else ''})"


def _column(self: DuckDBGenerator, e: ours.TableColumn) -> str:
    text = f"{self.sql(e, 'this')} {self.sql(e, 'kind')}"
    if e.args.get("not_null"):
        text += " NOT NULL"
    if e.args.get("comment"):
        text += f" COMMENT {self.sql(e, 'comment')}"
    return text


def _partition(self: DuckDBGenerator, e: ours.PartitionField) -> str:
    if e.transform_name == "identity":
        return self.sql(e, "this")
    number = f"{e.parameter}, " if e.parameter is not None else ""
    return f"{e.transform_name}({number}{self.sql(e, 'this')})"


def _create_table(self: DuckDBGenerator, e: ours.CreateTable) -> str:
    text = "CREATE OR REPLACE TABLE " if e.args.get("replace") else "CREATE TABLE "
    text += "IF NOT EXISTS " if e.args.get("exists") else ""
    text += self.sql(e, "this")
    if e.args.get("columns"):
        text += f" ({_list(self, e, 'columns')})"
    if e.args.get("partitions"):
        text += f" PARTITIONED BY ({_list(self, e, 'partitions')})"
    if e.args.get("comment"):
        text += f" COMMENT {self.sql(e, 'comment')}"
    if e.args.get("options"):
        text += f" WITH ({_list(self, e, 'options')})"
    if e.args.get("expression"):
        text += f" AS {self.sql(e, 'expression')}"
    return text + (" WITH NO DATA" if e.args.get("no_data") else "")


def _merge(self: DuckDBGenerator, e: ours.Merge) -> str:
    head = f"{_within(self, e)}MERGE INTO {self.sql(e, 'this')} USING {self.sql(e, 'using')} ON {self.sql(e, 'on')}"
    return " ".join([head, *(self.sql(when) for when in e.whens)])


def _update(self: DuckDBGenerator, e: ours.Update) -> str:
    (when,) = e.whens
    pairs = zip(when.columns, when.values, strict=True)
    assigned = ", ".join(f"{self.sql(column)} = {self.sql(value)}" for column, value in pairs)
    return f"{_within(self, e)}UPDATE {self.sql(e, 'this')} SET {assigned}{self.sql(e, 'where')}"


def _delete(self: DuckDBGenerator, e: ours.Delete) -> str:
    return f"{_within(self, e)}DELETE FROM {self.sql(e, 'this')}{self.sql(e, 'where')}"


def _within(self: DuckDBGenerator, e: exp.Expr) -> str:
    return f"{self.sql(e, 'with_')} " if e.args.get("with_") else ""


def _merge_when(self: DuckDBGenerator, e: ours.MergeWhen) -> str:
    condition = f" AND {self.sql(e, 'condition')}" if e.condition is not None else ""
    text = f"WHEN {e.kind}{condition} THEN {e.action}"
    if e.action == "UPDATE":
        pairs = zip(e.columns, e.values, strict=True)
        text += " SET " + ", ".join(f"{self.sql(column)} = {self.sql(value)}" for column, value in pairs)
    elif e.action == "INSERT":
        columns = f" ({_list(self, e, 'columns')})" if e.columns else ""
        text += f"{columns} VALUES ({_list(self, e, 'values')})"
    return text


def _view_column(self: DuckDBGenerator, e: ours.ViewColumn) -> str:
    comment = f" COMMENT {self.sql(e, 'comment')}" if e.args.get("comment") else ""
    return self.sql(e, "this") + comment


def _create_view(self: DuckDBGenerator, e: ours.CreateView) -> str:
    text = "CREATE OR REPLACE VIEW " if e.args.get("replace") else "CREATE VIEW "
    text += ("IF NOT EXISTS " if e.args.get("exists") else "") + self.sql(e, "this")
    if e.args.get("columns"):
        text += f" ({_list(self, e, 'columns')})"
    if e.args.get("comment"):
        text += f" COMMENT {self.sql(e, 'comment')}"
    return f"{text} AS {self.sql(e, 'expression')}"


def _comment(self: DuckDBGenerator, e: ours.CommentOn) -> str:
    path = ".".join(self.sql(part) for part in e.args.get("path") or ())
    kind = "VIEW" if e.args.get("view") else "TABLE"
    what = f"COLUMN {path}" if path else f"{kind} {self.sql(e, 'this')}"
    return f"COMMENT ON {what} IS {self.sql(e, 'comment')}"


def _register(self: DuckDBGenerator, e: ours.RegisterTable) -> str:
    name = self.sql(exp.Literal.string(self.sql(e, "this")))
    return f"CALL system.register_table(table => {name}, metadata_file => {self.sql(e, 'metadata_file')})"


def _set(self: DuckDBGenerator, e: ours.SetSetting) -> str:
    return f"SET {self.sql(e, 'this')} = {self.sql(e, 'expression')}"


def _after(words: str) -> Callable[[DuckDBGenerator, exp.Expr], str]:
    return lambda self, e: f"{words} {self.sql(e, 'this')}".rstrip()


def _words(words: str) -> Callable[[DuckDBGenerator, exp.Expr], str]:
    return lambda _self, _e: words


def _drop(kind: str) -> Callable[[DuckDBGenerator, exp.Expr], str]:
    def write(self: DuckDBGenerator, e: exp.Expr) -> str:
        exists = "IF EXISTS " if e.args.get("exists") else ""
        behaviour = "CASCADE" if e.args.get("cascade") else e.args.get("behaviour") or ""
        return f"DROP {kind} {exists}{self.sql(e, 'this')} {behaviour}".rstrip()

    return write


def _show(words: str) -> Callable[[DuckDBGenerator, exp.Expr], str]:
    def write(self: DuckDBGenerator, e: exp.Expr) -> str:
        scope = self.sql(e, "this")
        return f"SHOW {words}" + (f" FROM {scope}" if scope else "")

    return write


def _show_tables(self: DuckDBGenerator, e: ours.ShowTables) -> str:
    return "SHOW ALL TABLES" if e.args.get("everywhere") else _show("TABLES")(self, e)


def _alter(action: Callable[[DuckDBGenerator, exp.Expr], str]) -> Callable[[DuckDBGenerator, exp.Expr], str]:
    return lambda self, e: f"ALTER MODEL {self.sql(e, 'this')} {action(self, e)}"


WRITERS: dict[type[exp.Expr], Callable[..., str]] = {
    ours.SchemaName: _schema,
    ours.ModelReference: _model,
    ours.ModelInput: _input,
    ours.ModelOutput: _output,
    ours.Option: _option,
    ours.CreateModel: _create_model,
    ours.AddModelVersion: _alter(lambda self, e: f"ADD VERSION {_origin(self, e)}"),
    ours.SetModelDefault: _alter(
        lambda self, e: f"SET DEFAULT_VERSION = {_version(self, e.args['version'])}"
    ),
    ours.SetModelAlias: _alter(
        lambda self, e: f"SET ALIAS {self.sql(e, 'alias')} = {_version(self, e.args['version'])}"
    ),
    ours.DropModelAlias: _alter(lambda self, e: f"DROP ALIAS {self.sql(e, 'alias')}"),
    ours.DropModelVersion: _alter(lambda self, e: f"DROP VERSION {_version(self, e.args['version'])}"),
    ours.RenameModel: _alter(lambda self, e: f"RENAME TO {self.sql(e, 'name')}"),
    ours.SetModelOwner: _alter(lambda self, e: f"OWNER TO {self.sql(e, 'owner')}"),
    ours.SetModelTags: _alter(lambda self, e: f"SET TAG {_list(self, e, 'tags')}"),
    ours.UnsetModelTags: _alter(lambda self, e: f"UNSET TAG {_list(self, e, 'tags')}"),
    ours.CommentOnModel: lambda self, e: (
        f"COMMENT ON MODEL {self.sql(e, 'this')} IS {self.sql(e, 'comment')}"
    ),
    ours.DropModel: _drop("MODEL"),
    ours.Merge: _merge,
    ours.MergeWhen: _merge_when,
    ours.Update: _update,
    ours.Delete: _delete,
    ours.Predict: _predict,
    ours.MlEvaluate: _table_call,
    ours.MlPredict: _table_call,
    ours.TableColumn: _column,
    ours.PartitionField: _partition,
    ours.CreateTable: _create_table,
    ours.DropTable: _drop("TABLE"),
    ours.ViewColumn: _view_column,
    ours.CreateView: _create_view,
    ours.DropView: _drop("VIEW"),
    ours.RenameView: lambda self, e: f"ALTER VIEW {self.sql(e, 'this')} RENAME TO {self.sql(e, 'name')}",
    ours.CreateSchema: lambda self, e: (
        f"CREATE SCHEMA {'IF NOT EXISTS ' if e.args.get('exists') else ''}{self.sql(e, 'this')}"
    ),
    ours.DropSchema: _drop("SCHEMA"),
    ours.CommentOn: _comment,
    ours.RegisterTable: _register,
    ours.ShowModels: _show("MODELS"),
    ours.ShowVersions: _after("SHOW VERSIONS IN MODEL"),
    ours.ShowTables: _show_tables,
    ours.ShowSchemas: _show("SCHEMAS"),
    ours.ShowCatalogs: _words("SHOW CATALOGS"),
    ours.ShowColumns: _show("COLUMNS"),
    ours.ShowViews: _show("VIEWS"),
    ours.ShowCreateTable: lambda self, e: (
        f"SHOW CREATE {'VIEW' if e.args.get('view') else 'TABLE'} {self.sql(e, 'this')}"
    ),
    ours.ShowCreateModel: _after("SHOW CREATE MODEL"),
    ours.ShowSettings: _words("SHOW ALL"),
    ours.ShowIsolation: _words("SHOW TRANSACTION ISOLATION LEVEL"),
    ours.ShowSetting: _after("SHOW"),
    ours.DescribeModel: _after("DESCRIBE MODEL"),
    ours.DescribeTable: _after("DESCRIBE TABLE"),
    ours.DescribeQuery: _after("DESCRIBE"),
    ours.Explain: lambda self, e: (
        f"EXPLAIN {'ANALYZE ' if e.args.get('analyze') else ''}{self.sql(e, 'this')}"
    ),
    ours.SetSetting: _set,
    ours.ResetSetting: lambda self, e: f"RESET {self.sql(e, 'this') or 'ALL'}",
    ours.UseSchema: _after("USE"),
    ours.BeginTransaction: _words("BEGIN"),
    ours.CommitTransaction: _words("COMMIT"),
    ours.RollbackTransaction: _words("ROLLBACK"),
}


class Writing(Plain):
    """DuckDB's SQL and our own; what cannot be written without loss is refused."""

    TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[..., str]]] = {**Plain.TRANSFORMS, **WRITERS}

    def unsupported(self, message: str) -> NoReturn:
        """Refuse instead of warning: a warning would mean that the text lost a part of the tree."""
        raise NotSupported(message)
