"""A connection to the server that SCOTER_URL names: scoter://host:port of an empty lake."""

from __future__ import annotations

import os
import uuid

import pytest
import sqlalchemy as sa

collect_ignore = ["suite"]  # it has a plugin and a configuration of its own


@pytest.fixture(scope="session")
def url():
    """The server's address, without a catalog."""
    return os.environ["SCOTER_URL"]


@pytest.fixture
def engine(url):
    """An engine of its own for each test."""
    made = sa.create_engine(f"{url}/lake/main")
    yield made
    made.dispose()


@pytest.fixture
def name():
    """A table's name that no other test uses."""
    return f"t_{uuid.uuid4().hex[:12]}"
