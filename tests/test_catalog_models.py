"""Models' records: numbers never given twice, a default that stays, aliases that move."""

from datetime import UTC, datetime, timedelta

import pytest

from scoter.catalog.metastore import Metastore
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName
from scoter.errors import DuplicateModel, InvalidDefinition, UndefinedModel, UndefinedVersion

CHURN = ModelName("main", "churn")


@pytest.fixture
def models(tmp_path):
    opened = Metastore.open(f"sqlite:///{tmp_path / 'metastore.db'}")
    yield Models(opened)
    opened.close()


def facts(sha256="a"):
    return {"sha256": sha256 * 64, "size": 123, "signature": '{"n": 1}', "source": "file", "principal": "ann"}


def test_create_and_resolve(models):
    before = datetime.now(UTC)
    made = models.create(CHURN, **facts())
    assert (made.model, made.version, made.sha256, made.size) == (CHURN, 1, "a" * 64, 123)
    assert (made.signature, made.source, made.created_by) == ('{"n": 1}', "file", "ann")
    assert (made.aliases, made.is_default) == ((), True)
    assert before - timedelta(seconds=1) <= made.created_at <= datetime.now(UTC)
    for ref in (None, "1", "01"):
        assert models.resolve(CHURN, ref) == made
    assert models.resolve(ModelName("MAIN", "Churn")) == made


def test_create_again(models):
    first = models.create(CHURN, **facts())
    with pytest.raises(DuplicateModel):
        models.create(ModelName("main", "CHURN"), **facts("b"))
    assert models.create(CHURN, if_not_exists=True, **facts("b")) == first
    second = models.create(CHURN, replace=True, **facts("b"))
    assert (second.version, second.is_default) == (2, True)
    assert models.resolve(CHURN).version == 2
    assert models.resolve(CHURN, "1").is_default is False


def test_adding_a_version_leaves_the_default(models):
    models.create(CHURN, **facts())
    added = models.add_version(CHURN, **facts("b"))
    assert (added.version, added.is_default) == (2, False)
    assert models.resolve(CHURN).version == 1
    models.set_default(CHURN, 2)
    assert models.resolve(CHURN).sha256 == "b" * 64
    with pytest.raises(UndefinedVersion):
        models.set_default(CHURN, 3)
    with pytest.raises(UndefinedModel):
        models.add_version(ModelName("main", "nope"), **facts())


def test_aliases(models):
    models.create(CHURN, **facts())
    models.add_version(CHURN, **facts("b"))
    models.set_alias(CHURN, "Champion", 1)
    models.set_alias(CHURN, "challenger", 2)
    assert models.resolve(CHURN, "champion").version == 1
    models.set_alias(CHURN, "CHAMPION", 2)
    assert models.resolve(CHURN, "champion").version == 2
    assert models.resolve(CHURN, "2").aliases == ("challenger", "CHAMPION")
    assert models.resolve(CHURN, "1").aliases == ()
    models.drop_alias(CHURN, "champion")
    with pytest.raises(UndefinedVersion):
        models.resolve(CHURN, "champion")
    with pytest.raises(UndefinedVersion):
        models.drop_alias(CHURN, "champion")
    with pytest.raises(UndefinedVersion):
        models.set_alias(CHURN, "x", 9)
    for alias in ("3", "", "a b/c", "a@b"):
        with pytest.raises(InvalidDefinition):
            models.set_alias(CHURN, alias, 1)


def test_numbers_are_never_given_twice(models):
    models.create(CHURN, **facts())
    models.add_version(CHURN, **facts("b"))
    models.drop_version(CHURN, 2)
    assert models.add_version(CHURN, **facts("c")).version == 3
    assert [version.version for version in models.versions(CHURN)] == [1, 3]
    assert models.drop(CHURN)
    again = models.create(ModelName("Main", "Churn"), **facts("d"))
    assert (again.version, again.is_default, str(again.model)) == (4, True, "Main.Churn")
    assert [version.version for version in models.versions(CHURN)] == [4]
    for ref in ("1", "2", "3"):
        with pytest.raises(UndefinedVersion):
            models.resolve(CHURN, ref)


def test_drop_version_refuses_what_is_in_use(models):
    models.create(CHURN, **facts())
    models.add_version(CHURN, **facts("b"))
    models.set_alias(CHURN, "next", 2)
    with pytest.raises(InvalidDefinition, match="default version"):
        models.drop_version(CHURN, 1)
    with pytest.raises(InvalidDefinition, match='alias "next"'):
        models.drop_version(CHURN, 2)
    models.drop_alias(CHURN, "next")
    models.drop_version(CHURN, 2)
    with pytest.raises(UndefinedVersion):
        models.drop_version(CHURN, 2)


def test_drop(models):
    with pytest.raises(UndefinedModel):
        models.drop(CHURN)
    assert models.drop(CHURN, if_exists=True) is False
    models.create(CHURN, **facts())
    models.set_alias(CHURN, "champion", 1)
    assert models.drop(CHURN) is True
    assert models.list() == []
    models.create(CHURN, **facts())
    with pytest.raises(UndefinedVersion):
        models.resolve(CHURN, "champion")


def test_hints(models):
    models.create(CHURN, **facts())
    models.set_alias(CHURN, "champion", 1)
    with pytest.raises(UndefinedModel) as caught:
        models.resolve(ModelName("main", "chrun"))
    assert caught.value.hint == 'did you mean "churn"?'
    with pytest.raises(UndefinedModel) as caught:
        models.resolve(ModelName("mian", "churn"))
    assert caught.value.hint == 'did you mean "main.churn"?'
    with pytest.raises(UndefinedVersion) as caught:
        models.resolve(CHURN, "chmpion")
    assert caught.value.hint == 'did you mean "champion"?'
    for ref in ("2", "0", "99999999999999999999999999", "10000000001"):
        with pytest.raises(UndefinedVersion) as caught:
            models.resolve(CHURN, ref)
        assert caught.value.hint == "there are: 1, champion"


def test_list_is_by_name_then_number(models):
    models.create(ModelName("main", "b"), **facts())
    models.create(ModelName("main", "A"), **facts())
    models.create(ModelName("other", "a"), **facts())
    models.add_version(ModelName("main", "b"), **facts())
    models.set_alias(ModelName("other", "a"), "x", 1)
    assert [(str(found.model), found.version) for found in models.list()] == [
        ("main.A", 1),
        ("main.b", 1),
        ("main.b", 2),
        ("other.a", 1),
    ]
    assert [found.aliases for found in models.list("OTHER")] == [("x",)]
    assert models.list("nothing") == []


def test_the_revision_follows_every_change(models):
    seen = [models.revision()]

    def changed(change):
        change()
        seen.append(models.revision())

    changed(lambda: models.create(CHURN, **facts()))
    changed(lambda: models.add_version(CHURN, **facts()))
    changed(lambda: models.set_alias(CHURN, "x", 2))
    changed(lambda: models.set_default(CHURN, 2))
    changed(lambda: models.drop_alias(CHURN, "x"))
    changed(lambda: models.drop_version(CHURN, 1))
    changed(lambda: models.drop(CHURN))
    assert len(set(seen)) == 8
    models.resolve(models.create(CHURN, **facts()).model)
    last = models.revision()
    with pytest.raises(DuplicateModel):
        models.create(CHURN, **facts())
    models.list()
    assert models.revision() == last


@pytest.mark.parametrize(
    "name", [ModelName("main", "a/b"), ModelName("ma/in", "a"), ModelName("main", "a@1")]
)
def test_refused_names(models, name):
    with pytest.raises(InvalidDefinition):
        models.create(name, **facts())
