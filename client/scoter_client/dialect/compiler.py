"""SQLAlchemy's statements as SQL that Scoter takes.

This module must not know connections or results.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc, types
from sqlalchemy.sql import elements
from sqlalchemy.sql.compiler import SQLCompiler

# Functions whose arguments have one type, so that parameters alone tell none.
_OF_ONE_TYPE = frozenset({"coalesce", "concat", "greatest", "ifnull", "least", "nullif"})


class ScoterCompiler(SQLCompiler):
    """Writes queries.

    A parameter gets its type from what it stands beside. Where nothing stands beside it, as in ``SELECT ?``, the
    server asks for a cast, which is written here from the type that SQLAlchemy gave the value.
    """

    def visit_bindparam(
        self, bindparam: Any, *args: Any, bare: bool = False, of_function: bool = False, **kw: Any
    ) -> str:
        alone = bare or kw.get("within_columns_clause", False)
        # A digit count as in round(x, ?) tells no type; a bindparam with a name may stand for many rows' values.
        digits = of_function and bindparam.unique and isinstance(bindparam.type, types.Integer)
        if digits or (alone and self._of_unknown_scale(bindparam.type)):
            kw["literal_execute"] = True
        text = str(super().visit_bindparam(bindparam, *args, **kw))
        literal = kw.get("literal_binds") or kw.get("literal_execute") or bindparam.literal_execute
        if literal or bindparam.expanding or kw.get("skip_bind_expression"):
            return text
        cast = self._cast_of(bindparam.type, alone=alone)
        return f"CAST({text} AS {cast})" if cast else text

    def _cast_of(self, kind: Any, *, alone: bool) -> str | None:
        kind = kind.dialect_impl(self.dialect)
        if isinstance(kind, types.TypeDecorator):
            kind = kind.load_dialect_impl(self.dialect)
        if isinstance(kind, types.Float):
            # Beside an INTEGER the server would ask for an integer.
            return "DOUBLE"
        if not alone or isinstance(kind, types.NullType):
            return None
        if isinstance(kind, types.Integer) and type(kind).__name__.upper() in {"INTEGER", "SMALLINT"}:
            return "BIGINT"
        if isinstance(kind, types.JSON):
            return "VARCHAR"
        return str(self.dialect.type_compiler.process(kind))

    @staticmethod
    def _of_unknown_scale(kind: Any) -> bool:
        """Say whether a decimal's digits are known from its value alone, which then stands in the statement."""
        return (
            isinstance(kind, types.Numeric) and not isinstance(kind, types.Float) and kind.precision is None
        )

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        _leave(kw)
        left, right = _inside(binary.left), _inside(binary.right)
        if _is_value(left) and (_is_value(right) or isinstance(right, elements.Null)):
            kw["bare"] = True
        return str(super().visit_binary(binary, *args, **kw))

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        _leave(kw)
        values = [_inside(clause) for clause in func.clauses]
        if func.name.lower() in _OF_ONE_TYPE and all(_is_value(value) for value in values):
            kw["bare"] = True
        else:
            kw["of_function"] = True
        return str(super().visit_function(func, *args, **kw))

    def visit_case(self, clause: Any, **kw: Any) -> str:
        _leave(kw)
        results = [_inside(result) for _, result in clause.whens]
        if clause.else_ is not None:
            results.append(_inside(clause.else_))
        if all(_is_value(result) or isinstance(result, elements.Null) for result in results):
            kw["bare"] = True
        return str(super().visit_case(clause, **kw))

    def visit_cast(self, cast: Any, **kw: Any) -> str:
        _leave(kw)
        return str(super().visit_cast(cast, **kw))

    def visit_unary(self, unary: Any, *args: Any, **kw: Any) -> str:
        if _is_value(_inside(unary.element)):
            kw["bare"] = True
        return str(super().visit_unary(unary, *args, **kw))

    def visit_tuple(self, clauselist: Any, **kw: Any) -> str:
        _leave(kw)
        return str(super().visit_tuple(clauselist, **kw))

    def visit_values(self, element: Any, *args: Any, **kw: Any) -> str:
        kw["bare"] = True
        return str(super().visit_values(element, *args, **kw))

    def limit_clause(self, select: Any, **kw: Any) -> str:
        limit, offset = select._limit_clause, select._offset_clause  # noqa: SLF001  # as in SQLAlchemy's own compilers
        text = "" if limit is None else f"\n LIMIT {self.process(limit, **kw)}"
        return text if offset is None else f"{text}\n OFFSET {self.process(offset, **kw)}"

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        raise exc.CompileError("Scoter has no locks: SELECT … FOR UPDATE is not supported")

    def visit_empty_set_expr(self, element_types: Any, **kw: Any) -> str:
        columns = ", ".join("1" for _ in element_types or [None])
        return f"SELECT {columns} WHERE 1!=1"

    def visit_getitem_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"{self.process(binary.left, **kw)}[{self.process(binary.right, **kw)}]"

    def visit_json_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        value, path = self.process(binary.left, **kw), self.process(binary.right, **kw)
        wanted = binary.type._type_affinity  # noqa: SLF001  # as in SQLAlchemy's own compilers
        if wanted is types.JSON:
            return f"json_extract({value}, CAST({path} AS VARCHAR))"
        text = f"json_extract_string({value}, CAST({path} AS VARCHAR))"
        if wanted is types.String:
            return text
        return f"CAST({text} AS {self.dialect.type_compiler.process(binary.type)})"

    visit_json_path_getitem_op_binary = visit_json_getitem_op_binary

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        parts = [self.process(binary.left, **kw), self.process(binary.right, **kw), *self._flags(binary, kw)]
        return f"regexp_matches({', '.join(parts)})"

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"NOT {self.visit_regexp_match_op_binary(binary, operator, **kw)}"

    def visit_regexp_replace_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        parts = [self.process(binary.left, **kw), self.process(binary.right, **kw), *self._flags(binary, kw)]
        return f"regexp_replace({', '.join(parts)})"

    def _flags(self, binary: Any, kw: dict[str, Any]) -> list[str]:
        flags = binary.modifiers["flags"]
        if flags is None:
            return []
        if isinstance(flags, str):
            return [self.render_literal_value(flags, types.STRINGTYPE)]
        return [self.process(flags, **kw)]


def _leave(kw: dict[str, Any]) -> None:
    """Forget what stands around an expression."""
    for word in ("within_columns_clause", "of_function"):
        kw.pop(word, None)


def _inside(element: Any) -> Any:
    while isinstance(element, (elements.Grouping, elements.Label)):
        element = element.element
    return element


def _is_value(element: Any) -> bool:
    return isinstance(element, elements.BindParameter)
