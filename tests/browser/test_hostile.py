"""Two hundred texts that callers, lists, carriers and colleagues may have written, in every place where a page shows
them: no script runs, nothing is asked of any host, the text is there as it was written and stays within its box.
"""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from console.rows import AlertRow, Decision, LastCall, Listener, Note, Pending
from dialer.models import (
    Agent,
    AgentState,
    AuditEntry,
    CallLog,
    Contact,
    DialerCampaign,
    DialerTargetList,
    Disposition,
    DispositionChange,
    PacingDecision,
)
from tests.browser.conftest import PHONE
from tests.browser.panel_page import live
from tests.fakes.console import make_user
from tests.fakes.floor import make_agents, make_campaign
from tests.fakes.hostile import HOSTILE, storable
from tests.fakes.told import telling

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("switch"), pytest.mark.slow,
    pytest.mark.timeout(240),
]  # fmt: skip
KEYS = [f"k{n}" for n in range(len(HOSTILE))]
STORED = [storable(text) for text in HOSTILE]

# Boxes out of which no text may hang, whatever of it an element in between does not cut off. Thousands of texts stand
# in the same boxes: each element is measured once.
SPILLS = """() => {
  const boxes = "td, th, li, dd, dialog, button, h1, .panel, .kpis, header.top, section, main, body";
  const edges = new Map(), windows = new Map();
  const once = (known, one, find) => { if (!known.has(one)) known.set(one, find(one)); return known.get(one); };
  const edge = (one) => once(edges, one, () => one.getBoundingClientRect());
  // From where to where one sees what stands in the element.
  const seen = (one) => !one ? [-Infinity, Infinity] : once(windows, one, () => {
    const [left, right] = seen(one.parentElement);
    if (getComputedStyle(one).overflowX === "visible") return [left, right];
    return [Math.max(left, edge(one).left), Math.min(right, edge(one).right)];
  });
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
  const found = [];
  for (let node = walk.nextNode(); node && found.length < 5; node = walk.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility({ visibilityProperty: true }) || parent.closest("svg")) continue;
    range.selectNodeContents(node);
    const at = range.getBoundingClientRect(), [from, to] = seen(parent), box = parent.closest(boxes);
    const left = Math.max(at.left, from), right = Math.min(at.right, to);
    if (right > left && (left < edge(box).left - 1 || right > edge(box).right + 1)) {
      found.push(`${box.tagName}.${box.className} ${node.data.slice(0, 40)} ${left}-${right}`);
    }
  }
  return found;
}"""
# What makes the page wider than the screen, if it is: the elements that reach beyond it.
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 30)}`).slice(0, 8)"""
# Elements and attributes that none of the console's own markup has.
STRANGE = (
    "iframe, object, embed, marquee, base, plaintext, xmp, math, foreignObject, animate, main style, main img,"
    " dialog img, main script, dialog script, [onerror], [onload], [onfocus], [onmouseover], [onclick],"
    " [hx-on\\:click], [hx-delete], [hx-post^='/logout'], [href^='javascript:' i],"
    " [href^='data:' i], [src^='data:' i], [srcdoc]"
)

ODD = """(page, strange) => [...page.querySelectorAll(strange)].map((one) => one.outerHTML.slice(0, 90))"""


@pytest.fixture
def watched(tab: Any) -> Callable[..., Page]:
    """`watched(user, path)`: a page that notes questions to other hosts and dialogs; scripts that ran, see `sound`."""

    def opened(user: Any, path: str, **options: Any) -> Page:
        made = tab(user, **options)
        page = made.page
        page.on("dialog", lambda dialog: made.errors.append(f"a dialog: {dialog.message}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(made.base) else made.errors.append(f"asked {asked.url}"),
        )
        return made.open(path)

    return opened


def sound(page: Page) -> None:
    ran, strange, wide, spills = page.evaluate(
        f"strange => [window.hacked, ({ODD})(document, strange), ({WIDE})(), ({SPILLS})()]", STRANGE
    )
    assert ran is None
    assert strange == []
    assert wide == []
    assert spills == []


def shown(page: Page, where: str, texts: list[str]) -> None:
    """Each text is among those of the elements, as it was written but for white space."""
    found = page.locator(where).evaluate_all("all => all.map((one) => one.textContent)")
    plain = ["".join(text.split()) for text in found]
    missing = [text for text in texts if not any("".join(text.split()) in one for one in plain)]
    assert missing == []


def ms(seconds_ago: float = 0) -> int:
    return int((time.time() - seconds_ago) * 1000)


@pytest.mark.parametrize("shape", ["", "?as=cards", "?view=wall"], ids=["table", "cards", "wall"])
def test_the_board_shows_them_all_as_text(watched, shape):
    user = make_user("sup", supervisor=True)
    with telling() as told:
        page = watched(user, f"/console/{shape}")
        live(page)
        campaigns, agents, calls, alerts = [], [], [], []
        for key, text in zip(KEYS, HOSTILE, strict=True):
            decision = Decision(at=ms(5), placed=0, reason=text, summary=text)
            campaigns.append(told.made("campaigns", key, name=text, status="active", decision=decision))
            agents.append(
                told.made(
                    "agents", key, name=text, extension="101", status="break", reason=text, since=ms(60), team=key,
                    team_name=text, campaigns=(key,), campaign_id=key, call_id=key, listeners=(Listener(user=text),),
                    note=Note(id=key, sender=text, text=text, at=ms()), pending=Pending(status="break", reason=text),
                    last_call=LastCall(id=key, contact=text, label=text, disposition=text),
                )
            )  # fmt: skip
            calls.append(
                told.made(
                    "calls", key, campaign_id=key, agent_id=key, contact=text, number=text, state="bridged",
                    since=ms(60), started=ms(60), cause=text, consulting=text, taken_over_by=text, team=key,
                    listeners=(Listener(user=text),), status="answered", direction=text,
                )
            )  # fmt: skip
            alerts.append(
                AlertRow(
                    id=key, threshold=text, level="warning", subject_kind="agent", subject_id=key, text=text,
                    raised_at=ms(60), state="acknowledged", owner=text,
                )
            )  # fmt: skip
        told.frame(campaigns=tuple(campaigns), agents=tuple(agents), calls=tuple(calls), alerts=tuple(alerts))
        expect(page.locator("#agents tbody tr")).to_have_count(len(KEYS))
        expect(page.locator("#calls tbody tr")).to_have_count(len(KEYS))
        shown(page, "#agents tbody .c-name", HOSTILE)
        shown(page, "#calls tbody .c-who", HOSTILE)
        shown(page, "#campaigns tbody .c-name", HOSTILE)
        shown(page, ".alert-items li", HOSTILE)
        sound(page)
        if not shape:
            page.locator("#alerts-toggle").click()
            # Every tenth row, others for each kind.
            for start, kind in enumerate(("agent", "call", "campaign")):
                read = page.evaluate(MENUS, [kind, KEYS[start::10]])
                wanted = HOSTILE[start::10]
                pairs = [("".join(text.split()), "".join(one.split())) for text, one in zip(wanted, read, strict=True)]
                assert [text for text, one in pairs if text not in one] == []
            page.locator('tr[data-agent="k1"] button[data-menu]').click()
            sound(page)
            page.keyboard.press("Escape")
            page.set_viewport_size(PHONE)
            sound(page)


# Opens the menus of these rows and says what each reads. The floor behind is not drawn meanwhile: each opening and
# closing would lay its hundreds of rows out anew.
MENUS = """async ([kind, keys]) => {
  const read = [], sheet = document.getElementById("sheet"), behind = document.querySelector("main").style;
  behind.display = "none";
  for (const key of keys) {
    document.querySelector(`tr[data-${kind}="${key}"] button[data-menu]`).click();
    read.push(sheet.open ? sheet.textContent : "not open");
    const closed = new Promise((done) => sheet.addEventListener("close", done, { once: true }));
    sheet.close();
    await closed;
  }
  behind.display = "";
  return read;
}"""


def test_the_panel_shows_them_all_as_text(watched):
    agent = make_agents(1)[0]
    make_user("ann", agent=agent)
    campaign = make_campaign([agent], contacts=1)
    call, _ = whole_call(campaign, agent)
    Agent.objects.filter(pk=agent.pk).update(last_call=call, status="on_call")
    DialerCampaign.objects.update(script="\n".join(["Hello {name}", *STORED]))
    key, campaign_id = str(call.call_id), str(campaign.campaign_id)
    with telling() as told:
        told.campaign(campaign_id, name=HOSTILE[0], status="active")
        told.agent(
            agent.agent_id, name=agent.name, extension=agent.extension, status="on_call", since=ms(9), call_id=key,
            campaigns=(campaign_id,), softphone="open",
        )  # fmt: skip
        told.call(
            key, campaign_id=campaign_id, agent_id=agent.agent_id, contact="Grace", number="1", state="bridged",
            since=ms(9), bridged_at=ms(9), status="answered",
        )  # fmt: skip
        page = watched(agent.user, "/console/agent/", viewport=PHONE)
        live(page)
        expect(page.locator("#record")).to_be_visible()
        shown(page, "#record", STORED)
        sound(page)
        # Each text is in each place once; the last place of a frame tells that it has been drawn.
        for n, text in enumerate(HOSTILE):
            told.call(
                key, contact=text, listeners=(Listener(user=text),), consulting=text[:40], taken_over_by=text,
                cause=text,
            )  # fmt: skip
            told.agent(
                agent.agent_id, reason=text, pending=Pending(status="break", reason=text),
                note=Note(id=f"n{n}", sender=text, text=f"note {n}: {text}", at=1),
                last_call=LastCall(id=key, contact=text, label=text, disposition=text),
            )  # fmt: skip
            if n % 8 == 0:
                expect(page.locator("#mynote")).to_contain_text(f"note {n}:")
                shown(page, "#mynote", [f"note {n}: {storable(text)}"])
                sound(page)
        expect(page.locator("#mynote")).to_contain_text(f"note {len(HOSTILE) - 1}:")
        sound(page)


def whole_call(
    campaign: DialerCampaign, agent: Agent, texts: list[str] = STORED, at: int = 0
) -> tuple[CallLog, Contact]:
    """A call of the list's contact `at`, which both have these texts in every field that shows one."""
    now = timezone.now()
    contact = campaign.target_list.contacts.order_by("pk")[at]
    contact.name, contact.custom_fields = texts[1][:200], dict(zip(texts, texts, strict=True))
    contact.save()
    given = [
        Disposition(code=f"code-{at}-{n}", label=text[:80] or "-", is_contact=True) for n, text in enumerate(texts)
    ]  # fmt: skip
    Disposition.objects.bulk_create(given)
    decision = PacingDecision.objects.create(
        campaign=campaign, decided_at=now, last_at=now, binding_reason="price", placed=1, summary=texts[0][:300],
        inputs=dict(zip(texts, texts, strict=True)),
    )  # fmt: skip
    calls = [
        CallLog(
            freeswitch_uuid=f"leg-{at}-{n}", to_number=contact.number, contact=contact, campaign=campaign, agent=agent,
            status="failed", outcome="failed", disconnect_reason=text[:64],
            initiated_at=now - dt.timedelta(milliseconds=n), ended_at=now,
            disposition=given[n], disposition_notes=text, disposed_at=now, disposed_by=text[:150],
            decision=decision,
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    CallLog.objects.bulk_create(calls)
    DispositionChange.objects.bulk_create(
        DispositionChange(call=calls[0], disposition=given[n], notes=text, by=text[:150], at=now)
        for n, text in enumerate(texts)
    )
    return CallLog.objects.get(freeswitch_uuid=f"leg-{at}-0"), contact


def test_the_pages_show_them_all_as_text(watched):
    user = make_user("root", is_staff=True, is_superuser=True)
    agents = make_agents(len(STORED))
    for agent, text in zip(agents, STORED, strict=True):
        agent.name = text[:120]
    Agent.objects.bulk_update(agents, ["name"])
    # A page shows at most so many of one thing: each call and its contact have a part of the texts.
    parts = [STORED[n : n + 50] for n in range(0, len(STORED), 50)]
    campaign = make_campaign(agents[:1], contacts=len(parts))
    made = [whole_call(campaign, agents[0], part, at) for at, part in enumerate(parts)]
    # A contact's page weighs the gates of each campaign that calls its list: of every tenth.
    other = DialerTargetList.objects.create(name="another list")
    DialerCampaign.objects.bulk_create(
        DialerCampaign(
            name=f"{n} {text}"[:150], target_list=other if n % 10 else campaign.target_list, profile=campaign.profile
        )
        for n, text in enumerate(STORED)
    )
    now = timezone.now()
    PacingDecision.objects.bulk_create(
        PacingDecision(
            campaign=campaign, decided_at=now, last_at=now, binding_reason="price", placed=1, summary=text[:300]
        )
        for text in STORED
    )
    AuditEntry.objects.bulk_create(
        AuditEntry(at=now, actor=text[:150], action=text[:60], target_kind="agent", target=text[:100],
                   reason=text[:300], details={text[:40] or "-": text}, via=text[:60], page=text[:200])
        for text in STORED
    )  # fmt: skip
    AgentState.objects.bulk_create(
        AgentState(agent=agents[0], state="break", reason=text[:100], timestamp=now, metadata={"by": text})
        for text in STORED
    )
    page = watched(user, "/console/calls/")
    base = page.url.split("/console")[0]
    cut = [text[:60] for text in STORED]
    for address, where, texts in (
        ("/console/calls/", "select[name=agent]", cut),
        ("/console/calls/", "select[name=campaign]", cut),
        (f"/console/agents/{agents[0].agent_id}/?day={now:%Y-%m-%d}", "main", cut),
        ("/console/decisions/", "main", cut[-20:]),
        ("/console/audit/", "main", [text[:40] for text in STORED[-20:]]),
        (f"/console/why/contacts/{made[0][1].pk}/", "main", []),
        ("/admin/dialer/agent/", "#result_list", cut[:20]),
        ("/admin/", "#content", []),
        *(
            (address, "main", [text[:60] for text in part])
            for (call, contact), part in zip(made, parts, strict=True)
            for address in (
                f"/console/calls/{call.call_id}/", f"/console/contacts/{contact.pk}/",
                f"/console/decisions/{call.decision_id}/",
            )
        ),
    ):  # fmt: skip
        page.goto(base + address)
        shown(page, where, texts)
        for size in (PHONE, {"width": 1366, "height": 768}):
            page.set_viewport_size(size)
            if not address.startswith("/admin/"):
                sound(page)
            assert page.evaluate("window.hacked") is None


# What the search answers each of these texts, read as a page but not shown: the strange elements of it, and whether it
# says the text back.
ASKED = """async ([texts, strange]) => {
  const form = document.getElementById("q").form, answers = [], plain = (text) => text.replace(/\\s/g, "");
  for (const text of texts) {
    const asked = new FormData(form);
    asked.set("q", text);
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(asked) });
    const read = new DOMParser().parseFromString(await answer.text(), "text/html");
    const said = plain(read.getElementById("q").getAttribute("value")) === plain(text);
    answers.push([answer.status, said, (ODD)(read, strange)]);
  }
  return answers;
}""".replace("ODD", ODD)


def test_what_is_looked_for_is_said_back_as_text(watched):
    user = make_user("sup", supervisor=True)
    page = watched(user, "/console/search")
    texts = [text[:100] for text in STORED if text.strip()]
    ask = "text => { const box = document.getElementById('q'); box.value = text; box.form.submit(); }"
    for text in texts[::20]:
        with page.expect_navigation():
            page.evaluate(ask, text)
        sound(page)
    others = texts[1::4]
    for text, answer in zip(others, page.evaluate(ASKED, [others, STRANGE]), strict=True):
        assert answer == [200, True, []], text
