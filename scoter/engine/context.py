"""What a session brings to a statement: who asks, where names are looked up, and its settings.

This module must not know how a session is kept or found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, available_timezones

from scoter.catalog.principals import Principal
from scoter.errors import InvalidValue, UndefinedSetting
from scoter.suggestions import closest

SETTINGS = ("timezone", "statement_timeout", "query_tag")


@dataclass(frozen=True)
class Context:
    """One session's state; a statement such as USE or SET gives a new one."""

    principal: Principal
    catalog: str
    schema: str
    timezone: str = "UTC"
    statement_timeout: float = 0.0
    query_tag: str = ""

    def get(self, name: str) -> str:
        """Return the value of a session setting as text; raises UndefinedSetting."""
        value = getattr(self, setting_name(name))
        return f"{value:g}" if isinstance(value, float) else str(value)

    def set(self, name: str, value: str) -> Context:
        """Return a context with one setting changed; raises UndefinedSetting, InvalidValue."""
        key = setting_name(name)
        if key == "timezone":
            return replace(self, timezone=_zone(value))
        if key == "statement_timeout":
            return replace(self, statement_timeout=_seconds(value))
        if len(value) > 200:
            raise InvalidValue("query_tag holds at most 200 characters")
        return replace(self, query_tag=value)


def setting_name(name: str) -> str:
    """Return the canonical name of a session setting; raises UndefinedSetting."""
    key = name.casefold().replace(" ", "").replace("_", "")
    for known in SETTINGS:
        if known.replace("_", "") == key:
            return known
    hint = closest(name, list(SETTINGS)) or "the session settings are " + ", ".join(SETTINGS)
    raise UndefinedSetting(f"setting {name!r} can not be set or shown", hint=hint)


def _zone(value: str) -> str:
    if value.upper() in {"UTC", "Z"}:
        return "UTC"
    zones = available_timezones()
    for zone in (value, value.title()):
        if zone in zones:
            return ZoneInfo(zone).key
    raise InvalidValue(
        f"time zone {value!r} is not known",
        hint=closest(value, sorted(zones)) or "use a name such as 'Europe/Amsterdam'",
    )


def _seconds(value: str) -> float:
    """Read '30', '30s', '500ms' or '2min' as seconds; 0 means no limit."""
    text = value.strip().casefold()
    for suffix, factor in (("ms", 0.001), ("min", 60.0), ("s", 1.0), ("h", 3600.0), ("", 1.0)):
        number = text.removesuffix(suffix) if suffix else text
        if suffix and number == text:
            continue
        try:
            seconds = float(number) * factor
        except ValueError:
            break
        if 0 <= seconds <= 7 * 86400:
            return seconds
        break
    raise InvalidValue(f"statement_timeout {value!r} is not a duration", hint="write 30, '30s' or '2min'")
