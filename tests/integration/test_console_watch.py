"""From the first look after a change of rights on, no socket is sent a row that its user may not see any more."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connections
from django.utils import timezone

from console import codes, protocol, watch
from console.auth import Identity
from console.consumers import FloorSocket
from console.encodings import Json
from console.floor_state import FloorState
from console.hub import Hub
from console.models import ApiToken
from console.outbox import Client
from console.permissions import SUPERVISORS, actor
from console.rows import AgentRow
from console.watch import Right
from dialer.models import Team
from tests.fakes.console import make_team, make_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True)
TEAMS = ("north", "south", "west")


@pytest.fixture(autouse=True)
async def _no_connection_left() -> AsyncIterator[None]:
    yield
    watch._reader.submit(connections.close_all).result()
    await sync_to_async(connections.close_all)()


class Watched:
    """A hub with frames of three teams' agents, and an open socket of `user`. `version` grows with every frame."""

    def __init__(self, user: User, identity: Identity) -> None:
        self.hub = Hub()
        self.hub.state, self.hub.ready = FloorState(epoch="1.1", seq=0), True
        self.sent: list[str] = []
        self.closed: list[int] = []
        self.version = 0
        consumer = FloorSocket()
        self.client = Client(
            self.hub, Json(), user.pk, self._send, self._close, scope=consumer.scope_of(identity.actor)
        )
        self.client.right = Right(identity, consumer.scope_of)
        self.client.subscribe(self.client.scope)

    async def _send(self, text: str) -> None:
        self.sent.append(text)

    async def _close(self, code: int) -> None:
        self.closed.append(code)

    async def frame(self) -> None:
        self.version += 1
        seq = self.hub.state.seq + 1
        rows = tuple(
            AgentRow(id=team, name="x", extension="1", status="available", team=team, version=self.version)
            for team in TEAMS
        )
        assert self.hub._take(protocol.encode(protocol.Frame(epoch="1.1", seq=seq, at=seq, agents=rows)))
        self.client.follow()
        for _ in range(20):
            await asyncio.sleep(0)

    def shown_since(self, version: int) -> set[str]:
        """Teams of which rows newer than `version` have been sent."""
        rows = [row for text in self.sent for row in msgspec.json.decode(text)["agents"]]
        return {row["team"] for row in rows if row["version"] > version}


def may_see(user: User) -> set[str]:
    """Told from the tables themselves, not by the code that is tested."""
    if user.groups.filter(name=SUPERVISORS).exists():
        return set(TEAMS)
    return set(Team.objects.filter(supervisors=user).values_list("code", flat=True))


def change(user: User, chance: random.Random) -> None:
    """One right more or less; at least one team stays."""
    team = Team.objects.get(code=chance.choice(TEAMS[:2]))
    group = Group.objects.get_or_create(name=SUPERVISORS)[0]
    chance.choice([team.supervisors.add, team.supervisors.remove, group.user_set.add, group.user_set.remove])(user)


@pytest.mark.parametrize("seed", range(3))
async def test_from_the_first_look_after_a_change_on_no_forbidden_row_is_sent(seed):
    chance = random.Random(seed)
    user = await sync_to_async(make_user)("tom")
    for code in TEAMS:
        await sync_to_async(make_team)(code, supervisors=[user] if code == "west" else [])
    token, _ = await sync_to_async(ApiToken.issue)(user)
    told = Watched(user, Identity(await sync_to_async(actor)(user.pk), "token", str(token.pk)))
    narrowed = 0
    for _ in range(25):
        before = await sync_to_async(may_see)(user)
        await sync_to_async(change)(user, chance)
        for _ in range(chance.randint(0, 2)):
            await told.frame()  # what goes out before the look is what the 2 s are for
        looking = asyncio.create_task(watch.check([told.client]))
        if chance.random() < 0.5:
            await told.frame()  # a frame in the middle of the look
        await looking
        last, allowed = told.version, await sync_to_async(may_see)(user)
        for _ in range(3):
            await told.frame()
        assert told.shown_since(last) == allowed
        narrowed += bool(before - allowed)
    assert narrowed >= 3
    await sync_to_async(ApiToken.objects.update)(revoked_at=timezone.now())
    await watch.check([told.client])
    last = told.version
    await told.frame()
    assert told.closed == [codes.CLOSE_SIGNED_OUT] and told.shown_since(last) == set()
    await told.hub._redis.aclose()


async def test_a_wider_part_that_is_asked_for_again_is_cut_down_again_though_no_right_has_changed_since():
    user = await sync_to_async(make_user)("tom")
    await sync_to_async(make_team)("west", supervisors=[user])
    group = (await sync_to_async(Group.objects.get_or_create)(name=SUPERVISORS))[0]
    await sync_to_async(group.user_set.add)(user)
    token, _ = await sync_to_async(ApiToken.issue)(user)
    told = Watched(user, Identity(await sync_to_async(actor)(user.pk), "token", str(token.pk)))
    wide = told.client.scope
    await watch.check([told.client])
    await sync_to_async(group.user_set.remove)(user)
    for _ in range(2):
        told.client.subscribe(wide)  # by rights read before they were taken
        await watch.check([told.client])
        last = told.version
        await told.frame()
        assert told.shown_since(last) == {"west"}
    told.client.gone()
    await told.hub._redis.aclose()


def test_a_look_asks_eight_questions_however_many_are_open(django_assert_num_queries):
    users = [make_user(f"u{n}") for n in range(12)]
    sessions = [signed_in(user) for user in users]
    tokens = [Identity(session.actor, "token", str(ApiToken.issue(user)[0].pk)) for session, user in
              zip(sessions, users, strict=True)]  # fmt: skip
    make_team("north", supervisors=users)
    User.objects.filter(pk=users[0].pk).update(password="another")
    with django_assert_num_queries(8):
        present, valid = watch._rights_of([*sessions, *tokens])
    assert len(present) == 12 and valid == [False, *[True] * 23]


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_look_begins_every_half_second_whatever_the_last_one_took_or_came_to(monkeypatch):
    clock, began = Clock(), []
    takes: list[Any] = [0.1, 0.4, DatabaseError("away"), 0.9, ValueError("odd"), 0.0]

    async def look(clients: list[Client]) -> None:
        began.append(round(clock.now - 100, 3))
        if not takes:
            raise asyncio.CancelledError
        took = takes.pop(0)
        if isinstance(took, Exception):
            raise took
        await clock.sleep(took)

    monkeypatch.setattr(watch, "check", look)
    monkeypatch.setattr(watch, "time", clock)
    monkeypatch.setattr(watch, "asyncio", clock)
    with pytest.raises(asyncio.CancelledError):
        await watch.rights(set())
    assert began == [0.0, 0.5, 1.0, 1.5, 2.4, 2.9, 3.4]
