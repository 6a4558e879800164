"""Views of a REST catalog, whose server keeps them.

This module must not know what a view's text means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchViewError, ViewAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.view.metadata import ViewVersion

from scoter.catalog.lookup import Found
from scoter.catalog.names import TableName
from scoter.errors import DuplicateTable, NotSupported

_GONE, _CONFLICT = 404, 409
_NEWEST = -1  # what the same request adds


class RestViews:
    """The views of one REST catalog."""

    def __init__(self, attached: Catalog) -> None:
        self._attached = attached

    def create(
        self, name: TableName, schema: Schema, version: ViewVersion, properties: Mapping[str, str]
    ) -> None:
        """Make a view; raises DuplicateTable where the server has one of that name."""
        try:
            self._attached.create_view(name.identifier, schema, version, None, dict(properties))
        except ViewAlreadyExistsError as error:
            raise DuplicateTable(f"view {name} exists") from error

    def replace(
        self, found: Found, schema: Schema | None, version: ViewVersion | None, properties: Mapping[str, str]
    ) -> bool:
        """Give a view its next version, where there is one, and its properties.

        Return False when another writer came first; nothing was then changed.
        """
        assert found.view is not None  # noqa: S101  # what was found in such a catalog is loaded
        updates: list[dict[str, object]] = []
        if schema is not None and version is not None:
            body = json.loads(version.model_dump_json()) | {"schema-id": _NEWEST}
            body["version-id"] = max(one.version_id for one in found.view.metadata.versions) + 1
            updates += [
                {"action": "add-schema", "schema": json.loads(schema.model_dump_json())},
                {"action": "add-view-version", "view-version": body},
                {"action": "set-current-view-version", "view-version-id": _NEWEST},
            ]
        if properties:
            updates.append({"action": "set-properties", "updates": dict(properties)})
        if "comment" in found.view.metadata.properties and "comment" not in properties:
            updates.append({"action": "remove-properties", "removals": ["comment"]})
        if not updates:
            return True
        same = {"type": "assert-view-uuid", "uuid": found.view.metadata.view_uuid}
        return self._post(
            self._url("namespaces/{namespace}/views/{view}", found),
            {"requirements": [same], "updates": updates},
        )

    def rename(self, found: Found, name: TableName) -> bool:
        """Rename a view and return whether it was still there; raises DuplicateTable."""
        places = {"source": found.name, "destination": name}
        body = {
            key: {"namespace": place.schema.split("."), "name": place.name} for key, place in places.items()
        }
        session = cast("Any", self._attached)
        if not self._post(session.url("views/rename"), body):
            raise DuplicateTable(f"{name} exists")
        return True

    def drop(self, found: Found) -> bool:
        """Take a view away and return whether it was still there."""
        try:
            self._attached.drop_view(found.name.identifier)
        except NoSuchViewError:
            return False
        return True

    def _url(self, endpoint: str, found: Found) -> str:
        attached = cast("Any", self._attached)
        namespace = attached._encode_namespace_path(found.name.identifier[:-1])  # noqa: SLF001  # as below
        return str(attached.url(endpoint, namespace=namespace, view=quote(found.name.name, safe="")))

    def _post(self, url: str, body: Mapping[str, object]) -> bool:
        """Return whether the server did what was asked; False for what another writer did first."""
        # pyiceberg can not change views; its session has the login.
        session = cast("Any", self._attached)._session  # noqa: SLF001  # as said
        answer = session.post(url, data=json.dumps(body).encode())
        if answer.status_code in (_CONFLICT, _GONE):
            return False
        if not answer.ok:
            raise NotSupported(f"the catalog's server refused to change the view ({answer.status_code})")
        return True
