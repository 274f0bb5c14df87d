"""What the switch says of softphones that come and go, and what our reading makes of it."""

from __future__ import annotations

from collections.abc import Callable

from events import facts
from tests.contract.conftest import Switch
from tests.fakes import captures

Simulated = Callable[..., Switch]
EVENTS = "json CUSTOM sofia::register sofia::unregister sofia::expire"


def heard(client, subclass: str) -> facts.SoftphoneRegistration:
    event = client.wait(lambda e: e.get("Event-Subclass") == subclass, subclass)
    [fact] = facts.facts_of(dict(event.pairs))
    assert isinstance(fact, facts.SoftphoneRegistration)
    return fact


def test_a_telephone_that_leaves_cannot_be_called_until_it_is_back(simulated: Simulated) -> None:
    with simulated(register=0).connect() as client:
        client.login().subscribe(EVENTS)
        assert client.api("simulator unregister 1001") == "+OK\n"
        gone = heard(client, "sofia::unregister")
        assert (gone.user, gone.registered) == ("1001", False)
        assert client.api("originate user/1001 &park()") == "-ERR USER_NOT_REGISTERED\n"
        assert client.api("sofia_contact */1001@127.0.0.1") == "error/user_not_registered"
        assert client.api("simulator register 1001") == "+OK\n"
        back = heard(client, "sofia::register")
        assert (back.user, back.registered) == ("1001", True) and back.registration != gone.registration
        assert client.api("originate user/1001 &park()").startswith("+OK ")


def test_a_flushed_registration_expires_and_comes_back_by_itself(simulated: Simulated) -> None:
    with simulated(register=0.3).connect() as client:
        client.login().subscribe(EVENTS)
        client.api("sofia profile internal flush_inbound_reg 1002@127.0.0.1")
        gone = heard(client, "sofia::expire")
        assert (gone.user, gone.registered) == ("1002", False)
        client.wait(
            lambda e: e.get("Event-Subclass") == "sofia::register" and e.get("from-user") == "1002", "it is back"
        )


def test_the_simulator_registers_with_the_headers_of_the_real_one(simulated: Simulated) -> None:
    told = (event for name in captures.NAMES for event in captures.events(name))
    real = next(event for event in told if event.get("Event-Subclass") == "sofia::register")
    [fact] = facts.facts_of(real)
    assert isinstance(fact, facts.SoftphoneRegistration)
    assert (fact.user, fact.registered, bool(fact.registration)) == (real["from-user"], True, True)
    with simulated(register=0.2).connect() as client:
        client.login().subscribe(EVENTS)
        event = client.wait(lambda e: e.get("Event-Subclass") == "sofia::register", "a registration")
        # What follows are the variables of that installation's directory.
        names = [name for name, _ in event.pairs]
        assert [name for name in real if name in names] == names
