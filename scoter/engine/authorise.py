"""May this principal do this: one decision, before any data or model is opened.

This module must not know SQL; it sees an Analysis and a Principal.
"""

from __future__ import annotations

from scoter.catalog.principals import Principal
from scoter.engine.analysis import Analysis
from scoter.errors import PermissionDenied


def authorise(analysis: Analysis, principal: Principal) -> None:
    """Raise PermissionDenied unless the principal's role allows what the statement does."""
    if not principal.role.allows(analysis.needs):
        raise PermissionDenied(
            f"{analysis.action} needs the role {analysis.needs.value}, and {principal.name} is {principal.role.value}",
            hint="ask an administrator for the role",
        )
