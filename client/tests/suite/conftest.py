"""SQLAlchemy's own test plugin, which runs its suite for dialects."""

# ruff: noqa: E402, F401, F403, I001  # the order is SQLAlchemy's

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *

import provision  # it registers what it defines
