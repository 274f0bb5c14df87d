"""One floor for many browser tests: every process of the product, a simulated switch, and that switch's own word.

Calls go to numbers of the plan's class 9 (tests/data/esl/README.md): they answer at once and stay, so that an agent who
has lost one call gets the next. Tests come in any order: each takes the conversation it finds, or has it ended.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Browser, expect
from playwright.sync_api import TimeoutError as Late

from dialer.management.commands.seed_demo import set_up_dispositions
from dialer.models import Agent, CallLog, Contact, DialerCampaign, DialerTargetList, ReasonCode
from events import streams
from tests import emptying
from tests.browser.acting import agent_row, menu_of, part, row
from tests.browser.conftest import LAPTOP, Tab
from tests.browser.panel_page import live
from tests.conftest import wait_until
from tests.contract.client import Client, Event
from tests.fakes.console import make_user, session_cookie
from tests.fakes.console_web import answers
from tests.fakes.floor import any_hour
from tests.fakes.processes import Processes

BY = pytest.mark.parametrize("by", ["mouse", "keys"])
# Softphones that are no agent's: of the supervisor, of colleagues, and one that is always busy.
SUPERVISOR, COLLEAGUE, BUSY = "1030", "1031", "1044"
CONFIRMED, APPLIED = "confirmed by the switch", "applied"
SECONDS = 40
# Every text that a command shows, as it is drawn: of each line of the log by its id, in the order of the lines.
RECORDER = """
  window.told = [];
  const lines = new Map();
  function read(line) {
    const id = line.dataset.command || line.id, text = line.querySelector(".what, .said").textContent;
    if (!lines.has(id)) {
      lines.set(id, { about: line.querySelector("b").textContent.trim(), texts: [] });
      told.push(lines.get(id));
    }
    const { texts } = lines.get(id);
    if (text && texts.at(-1) !== text) texts.push(text);
  }
  new MutationObserver(() => document.querySelectorAll("li.command").forEach(read))
    .observe(document, { subtree: true, childList: true, characterData: true });
"""

# What may have kept a key or a click from being taken.
SHOWN = """() => ({
  fresh: document.getElementById("fresh")?.textContent.trim(),
  refused: Array.from(document.querySelectorAll("#refused, .said-here"), (one) => one.textContent.trim()),
  off: Array.from(document.querySelectorAll("[aria-disabled=true]"), (one) => `${one.id}: ${one.dataset.why || ""}`),
  focus: (document.activeElement?.outerHTML || "").slice(0, 200),
  dialog: document.querySelector("dialog[open]")?.id,
  waiting: Array.from(document.querySelectorAll(".waiting"), (one) => one.id),
})"""


class Switch(Client):
    """What the switch itself knows: the commands it has carried out, who is joined to whom, and the log of its legs."""

    log: Path

    def did(self, *words: str) -> Event:
        """It has carried out a command with all these words since `forget`."""

        def found(event: Event) -> bool:
            said = f"{event['Job-Command']} {event.get('Job-Command-Arg') or ''}".split()
            return all(word in said for word in words) and not event.body.startswith("-")

        return self.wait(found, f"the switch does {words}")

    def forget(self) -> None:
        self.events.clear()

    def bridged_to(self, leg: str) -> str:
        return self.api(f"uuid_getvar {leg} bridge_to").strip()

    def joined(self, leg: str, peer: str) -> None:
        wait_until(lambda: (self.bridged_to(leg), self.bridged_to(peer)) == (peer, leg), f"{leg} joined to {peer}")

    def alone(self, leg: str) -> None:
        wait_until(lambda: self.bridged_to(leg) in {"_undef_", ""}, f"{leg} is joined to nobody")
        assert self.api(f"uuid_exists {leg}") == "true"

    def legs(self) -> dict[str, dict[str, Any]]:
        """The log of all legs, each as last written: with `event` "invite" while it lives, then "ended"."""
        lines = map(json.loads, self.log.read_text().splitlines())
        return {line["uuid"]: line for line in lines}

    def ended(self, leg: str) -> dict[str, Any]:
        """The log's entry of a leg that has ended, once it has."""
        return wait_until(lambda: (one := self.legs()[leg])["event"] == "ended" and one, f"{leg} has ended")

    def customers(self, about: str = "") -> list[str]:
        """The numbers of the customers it was told to call, in order."""
        return [leg["number"] for leg in self.legs().values() if leg["kind"] == "customer" and about in leg["number"]]


class Seen:
    """A page with its command log, and what the server has sent to it."""

    def __init__(self, tab: Tab, path: str) -> None:
        self.tab, self.page = tab, tab.page
        self.page.add_init_script(RECORDER)
        tab.open(path)
        live(self.page)

    def does(self, what: Callable[[], Any], about: str, end: str = CONFIRMED) -> list[str]:
        """Do it, and wait until the log says this end. Returns all that the log has said of it, step by step."""
        before = self.page.evaluate("told.length")
        what()
        try:
            self.page.wait_for_function(
                "([n, end]) => told[n] && told[n].texts.at(-1).includes(end)", arg=[before, end], timeout=SECONDS * 1000
            )
        except Late:
            texts, page = self.page.evaluate("n => told.slice(n)", before), self.page.evaluate(SHOWN)
            pytest.fail(f"{about}: not {end!r}, but {texts}; {page}")
        told = self.page.evaluate("n => told[n]", before)
        assert about in told["about"]
        return list(told["texts"])


class Whole:
    """The floor: `board` and `panel(agent)` are opened once and kept."""

    def __init__(self, run: Processes, chromium: Browser, switch: Switch, supervisor: Any) -> None:
        self.run, self.chromium, self.switch = run, chromium, switch
        self.contexts: list[Any] = []
        self.tabs: list[Tab] = []
        self.panels: dict[str, Seen] = {}
        self.board = self.opened(supervisor, "/console/")
        self.page = self.board.page

    def opened(self, user: Any, path: str) -> Seen:
        context = self.chromium.new_context(viewport=LAPTOP)
        self.contexts.append(context)
        base = f"http://127.0.0.1:{self.run.web_port}"
        name, _, value = session_cookie(user).partition("=")
        context.add_cookies([{"name": name, "value": value, "url": base}])
        self.tabs.append(Tab(context.new_page(), base))
        return Seen(self.tabs[-1], path)

    def panel(self, agent_id: str) -> Seen:
        if agent_id not in self.panels:
            agent = Agent.objects.get(agent_id=agent_id)
            self.panels[agent_id] = self.opened(make_user(f"u_{agent_id}", agent=agent), "/console/agent/")
        return self.panels[agent_id]

    def talking(self, agent_id: str) -> CallLog:
        """The agent's conversation, with nothing special about it, once the board shows it on both rows."""
        agent = Agent.objects.get(agent_id=agent_id)

        def plain() -> CallLog | None:
            call = CallLog.objects.filter(agent=agent, ended_at=None, bridged_at__isnull=False).first()
            if call is None or call.operation:
                return None
            special = call.held_at or call.parked_at or call.muted or call.recording != "off"
            if special or call.side_legs.filter(ended_at=None).exists():
                self.hung_up(call)  # left over by a test that has failed
                return None
            near = self.near(call)
            together = (self.switch.bridged_to(call.freeswitch_uuid), self.switch.bridged_to(near))
            return call if together == (near, call.freeswitch_uuid) else None

        call = wait_until(plain, f"a conversation of {agent_id}", SECONDS, every=0.2)
        expect(row(self.page, "call", call.call_id)).to_have_attribute("data-state", "bridged")
        expect(agent_row(self.page, agent).locator(".c-customer")).to_contain_text(call.contact.name)
        self.shows(call, "^customer's leg: talking; agent's leg: talking$")
        self.switch.forget()
        return call

    def shows(self, call: CallLog, words: str) -> None:
        """The board says so of the call: what a key does next depends on it."""
        expect(row(self.page, "call", call.call_id).locator(".c-state")).to_have_attribute(
            "data-tip", re.compile(words)
        )

    @staticmethod
    def near(call: CallLog) -> str:
        return str(call.agent_leg.leg_uuid)

    @staticmethod
    def side(call: CallLog) -> str:
        return str(call.side_legs.order_by("-id")[0].leg_uuid)

    def hung_up(self, call: CallLog) -> None:
        """Not by a person: what a test leaves behind goes."""
        self.switch.api(f"uuid_kill {call.freeswitch_uuid}")
        wait_until(lambda: CallLog.objects.get(pk=call.pk).ended_at, "the end is known")

    def acts(
        self, by: str, call: CallLog, key: str, word: str, more: Callable[[], Any] | None = None, end: str = CONFIRMED
    ) -> list[str]:
        """A supervisor acts on a call: with the mouse by its row's menu, with the key on its agent's row."""
        agent = agent_row(self.page, call.agent)

        def do() -> None:
            if by == "mouse":
                part(menu_of(self.page, row(self.page, "call", call.call_id)), word).click()
            else:
                agent.focus()
                self.page.keyboard.press(key)
            if more is not None:
                more()

        texts = self.board.does(do, call.agent.name, end)
        call.refresh_from_db()
        return texts

    def agrees(self, by: str) -> None:
        if by == "mouse":
            self.page.locator("#sheet").get_by_role("button", name="Yes").click()
        else:
            self.page.keyboard.press("y")

    def chooses(self, by: str, agent: Agent, word: str, end: str = APPLIED) -> list[str]:
        """A supervisor chooses a state for an agent."""

        def do() -> None:
            if by == "mouse":
                part(menu_of(self.page, agent_row(self.page, agent)), word).click()
            else:
                agent_row(self.page, agent).focus()
                self.page.keyboard.press("s")
                digit = part(self.page.locator("#sheet"), word).get_attribute("data-key")
                self.page.keyboard.press(str(digit))

        return self.board.does(do, agent.name, end)


def step_by_step(texts: Sequence[str], end: str = CONFIRMED) -> None:
    """As far as it was drawn: the board draws the latest of each screen frame, and nothing that was not said."""
    steps = ["sending…", "queued", "applied, asking the switch…", CONFIRMED] if end == CONFIRMED else [
        "sending…", "queued", APPLIED
    ]  # fmt: skip
    kept = [
        next(step for step in steps if text == step or (step == "queued" and text.startswith(step))) for text in texts
    ]
    assert kept == sorted(kept, key=steps.index) and kept[-1] == end, texts


def make_line(name: str, numbers: Sequence[str], agents: Sequence[Agent], **fields: Any) -> DialerCampaign:
    contacts = DialerTargetList.objects.create(name=name, total_contacts=len(numbers))
    Contact.objects.bulk_create(
        Contact(
            target_list=contacts, number=number, name=f"{name} {n:03d}", next_attempt_at=timezone.now(), priority=-n
        )
        for n, number in enumerate(numbers)
    )
    pace = {"profile": any_hour(), "wrap_up_seconds": 1, "calls_per_agent_per_hour": 3600, "status": "active"}
    campaign = DialerCampaign.objects.create(name=name, target_list=contacts, **{**pace, **fields})
    campaign.assigned_agents.set(agents)
    return campaign


def _furnish() -> Any:
    """The agents' calls: 1 and 2 for the board, 3 for the panel, 4 dials by hand, 5 and 6 have short calls, 7 and 8
    belong to no campaign. The plan's classes are those of +1 212 55C xxxx alone."""
    ReasonCode.objects.create(code="lunch", label="Lunch", status="break")
    set_up_dispositions()
    agents = [
        Agent.objects.create(agent_id=f"agent_{n}", name=f"Agent {n}", extension=str(1000 + n)) for n in range(1, 9)
    ]
    make_line("Steady", [f"+1212559{n:04d}" for n in range(200)], agents[:3])
    # A preview that runs out while a test presses its key would leave the key without its button.
    hand = {"mode": "preview", "preview_seconds": 900, "allow_manual_dial": True}
    make_line("Hand", [f"+12125595{n:03d}" for n in range(40)], agents[3:4], **hand)
    make_line("Brisk", [f"+1212552{n:04d}" for n in range(400)], agents[4:6])
    for by in ("mouse", "keys"):
        make_line(f"Empty {by}", ["+12125598001"], [], status="paused", max_lines=50)
    DialerCampaign.objects.create(name="Without a list")
    supervisor = make_user("sup", supervisor=True)
    Agent.objects.create(agent_id="sup", name="Sup", extension=SUPERVISOR, user=supervisor)
    return supervisor


@contextmanager
def whole_floor(logs: Path, chromium: Browser, blocker: Any) -> Iterator[Whole]:
    """Everything at work: agents 1 to 4 are, the others are offline. The database and Redis are empty afterwards."""
    with blocker.unblock(), emptying.shared():
        client = streams.connect()
        client.flushdb()
        cache.clear()
        try:
            with Processes(logs, RECORDINGS_DIR=str(logs)) as run:
                run.web()
                # Ringing and its limits at twice the pace; calls of class 9 stay whatever it is.
                run.backend("--speed", "2")
                run.manage("floor", "run_floor_publisher")
                supervisor = _furnish()
                wait_until(lambda: answers(run.web_port), "daphne", SECONDS)
                wait_until(lambda: answers(run.switch_port), "the switch", SECONDS)
                with Switch("127.0.0.1", run.switch_port, "ClueCon") as switch:
                    switch.log = run.invites
                    switch.login().subscribe("json BACKGROUND_JOB")
                    whole = Whole(run, chromium, switch, supervisor)
                    for agent in Agent.objects.filter(agent_id__in=[f"agent_{n}" for n in range(1, 5)]):
                        whole.chooses("mouse", agent, "Available")
                    yield whole
                    for context in whole.contexts:
                        context.close()
                    assert [error for tab in whole.tabs for error in tab.errors] == []
                for name in list(run.running):
                    run.kill(name)  # nothing of theirs is kept: no need to wait for their goodbyes
        finally:
            client.flushdb()
            cache.clear()
            client.close()
