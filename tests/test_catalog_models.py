"""Models' records: numbers never given twice, a default that stays, aliases that move."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import scoter
from scoter.catalog.metastore import Metastore, engine_for
from scoter.catalog.model_records import Made, VersionFacts
from scoter.catalog.models import Models
from scoter.catalog.names import ModelName
from scoter.errors import (
    CorruptData,
    DuplicateModel,
    InvalidDefinition,
    UndefinedModel,
    UndefinedTag,
    UndefinedVersion,
)

CHURN = ModelName("main", "churn")
MIGRATIONS = Path(scoter.__file__).parent / "catalog" / "migrations"


@pytest.fixture
def models(tmp_path):
    opened = Metastore.open(f"sqlite:///{tmp_path / 'metastore.db'}")
    yield Models(opened)
    opened.close()


def facts(sha256="a"):
    return Made(sha256=sha256 * 64, size=123, signature='{"n": 1}', source="file", principal="ann")


def test_create_and_resolve(models):
    before = datetime.now(UTC)
    made = models.create(CHURN, facts())
    assert (made.model, made.version, made.sha256, made.size) == (CHURN, 1, "a" * 64, 123)
    assert (made.signature, made.source, made.created_by) == ('{"n": 1}', "file", "ann")
    assert (made.aliases, made.is_default) == ((), True)
    assert before - timedelta(seconds=1) <= made.created_at <= datetime.now(UTC)
    for ref in (None, "1", "01"):
        assert models.resolve(CHURN, ref) == made
    assert models.resolve(ModelName("MAIN", "Churn")) == made


def test_create_again(models):
    first = models.create(CHURN, facts())
    with pytest.raises(DuplicateModel):
        models.create(ModelName("main", "CHURN"), facts("b"))
    assert models.create(CHURN, facts("b"), if_not_exists=True) == first
    second = models.create(CHURN, facts("b"), replace=True)
    assert (second.version, second.is_default) == (2, True)
    assert models.resolve(CHURN).version == 2
    assert models.resolve(CHURN, "1").is_default is False


def test_adding_a_version_leaves_the_default(models):
    models.create(CHURN, facts())
    added = models.add_version(CHURN, facts("b"))
    assert (added.version, added.is_default) == (2, False)
    assert models.resolve(CHURN).version == 1
    models.set_default(CHURN, 2)
    assert models.resolve(CHURN).sha256 == "b" * 64
    with pytest.raises(UndefinedVersion):
        models.set_default(CHURN, 3)
    with pytest.raises(UndefinedModel):
        models.add_version(ModelName("main", "nope"), facts())


def test_aliases(models):
    models.create(CHURN, facts())
    models.add_version(CHURN, facts("b"))
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
    models.create(CHURN, facts())
    models.add_version(CHURN, facts("b"))
    models.drop_version(CHURN, 2)
    assert models.add_version(CHURN, facts("c")).version == 3
    assert [version.version for version in models.versions(CHURN)] == [1, 3]
    assert models.drop(CHURN)
    again = models.create(ModelName("Main", "Churn"), facts("d"))
    assert (again.version, again.is_default, str(again.model)) == (4, True, "Main.Churn")
    assert [version.version for version in models.versions(CHURN)] == [4]
    for ref in ("1", "2", "3"):
        with pytest.raises(UndefinedVersion):
            models.resolve(CHURN, ref)


def test_drop_version_refuses_what_is_in_use(models):
    models.create(CHURN, facts())
    models.add_version(CHURN, facts("b"))
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
    models.create(CHURN, facts())
    models.set_alias(CHURN, "champion", 1)
    assert models.drop(CHURN) is True
    assert models.list() == []
    models.create(CHURN, facts())
    with pytest.raises(UndefinedVersion):
        models.resolve(CHURN, "champion")


def test_hints(models):
    models.create(CHURN, facts())
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
    models.create(ModelName("main", "b"), facts())
    models.create(ModelName("main", "A"), facts())
    models.create(ModelName("other", "a"), facts())
    models.add_version(ModelName("main", "b"), facts())
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

    changed(lambda: models.create(CHURN, facts()))
    changed(lambda: models.add_version(CHURN, facts()))
    changed(lambda: models.set_alias(CHURN, "x", 2))
    changed(lambda: models.set_default(CHURN, 2))
    changed(lambda: models.drop_alias(CHURN, "x"))
    changed(lambda: models.drop_version(CHURN, 1))
    changed(lambda: models.drop(CHURN))
    assert len(set(seen)) == 8
    models.resolve(models.create(CHURN, facts()).model)
    last = models.revision()
    with pytest.raises(DuplicateModel):
        models.create(CHURN, facts())
    models.list()
    assert models.revision() == last


@pytest.mark.parametrize(
    "name", [ModelName("main", "a/b"), ModelName("ma/in", "a"), ModelName("main", "a@1")]
)
def test_refused_names(models, name):
    with pytest.raises(InvalidDefinition):
        models.create(name, facts())


def test_what_is_said_of_a_model(models):
    models.create(CHURN, facts())
    assert models.model(CHURN)[0].owner == "ann"
    models.set_comment(CHURN, "who leaves")
    models.set_owner(CHURN, "bob")
    models.set_tags(CHURN, {"team": "sales", "Cost": "7"})
    models.set_tags(CHURN, {"TEAM": "search"})
    said, _ = models.model(CHURN)
    assert (said.comment, said.owner, said.tags) == (
        "who leaves",
        "bob",
        (("Cost", "7"), ("TEAM", "search")),
    )
    assert models.models() == [(said, models.versions(CHURN))]
    assert models.models("other") == []
    models.unset_tags(CHURN, ["team"])
    with pytest.raises(UndefinedTag):
        models.unset_tags(CHURN, ["cost", "team"])
    # None of several is taken away where one is not there.
    assert models.model(CHURN)[0].tags == (("Cost", "7"),)
    with pytest.raises(InvalidDefinition, match="at most 50"):
        models.set_tags(CHURN, {f"t{n}": "" for n in range(50)})
    with pytest.raises(InvalidDefinition, match="at most 32,768"):
        models.set_comment(CHURN, "x" * 32_769)
    for text in ("a\0b", "a\ud800"):
        with pytest.raises(InvalidDefinition, match="is not kept"):
            models.set_comment(CHURN, text)
        with pytest.raises(InvalidDefinition, match="is not kept"):
            models.set_tags(CHURN, {"a": text})
    models.drop(CHURN)
    again = models.create(CHURN, facts("b"))
    assert (again.version, models.model(CHURN)[0].comment, models.model(CHURN)[0].tags) == (2, None, ())


def test_facts_of_a_version_are_kept(models):
    said = VersionFacts(17, "tests 1", "first", (("auc", 0.25), ("n", -1e300)), (("a", "ü"),))
    made = models.create(CHURN, replace(facts(), facts=said))
    assert made.facts == said
    assert models.resolve(CHURN).facts == said
    assert models.add_version(CHURN, facts("b")).facts == VersionFacts()
    # Of a newer version that knows more, or an older one that knows less.
    assert VersionFacts.from_json('{"opset": 3, "colour": "red"}') == VersionFacts(3)
    for damaged in ("[]", "{", '{"metrics": 3}'):
        with pytest.raises(CorruptData):
            VersionFacts.from_json(damaged)


def test_a_name_keeps_its_numbers_for_the_model_that_had_it(models):
    other, third = ModelName("main", "other"), ModelName("main", "third")
    models.create(CHURN, facts())
    models.add_version(CHURN, facts("b"))
    models.set_alias(CHURN, "best", 2)
    models.rename(CHURN, other)
    assert models.resolve(other, "best").sha256 == "b" * 64
    with pytest.raises(UndefinedModel):
        models.resolve(CHURN)
    models.rename(other, CHURN)
    assert models.resolve(CHURN, "best").version == 2
    models.rename(CHURN, other)
    assert models.create(CHURN, facts("c")).version == 3
    with pytest.raises(DuplicateModel):
        models.rename(other, CHURN)
    models.drop(CHURN)
    with pytest.raises(InvalidDefinition, match="not used again"):
        models.rename(other, CHURN)
    models.rename(other, ModelName("main", "OTHER"))
    assert [model.name.name for model, _ in models.models()] == ["OTHER"]
    models.rename(other, third)
    models.rename(third, other)
    assert models.resolve(other, "1").sha256 == "a" * 64
    with pytest.raises(InvalidDefinition):
        models.rename(other, ModelName("main", "a@b"))


def test_models_of_the_first_metastore_go_on(tmp_path):
    """A lake of before there were comments, owners and facts."""
    url = f"sqlite:///{tmp_path / 'metastore.db'}"
    engine = engine_for(url, new=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO scoter_models VALUES (1, 'main', 'churn', 'main', 'churn', 0, 1, 1, '2026-01-01', 'ann')"
        )
        connection.exec_driver_sql(
            "INSERT INTO scoter_model_versions VALUES (1, 1, 'aa', 5, '{}', 'file', '2026-01-01', 'ann', 0)"
        )
    engine.dispose()
    metastore = Metastore.open(url)
    models = Models(metastore)
    assert models.model(CHURN)[0].owner == "ann"
    assert models.resolve(CHURN).facts == VersionFacts()
    models.rename(CHURN, ModelName("main", "other"))
    assert models.create(CHURN, facts()).version == 2
    metastore.close()
