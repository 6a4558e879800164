import time
from dataclasses import replace

import jwt
import pytest

from scoter.catalog.principals import Principal, Role
from scoter.engine.context import Context
from scoter.errors import AuthenticationFailed, TooManySessions
from scoter.server.sessions import Sessions, state_of
from scoter.server.tally import Tally
from scoter.server.tokens import Tokens, new_session_id

ANN = Principal("ann", Role.WRITER)
DEFAULT = Context(ANN, "lake", "main")
CHANGED = replace(DEFAULT, schema="sales", timezone="Europe/Paris")


def test_an_untouched_session_is_not_kept():
    sessions = Sessions(10, 10, 60, Tally())
    for _ in range(100):
        assert sessions.get(new_session_id(), 0, None, DEFAULT).context == DEFAULT
    assert len(sessions) == 0


def test_a_change_is_seen_by_the_next_call_whatever_token_it_brings():
    sessions = Sessions(10, 10, 60, Tally())
    version = sessions.change("s", 0, CHANGED)
    assert sessions.get("s", 0, None, DEFAULT).context == CHANGED
    assert sessions.get("s", version, state_of(CHANGED), DEFAULT).context == CHANGED
    assert sessions.get("other", 0, None, DEFAULT).context == DEFAULT


def test_a_principal_whose_role_changed_acts_in_the_new_role():
    sessions = Sessions(10, 10, 60, Tally())
    sessions.change("s", 0, CHANGED)
    demoted = replace(DEFAULT, principal=Principal("ann", Role.READER))
    assert sessions.get("s", 0, None, demoted).context == replace(CHANGED, principal=demoted.principal)


def test_another_server_goes_on_from_the_token():
    first, second = Sessions(10, 10, 60, Tally()), Sessions(10, 10, 60, Tally())
    version = first.change("s", 0, CHANGED)
    held = second.get("s", version, state_of(CHANGED), DEFAULT)
    assert held.context == CHANGED
    newest = second.change("s", held.version, replace(CHANGED, schema="other"))
    assert newest > version
    # The first server's state is older than what the token brings now.
    token_state = state_of(replace(CHANGED, schema="other"))
    assert first.get("s", newest, token_state, DEFAULT).context.schema == "other"


def test_a_dropped_session_never_falls_back_silently():
    sessions = Sessions(2, 10, 60, Tally())
    version = sessions.change("s", 0, CHANGED)
    sessions.change("t", 0, CHANGED)
    sessions.change("u", 0, CHANGED)
    assert len(sessions) == 2
    with pytest.raises(AuthenticationFailed, match="has ended"):
        sessions.get("s", 0, None, DEFAULT)
    assert sessions.get("s", version, state_of(CHANGED), DEFAULT).context == CHANGED


def test_idle_sessions_end():
    sessions = Sessions(10, 10, 0.05, Tally())
    sessions.change("s", 0, CHANGED)
    time.sleep(0.1)
    with pytest.raises(AuthenticationFailed):
        sessions.get("s", 0, None, DEFAULT)
    sessions.change("t", 0, CHANGED)
    time.sleep(0.1)
    sessions.change("u", 0, CHANGED)
    assert len(sessions) == 1


def test_a_closed_session_stays_closed():
    sessions = Sessions(10, 10, 60, Tally())
    version = sessions.change("s", 0, CHANGED)
    sessions.close("s")
    for claimed in (0, version, version + 5):
        with pytest.raises(AuthenticationFailed):
            sessions.get("s", claimed, state_of(CHANGED), DEFAULT)


def test_a_token_holds_who_and_what():
    tokens = Tokens(b"k" * 32, 60)
    claims = tokens.read(tokens.mint("ann", 7, "s", 3, state_of(CHANGED)))
    assert claims is not None
    assert (claims.principal, claims.generation, claims.session, claims.version) == ("ann", 7, "s", 3)
    assert claims.state == state_of(CHANGED)
    assert 50 < claims.expires - time.time() <= 60
    assert not tokens.is_old(claims)


def test_tokens_of_others_are_not_read():
    tokens = Tokens(b"k" * 32, 60)
    good = tokens.mint("ann", 7, "s")
    assert Tokens(b"j" * 32, 60).read(good) is None
    payload = jwt.decode(good, options={"verify_signature": False})
    unsigned = jwt.encode(payload, None, algorithm="none")
    assert tokens.read(unsigned) is None
    assert tokens.read(good[:-2]) is None
    assert tokens.read("") is None
    assert tokens.read(good) is not None


def test_a_token_past_half_its_life_is_due_for_a_new_one():
    tokens = Tokens(b"k" * 32, 1)
    claims = tokens.read(tokens.mint("ann", 7, "s"))
    assert claims is not None
    time.sleep(0.6)
    assert tokens.is_old(claims)


def test_a_user_has_so_many_sessions_and_no_more():
    tally = Tally()
    sessions = Sessions(10, 2, 60, tally)
    bob = replace(DEFAULT, principal=Principal("bob", Role.READER))
    for name in ("s", "t"):
        sessions.change(name, 0, CHANGED)
    sessions.change("s", 1, CHANGED)
    with pytest.raises(TooManySessions, match="has 2 sessions"):
        sessions.change("u", 0, CHANGED)
    sessions.change("v", 0, bob)
    sessions.close("s")
    sessions.change("u", 0, CHANGED)
    assert len(sessions) == 3
    assert tally.totals() == {"sessions_closed": 1, "sessions_refused": 1}


def test_idle_sessions_make_room_for_their_user():
    sessions = Sessions(10, 1, 0.05, Tally())
    sessions.change("s", 0, CHANGED)
    time.sleep(0.1)
    sessions.change("t", 0, CHANGED)
    with pytest.raises(TooManySessions):
        sessions.change("u", 0, CHANGED)
