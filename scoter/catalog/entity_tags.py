"""Answers of a REST catalog that are kept with their entity tags, and asked for again only where they have changed.

The server is asked every time all the same: what it confirms is as new as what it would send. This module must not know
tables. Source: https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match and the loadTable operation of
https://iceberg.apache.org/rest-catalog-spec/
"""

from __future__ import annotations

import copy
import json
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from scoter.catalog.recent import Recent

_CACHED_BYTES = 64 * 1024 * 1024
_UNCHANGED = 304


class EntityTags(HTTPAdapter):
    """Sends the tag of the answer that is kept, and gives that answer where the server says that it still holds."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: Recent[str, Response] = Recent(_CACHED_BYTES, weigh=lambda answer: len(answer.content))

    def send(self, request: PreparedRequest, *given: Any, **named: Any) -> Response:
        """Send a request; raises what requests raises."""
        url = str(request.url)
        known = self._kept.get(url) if request.method == "GET" else None
        if known is not None:
            request.headers["If-None-Match"] = known.headers["ETag"]
        answer = super().send(request, *given, **named)
        if answer.status_code == _UNCHANGED and known is not None:
            answer.close()
            return copy.copy(known)
        if request.method == "GET" and answer.ok and "ETag" in answer.headers and not _lends(answer):
            self._kept.put(url, copy.copy(answer))
        return answer


class Tagged:
    """Stands before pyiceberg's REST catalog in the order of classes."""

    def _create_session(self) -> Session:
        session: Session = super()._create_session()  # type: ignore[misc]  # the next class has it
        kept = EntityTags()
        for scheme in ("https://", "http://"):
            session.mount(scheme, kept)
        return session


def _lends(answer: Response) -> bool:
    """Say whether an answer holds settings for storage, which may end before the table changes."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        return True
    return not isinstance(found, dict) or bool(found.get("config") or found.get("storage-credentials"))
