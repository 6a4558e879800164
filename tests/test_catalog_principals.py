"""Users: roles in order, passwords hashed, one answer for a wrong name and a wrong password."""

import pytest
from argon2 import PasswordHasher, extract_parameters

from scoter.catalog.metastore import Metastore
from scoter.catalog.principals import Principal, Principals, Role
from scoter.errors import AuthenticationFailed, InvalidDefinition, InvalidValue


@pytest.fixture
def metastore(tmp_path):
    opened = Metastore.open(f"sqlite:///{tmp_path / 'metastore.db'}")
    yield opened
    opened.close()


@pytest.fixture
def principals(metastore):
    return Principals(metastore)


def test_roles_include_the_lesser_ones():
    allowed = {(have, need) for have in Role for need in Role if have.allows(need)}
    assert allowed == {
        (Role.READER, Role.READER),
        (Role.WRITER, Role.READER),
        (Role.WRITER, Role.WRITER),
        (Role.ADMIN, Role.READER),
        (Role.ADMIN, Role.WRITER),
        (Role.ADMIN, Role.ADMIN),
    }


def test_add_and_verify(principals):
    assert not principals.exist()
    assert principals.list() == []
    added = principals.add("ann", Role.ADMIN, "päss wörd")
    assert principals.exist()
    assert added == Principal("ann", Role.ADMIN)
    verified = principals.verify("ann", "päss wörd")
    assert (verified, verified.generation) == (added, added.generation)
    principals.add("abe", Role.READER, "x")
    assert principals.list() == [Principal("abe", Role.READER), Principal("ann", Role.ADMIN)]
    assert principals.get("ann") == added
    assert principals.get("Ann") is None


def test_the_hash_is_argon2id(principals, metastore):
    principals.add("ann", Role.READER, "secret")
    with metastore.reading() as connection:
        stored = connection.exec_driver_sql("SELECT password_hash FROM scoter_principals").scalar()
    assert stored.startswith("$argon2id$")
    assert "secret" not in stored


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong"),
        ("bob", "right"),
        ("ann", ""),
        ("ann", "r" * 2000),
        ("ann", "\ud800"),
        ("\ud800", "right"),
    ],
)
def test_one_message_for_every_refusal(principals, name, password):
    principals.add("ann", Role.READER, "right")
    with pytest.raises(AuthenticationFailed) as caught:
        principals.verify(name, password)
    assert caught.value.text() == "[28000] AUTHENTICATION_FAILED: the user or the password is wrong."


def test_an_unknown_user_costs_the_same_hash(principals):
    with pytest.raises(AuthenticationFailed):
        principals.verify("bob", "wrong")
    assert extract_parameters(principals._decoy) == extract_parameters(PasswordHasher().hash("x"))


def test_refused_additions(principals):
    principals.add("ann", Role.READER, "right")
    with pytest.raises(InvalidValue, match="exists"):
        principals.add("ann", Role.ADMIN, "other")
    with pytest.raises(InvalidValue, match="between 1 and 1024"):
        principals.add("bob", Role.READER, "")
    with pytest.raises(InvalidValue):
        principals.add("bob", Role.READER, "x" * 1025)
    with pytest.raises(InvalidDefinition):
        principals.add("b:b", Role.READER, "x")
    assert [principal.name for principal in principals.list()] == ["ann"]
    assert principals.get("ann").role is Role.READER


def test_changes_make_another_generation(principals):
    generations = [principals.add("ann", Role.READER, "one").generation]
    principals.set_password("ann", "two")
    generations.append(principals.get("ann").generation)
    with pytest.raises(AuthenticationFailed):
        principals.verify("ann", "one")
    principals.set_role("ann", Role.WRITER)
    generations.append(principals.verify("ann", "two").generation)
    assert principals.get("ann").role is Role.WRITER
    principals.remove("ann")
    assert principals.get("ann") is None
    assert not principals.exist()
    generations.append(principals.add("ann", Role.READER, "one").generation)
    assert len(set(generations)) == 4
    for change in (
        lambda: principals.set_password("anna", "x"),
        lambda: principals.set_role("anna", Role.ADMIN),
        lambda: principals.remove("anna"),
    ):
        with pytest.raises(InvalidValue) as caught:
            change()
        assert caught.value.hint == 'did you mean "ann"?'


def test_an_old_hash_is_renewed_at_login(principals, metastore):
    added = principals.add("ann", Role.READER, "right")
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("right")
    with metastore.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE scoter_principals SET password_hash = ?", (weak,))
    verified = principals.verify("ann", "right")
    assert verified.generation == added.generation
    with metastore.reading() as connection:
        renewed = connection.exec_driver_sql("SELECT password_hash FROM scoter_principals").scalar()
    assert renewed != weak
    assert not PasswordHasher().check_needs_rehash(renewed)
    assert principals.verify("ann", "right") == added


def test_a_damaged_hash_refuses(principals, metastore):
    principals.add("ann", Role.READER, "right")
    with metastore.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE scoter_principals SET password_hash = 'right'")
    with pytest.raises(AuthenticationFailed):
        principals.verify("ann", "right")
