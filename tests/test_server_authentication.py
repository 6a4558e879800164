import base64
import time

import pytest

from scoter.catalog.metastore import Metastore
from scoter.catalog.principals import Principals, Role
from scoter.errors import AuthenticationFailed
from scoter.server.authentication import LOCAL, Authentication
from scoter.server.tokens import State, Tokens

KEY = b"k" * 32


@pytest.fixture
def principals(tmp_path):
    metastore = Metastore.open(f"sqlite:///{tmp_path}/metastore.db")
    yield Principals(metastore)
    metastore.close()


def ignore(*_, **__):
    """Stand where a log would be written, in tests that do not look at it."""


def basic(name, password, *, padded=True):
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": [f"Basic {encoded if padded else encoded.rstrip('=')}"]}


def sent_back(caller):
    return {"authorization": [caller.answer["authorization"]]}


def cookie(caller):
    return {"cookie": [f"other=1; {caller.answer['set-cookie']}"]}


def test_without_users_everybody_is_local_and_keeps_a_session(principals):
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    for headers in ({}, basic("x", "y"), {"authorization": ["Bearer nonsense"]}):
        first = door.identify(headers)
        assert first.principal == LOCAL
        assert first.answer is not None
        for brought in (sent_back(first), cookie(first)):
            again = door.identify(brought)
            assert (again.session, again.answer) == (first.session, None)
    assert door.identify({}).session != door.identify({}).session


def test_without_users_an_old_token_still_names_its_session(principals, clock):
    first = Authentication(principals, Tokens(KEY, 1), ignore).identify({})
    clock.advance(1.1)
    again = Authentication(principals, Tokens(KEY, 1), ignore).identify(sent_back(first))
    assert again.session == first.session
    assert again.answer is not None


def test_with_users_a_login_is_demanded(principals):
    principals.add("ann", Role.READER, "right horse")
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    for headers in (
        {},
        {"authorization": ["Bearer nonsense"]},
        {"authorization": ["Basic %%%"]},
        {"authorization": ["Basic"]},
        basic("ann", "wrong"),
        basic("bob", "right horse"),
        basic("", ""),
    ):
        with pytest.raises(AuthenticationFailed):
            door.identify(headers)
    for padded in (True, False):
        caller = door.identify(basic("ann", "right horse", padded=padded))
        assert (caller.principal.name, caller.principal.role) == ("ann", Role.READER)
        assert door.identify(sent_back(caller)).session == caller.session


def test_colons_and_letters_of_any_script_may_stand_in_a_password(principals):
    principals.add("ann", Role.READER, "pä:ss:wörd")
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    assert door.identify(basic("ann", "pä:ss:wörd")).principal.name == "ann"


def test_a_token_of_before_the_first_user_is_worth_nothing(principals):
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    anonymous = door.identify({})
    principals.add("ann", Role.ADMIN, "right horse")
    later = Authentication(principals, Tokens(KEY, 60), ignore)
    with pytest.raises(AuthenticationFailed):
        later.identify(sent_back(anonymous))
    # … also when a user of that name is added.
    principals.add("local", Role.READER, "right horse")
    with pytest.raises(AuthenticationFailed):
        Authentication(principals, Tokens(KEY, 60), ignore).identify(sent_back(anonymous))


def test_a_running_server_notices_the_first_user(principals, clock):
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    assert door.identify({}).principal == LOCAL
    principals.add("ann", Role.ADMIN, "right horse")
    clock.advance(1.1)
    with pytest.raises(AuthenticationFailed):
        door.identify({})


@pytest.mark.parametrize("change", ["set_password", "set_role", "remove"])
def test_a_changed_user_must_log_in_again(principals, change, clock):
    principals.add("bob", Role.READER, "another")
    principals.add("ann", Role.ADMIN, "right horse")
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    token = sent_back(door.identify(basic("ann", "right horse")))
    assert door.identify(token).principal.name == "ann"
    arguments = {"set_password": ["new"], "set_role": [Role.READER], "remove": []}[change]
    getattr(principals, change)("ann", *arguments)
    clock.advance(1.1)
    with pytest.raises(AuthenticationFailed):
        door.identify(token)
    with pytest.raises(AuthenticationFailed):
        Authentication(principals, Tokens(KEY, 60), ignore).identify(token)


def test_a_remembered_login_ends_when_the_password_changes(principals, clock):
    principals.add("ann", Role.ADMIN, "right horse")
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    door.identify(basic("ann", "right horse"))
    started = time.perf_counter()
    for _ in range(20):
        door.identify(basic("ann", "right horse"))
    assert time.perf_counter() - started < 1.0
    principals.set_password("ann", "new")
    clock.advance(1.1)
    with pytest.raises(AuthenticationFailed):
        door.identify(basic("ann", "right horse"))
    assert door.identify(basic("ann", "new")).principal.name == "ann"


def test_expired_tokens_are_refused_and_old_ones_replaced(principals, clock):
    principals.add("ann", Role.ADMIN, "right horse")
    door = Authentication(principals, Tokens(KEY, 1800), ignore)
    first = door.identify(basic("ann", "right horse"))
    assert door.identify(sent_back(first)).answer is None
    clock.advance(1000)
    renewed = door.identify(sent_back(first))
    assert renewed.session == first.session
    clock.advance(1000)
    with pytest.raises(AuthenticationFailed, match="no longer valid"):
        door.identify(sent_back(first))
    # JDBC keeps its first token for ever and adds the cookie: the newer one counts.
    both = {**sent_back(first), **cookie(renewed)}
    assert door.identify(both).session == first.session


def test_of_several_tokens_the_newest_state_counts(principals):
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    first = door.identify({})
    state = State("lake", "sales", "UTC", 0.0, "")
    changed = door.token_headers(first, 3, state)
    brought = {"authorization": [first.answer["authorization"], changed["authorization"]]}
    for headers in (brought, {"authorization": brought["authorization"][::-1]}):
        caller = door.identify(headers)
        assert (caller.version, caller.state) == (3, state)


def test_fetching_needs_no_new_token(principals):
    door = Authentication(principals, Tokens(KEY, 60), ignore)
    assert door.identify({}, mint=False).answer is None


def test_logins_are_logged_without_passwords(principals):
    principals.add("ann", Role.ADMIN, "right horse")
    lines = []
    door = Authentication(principals, Tokens(KEY, 60), lambda event, **facts: lines.append((event, facts)))
    door.identify(basic("ann", "right horse"))
    for name in ("ann", "eve"):
        with pytest.raises(AuthenticationFailed):
            door.identify(basic(name, "secret"))
    assert lines == [
        ("login", {"principal": "ann"}),
        ("login refused", {"principal": "ann"}),
        ("login refused", {"principal": "eve"}),
    ]
