"""Tests of the suite that no requirement turns off, and why they do not apply."""

_INDEXES = "Iceberg tables have no indexes"
_LENGTH = "Iceberg's string has no length"
_NAMES = "names of tables hold letters, digits, _, $, - and spaces"
_ORDER = "the test expects rows in the order of a window without ORDER BY"

EXCLUDED: dict[str, str] = {
    "BizarroCharacterTest.test_reflect_comments": _NAMES,
    "ComponentReflectionTest.test_get_indexes": _INDEXES,
    "ComponentReflectionTestExtra.test_string_length_reflection": _LENGTH,
    "ComponentReflectionTestExtra.test_varchar_reflection": _LENGTH,
    "HasIndexTest": _INDEXES,
    "IsolationLevelTest.test_dialect_user_setting_is_restored": "there is one level",
    "JSONTest.test_eval_none_flag_orm": "Iceberg tables have no generated values, which mapped classes need",
    "LongNameBlowoutTest.test_long_convention_name": "Iceberg tables have neither indexes nor named constraints",
    "QuotedNameArgumentTest": _NAMES,
    "TrueDivTest.test_truediv_divisor": "DuckDB divides decimals as doubles",
    "WindowFunctionTest.test_window_range": _ORDER,
    "WindowFunctionTest.test_window_range_numeric": _ORDER,
}
