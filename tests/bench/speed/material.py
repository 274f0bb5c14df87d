"""Real events in any number: a captured call, again and again with legs and sequence numbers of its own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from itertools import count, islice

from esl_bridge.link import EVENTS
from tests.fakes.events import AGENT, BRIDGED, CALL

_SEQUENCE = re.compile(rb'"Event-Sequence":"(\d+)"')
_NAME = re.compile(rb'"Event-Name":"([A-Z_]+)"')


def _subscribed() -> list[bytes]:
    """The call's events that the bridge asks for."""
    found = []
    for line in BRIDGED:
        name = _NAME.search(line)
        if name is not None and name.group(1).decode() in EVENTS:
            found.append(line)
    return found


def calls() -> Iterator[list[bytes]]:
    """One call's events after another, without end; every uuid and every sequence number is new."""
    lines, numbers = _subscribed(), count(1_000)
    while True:
        customer, agent = str(uuid.uuid4()).encode(), str(uuid.uuid4()).encode()
        made = []
        for line in lines:
            fresh = line.replace(CALL.encode(), customer).replace(AGENT.encode(), agent)
            made.append(_SEQUENCE.sub(b'"Event-Sequence":"%d"' % next(numbers), fresh))
        yield made


def events(number: int) -> list[bytes]:
    """So many events in the order of the wire, several calls at a time interleaved as on a busy switch."""
    source = calls()
    made: list[bytes] = []
    while len(made) < number:
        together = list(islice(source, 20))
        for place in range(max(map(len, together))):
            made += [call[place] for call in together if place < len(call)]
    return made[:number]


def framed(lines: list[bytes], kind: str = "json") -> bytes:
    """As they come from the socket."""
    return b"".join(
        b"Content-Length: %d\nContent-Type: text/event-%s\n\n%s" % (len(line), kind.encode(), line) for line in lines
    )
