"""The board at size, in a real browser: `python -m tests.bench.board --seconds 90`, or `--minutes 10`.

So many agents and live calls in PostgreSQL, so many switch events a second as the ingest announces them, the real floor
publisher, daphne and Chromium. Printed: from the switch's time of a leg's new state to the painted frame, what the
page's main thread did (its own processor time, from a trace of the first 30 s), its blocks, the page's heap and nodes
after a collection each minute, what a drawing writes. Exit 1 when a task took 50 ms or longer of the main thread's own
processor time, the page shows another state than the floor, has stopped being live, or its heap or its nodes were still
growing in the second half of a run of six minutes or more. Blocks by the wall clock are printed beside it: on a
machine that others use they tell of the machine.

Beside servers of its own (`python -m orchestrator.stack servers --data var/bench -- python -m tests.bench.board`).
"""

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from tests.bench import product
from tests.bench.spread import spread

BLOCK_MS = 50
# When no call has changed for so long, the last change told has come.
QUIET_MS = 2_000
# A trace of more would not fit the browser's memory.
TRACED_SECONDS = 30
MINUTE = 60.0
# The second half's mean over the first's, without the first two minutes: the page has not drawn all it draws by then.
FLAT = 1.05
TRACE = ("devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel")
# Trace events by what the main thread was busy with; what is in none of them is "other".
WORK = {
    "script": ("EvaluateScript", "FunctionCall", "FireAnimationFrame", "TimerFire", "RunMicrotasks", "EventDispatch"),
    "style": ("UpdateLayoutTree",),
    "layout": ("Layout",),
    "paint": ("PrePaint", "Paint", "Layerize", "Commit", "UpdateLayer"),
    "collection": ("MinorGC", "MajorGC"),
}
# What the ingest writes at once.
BATCH_SECONDS = 0.02
# A leg goes round these; every other step keeps the customer with an agent.
LIVES = (("bridged", "held"), ("alerting", "answered", "bridged"))
MEASURE = """async () => {
  const { ctx } = await import("/static/console/board/main.js");
  const found = window.found = { waits: [], blocks: [], frames: 0, draws: 0, written: 0, wrong: 0, open: false, last: 0 };
  new PerformanceObserver((list) => { for (const one of list.getEntries()) found.blocks.push(one.duration); }).observe({ type: "longtask" });
  new MutationObserver((list) => { found.written += list.length; })
    .observe(document.getElementById("board"), { subtree: true, childList: true, characterData: true, attributes: true });
  const known = new Map();
  ctx.link.on("frame", () => { found.frames += 1; });
  // Of a long table only the rows near the screen are in the page; those are to be true at once.
  const wrong = window.wrong = () => [...document.querySelectorAll("#calls tbody tr")].filter(({ dataset }) => {
    const row = ctx.floor.calls.get(dataset.call);
    return dataset.state !== (row && (row.waiting_since === null ? row.state : "waiting"));
  }).length;
  ctx.onDraw((changed) => {
    found.draws += 1;
    found.wrong += wrong();
    const since = [];
    if (changed.calls.size) found.last = performance.now();
    for (const id of changed.calls) {
      const row = ctx.floor.calls.get(id);
      if (!row || known.get(id) === row.since) continue;
      known.set(id, row.since);
      if (document.querySelector(`#calls tr[data-call="${id}"]`)) since.push(row.since);
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { const now = Date.now(); for (const at of since) found.waits.push(now - at); port1.close(); };
    if (found.open) port2.postMessage(null);
  });
}"""  # noqa: E501
# From the top to the end, a screen at a time: every row comes into the page and says what the floor says.
WALK = """async () => {
  const { ctx } = await import("/static/console/board/main.js");
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const walked = { wrong: 0 };
  for (const [table, kind] of [["agents", "agent"], ["calls", "call"]]) {
    const box = document.getElementById(table), seen = new Set();
    for (let top = 0, last = -1; top !== last;) {
      box.scrollTop = top;
      await frame();
      for (const { dataset } of box.tBodies[0].rows) seen.add(dataset[kind]);
      walked.wrong += wrong();
      last = top;
      top = Math.min(top + box.clientHeight, box.scrollHeight - box.clientHeight);
    }
    walked[table] = [...ctx.floor[table].keys()].filter((id) => !seen.has(id)).length;
  }
  return walked;
}"""


def main() -> int:
    options = _options()
    with product.floor(options.logs) as folder:
        return _run(options, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=300)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--events", type=int, default=1000, help="a second")
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--minutes", type=float, help="instead of --seconds")
    parser.add_argument("--as", dest="shape", choices=["table", "cards"], default="table")
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this folder")
    options = parser.parse_args()
    options.seconds = 60 * options.minutes if options.minutes else options.seconds
    return options


def _run(options: argparse.Namespace, folder: Path) -> int:
    # Playwright keeps a loop in this thread; nothing runs in it but the browser's own messages.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, LAPTOP, executable
    from tests.conftest import wait_until
    from tests.fakes.console import make_user, session_cookie
    from tests.fakes.console_web import answers
    from tests.fakes.processes import Processes

    calls = floor_of(options.agents, options.calls)
    name, _, value = session_cookie(make_user("sup", supervisor=True)).partition("=")
    feed = Feed(calls, options.events)
    with Processes(folder) as run, sync_playwright() as playwright, feed:
        run.manage("floor", "run_floor_publisher")
        run.web()
        wait_until(lambda: answers(run.web_port), "daphne")
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        context = browser.new_context(viewport=LAPTOP)
        base = f"http://127.0.0.1:{run.web_port}"
        context.add_cookies([{"name": name, "value": value, "url": base}])
        page = context.new_page()
        page.goto(f"{base}/console/?as={options.shape}")
        page.wait_for_selector("#fresh[data-state=live]", timeout=30_000)
        page.wait_for_function(f"document.getElementById('shown').textContent === '{options.agents}'")
        page.evaluate(MEASURE)
        feed.flowing.set()
        time.sleep(3)  # the first second's compilation is not what lasts
        page.evaluate(
            "() => { found.blocks.length = found.written = found.draws = found.frames = 0; found.open = true; }"
        )
        tools = context.new_cdp_session(page)
        tools.send("Performance.enable", {"timeDomain": "threadTicks"})
        heaps, before = [_heap(tools)], _processor(tools)
        told, began = feed.told, time.monotonic()
        browser.start_tracing(page=page, categories=list(TRACE))
        time.sleep(min(TRACED_SECONDS, options.seconds))
        trace = json.loads(browser.stop_tracing())["traceEvents"]
        while (left := options.seconds - (time.monotonic() - began)) > 0:
            time.sleep(min(left, max(0.1, len(heaps) * MINUTE - (time.monotonic() - began))))
            if left > MINUTE / 2:
                heaps.append(_heap(tools))
        told, seconds = feed.told - told, time.monotonic() - began
        found = page.evaluate("found")
        found["busy"] = _processor(tools) - before
        found |= {"heaps": [*heaps, _heap(tools)], "state": page.get_attribute("#fresh", "data-state")}
        feed.flowing.clear()
        wait_until(lambda: page.evaluate("performance.now() - found.last") > QUIET_MS, "the last states")
        found["walked"] = page.evaluate(WALK) if options.shape == "table" else {"wrong": 0, "agents": 0, "calls": 0}
        browser.close()
    return _judge(options, found, _work(trace), told / seconds, seconds)


def _heap(tools: Any) -> tuple[int, int]:
    """Bytes and DOM nodes after a collection."""
    tools.send("HeapProfiler.collectGarbage")
    return int(tools.send("Runtime.getHeapUsage")["usedSize"]), int(tools.send("Memory.getDOMCounters")["nodes"])


def _processor(tools: Any) -> float:
    """Seconds of the main thread's own processor time."""
    found = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def _work(trace: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the page's main thread: ms of its own processor time by kind of work, `tasks` as (processor, wall) in ms."""
    threads = [
        (one["pid"], one["tid"])
        for one in trace
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    ]
    busy = {key: [one for one in trace if (one["pid"], one["tid"]) == key and one.get("ph") == "X"] for key in threads}
    # Chromium keeps a renderer in reserve: the board's is the one that lays out.
    spans = max(busy.values(), key=lambda found: sum(one["name"] == "Layout" for one in found), default=[])
    kinds = {name: kind for kind, names in WORK.items() for name in names}
    work, open_spans = dict.fromkeys((*WORK, "other"), 0.0), []
    for one in sorted(spans, key=lambda span: (span["ts"], -span.get("dur", 0))):
        while open_spans and open_spans[-1][0] <= one["ts"]:
            open_spans.pop()
        outer = open_spans[-1][1] if open_spans else "other"
        kind = kinds.get(one["name"], outer)
        spent = one.get("tdur", 0) / 1000
        work[kind] += spent
        if open_spans:
            work[outer] -= spent
        open_spans.append((one["ts"] + one.get("dur", 0), kind))
    tasks = [(one.get("tdur", 0) / 1000, one.get("dur", 0) / 1000) for one in spans if one["name"] == "RunTask"]
    return {"work": work, "tasks": tasks}


def floor_of(agent_count: int, call_count: int) -> list[Any]:
    """So many agents at work in two campaigns, and their open calls."""
    from django.utils import timezone

    from dialer.models import Agent, CallLog, Contact
    from tests.fakes.floor import make_agents, make_campaign

    agents = make_agents(agent_count)
    half = len(agents) // 2
    campaigns = [
        make_campaign(agents[:half], contacts=call_count, name="Spring"),
        make_campaign(agents[half:], contacts=call_count, name="Autumn", offset=5_000),
    ]
    Agent.objects.update(status="on_call", status_since=timezone.now(), version=1)
    calls = []
    contacts = [list(Contact.objects.filter(target_list=one.target_list)) for one in campaigns]
    for n, agent in zip(range(call_count), itertools.cycle(agents)):
        key, which = uuid.uuid4(), 0 if agent in agents[:half] else 1
        calls.append(
            CallLog(
                call_id=key,
                freeswitch_uuid=str(key),
                to_number=f"+1212555{n:04d}",
                agent=agent,
                status="initiated",
                campaign=campaigns[which],
                contact=contacts[which][n],
                initiated_at=timezone.now(),
                version=1,
            )
        )
    return list(CallLog.objects.bulk_create(calls))


class Feed:
    """Tells the floor of legs and agents as the ingest and the dialer do, at a steady rate, from its own thread."""

    def __init__(self, calls: list[Any], rate: int) -> None:
        from dialer import floor_rows
        from events import streams

        self.redis, self.streams, self.rate = streams.connect(), streams, rate
        self.agents = floor_rows.agent_rows()
        self.legs = [str(call.call_id) for call in calls]
        self.lives = {key: itertools.cycle(LIVES[n % 3 == 0]) for n, key in enumerate(self.legs)}
        self.told = 0
        self.flowing, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed")

    def __enter__(self) -> "Feed":
        self._beat()
        for key in self.legs:
            self.redis.hset(self.streams.LIVE_LEGS, key, json.dumps(self._leg(key)))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        chance, due, next_beat = random.Random(7), time.monotonic(), 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + 1
                self._beat()
            if not self.flowing.is_set():
                due = now
            events = int((now - due) * self.rate)
            if events:
                due += events / self.rate
                self._tell(chance, events)
            self._stop.wait(BATCH_SECONDS)

    def _tell(self, chance: random.Random, events: int) -> None:
        pipe = self.redis.pipeline(transaction=False)
        for _ in range(events):
            # Four in five of the switch's events are of customers' legs; the others change an agent.
            if chance.random() < 0.8:
                key = chance.choice(self.legs)
                leg = self._leg(key)
                pipe.hset(self.streams.LIVE_LEGS, key, json.dumps(leg))
                change = {"kind": "leg", "id": key, "data": leg}
            else:
                row = chance.choice(self.agents)
                busy = row["status"] == "on_call"
                row |= {"status": "busy" if busy else "on_call", "reason": "wrap_up" if busy else ""}
                row |= {"since": _ms(), "version": row["version"] + 1}
                change = {"kind": "agent", "id": row["id"], "data": row}
            field = {self.streams.CHANGES_FIELD: json.dumps(change)}
            pipe.xadd(self.streams.CHANGES, field, maxlen=self.streams.CHANGES_LIMIT, approximate=True)
        pipe.execute()
        self.told += events

    def _leg(self, key: str) -> dict[str, Any]:
        state = next(self.lives[key])
        return {"leg": key, "role": "customer", "state": state, "since": _ms(), "call_id": key}

    def _beat(self) -> None:
        for name in ("bridge", "ingest", "dialer", "default"):
            value = json.dumps({"at": time.time(), "link": "up", "reason": "", "lag_ms": 20, "depth": 0, "queue": 0})
            self.redis.set(self.streams.HEARTBEAT_PREFIX + name, value, ex=self.streams.HEARTBEAT_SECONDS)


def _ms() -> int:
    return int(time.time() * 1000)


def _judge(
    options: argparse.Namespace, found: dict[str, Any], traced: dict[str, Any], rate: float, seconds: float
) -> int:
    waits, draws = sorted(found["waits"]), max(1, found["draws"])
    blocks, walked = found["blocks"], found["walked"]
    own = sorted(spent for spent, _ in traced["tasks"])
    print(f"{options.agents} agents, {options.calls} calls, {rate:.0f} switch events/s for {seconds:.0f} s")
    print(
        f"{found['frames'] / seconds:.1f} frames/s, {draws / seconds:.1f} drawn/s, "
        f"{found['written'] / draws:.0f} mutations in each"
    )
    print(f"switch event to changed pixel: {spread(waits)} ms, {len(waits)} changes seen")
    print(
        f"main thread: {found['busy'] / seconds:.1%} of a core, {1000 * found['busy'] / draws:.1f} ms a drawing; "
        f"of {len(own)} traced tasks {sum(one >= BLOCK_MS for one in own)} of {BLOCK_MS} ms or longer of its own time, "
        f"the longest {own[-1] if own else 0:.0f} ms; by the wall clock {len(blocks)}, {max(blocks, default=0):.0f} ms"
    )
    whole = sum(traced["work"].values()) or 1.0
    print("of that time: " + ", ".join(f"{kind} {spent / whole:.0%}" for kind, spent in traced["work"].items()))
    grown = [_growth([one[kind] for one in found["heaps"]]) for kind in (0, 1)]
    print("heap each minute: " + " ".join(f"{heap / 1e6:.2f}" for heap, _ in found["heaps"]) + f" MB, x {grown[0]:.3f}")
    print("nodes each minute: " + " ".join(str(nodes) for _, nodes in found["heaps"]) + f", x {grown[1]:.3f}")
    print(
        f"{found['wrong']} rows that said something else than the floor; scrolled through: {walked['wrong']} wrong, "
        f"{walked['agents']} agents and {walked['calls']} calls missing; the board is {found['state']}"
    )
    false = found["wrong"] + sum(walked.values())
    blocked = not own or own[-1] >= BLOCK_MS
    return int(blocked or bool(false) or found["state"] != "live" or not waits or max(grown) > FLAT)


def _growth(series: list[int]) -> float:
    """Of the second half over the first without its first two minutes: 1.0 is flat, and said of a short run."""
    half = len(series) // 2
    early = series[2:half]
    return statistics.fmean(series[half:]) / statistics.fmean(early) if early else 1.0


if __name__ == "__main__":
    sys.exit(main())
