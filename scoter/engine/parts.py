"""What the stages share: one lake's catalogs, models, scans and settings, opened once.

This module must not know statements.
"""

from __future__ import annotations

from dataclasses import dataclass

from scoter.catalog.lake import Lake
from scoter.catalog.models import Models
from scoter.catalog.principals import Principals
from scoter.engine.binding import Binder
from scoter.engine.proving import Proofs
from scoter.engine.scan import Scans
from scoter.settings import Settings
from scoter.udfs.artifacts import Artifacts
from scoter.udfs.quarantine import Quarantine
from scoter.udfs.sessions import Sessions


@dataclass(frozen=True)
class Parts:
    """The opened parts of one lake."""

    settings: Settings
    lake: Lake
    models: Models
    principals: Principals
    artifacts: Artifacts
    sessions: Sessions
    proofs: Proofs
    quarantine: Quarantine
    scans: Scans
    binder: Binder
