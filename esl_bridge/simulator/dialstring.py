"""The argument of `originate`: variables, call url, and what to run after the answer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from esl_bridge.simulator.protocol import Value, separate, unquote

USAGE = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] "
    "[<cid_name>] [<cid_num>] [<timeout_sec>]\n"
)
OUT_OF_ORDER = "-ERR DESTINATION_OUT_OF_ORDER\n"
"""What throttle, session limit, pause, a uuid in use and a broken parse have in common."""
DEFAULT_TIMEOUT = 60.0
"""Seconds an originate rings if it does not say."""


@dataclass(slots=True)
class Request:
    """One originate command, parsed."""

    url: str
    destination: str
    """`&application(arguments)` or an extension."""
    dialplan: str = "XML"
    variables: dict[str, Value] = field(default_factory=dict)
    timeout: float = DEFAULT_TIMEOUT

    def text(self, name: str) -> str:
        value = self.variables.get(name, "")
        return value if isinstance(value, str) else value[0]


def parse(argument: str) -> Request | str:
    """An originate argument as a Request, or the error FreeSWITCH answers."""
    parts = separate(argument)
    if len(parts) < 2:
        return USAGE
    url = parts[0]
    variables: dict[str, Value] = {}
    while url[:1] in ("{", "[", "<"):
        close = {"{": "}", "[": "]", "<": ">"}[url[0]]
        end = url.find(close)
        if end < 0:
            return OUT_OF_ORDER
        inside, url = url[1:end], url[end + 1 :]
        # A lone quote breaks the parse; it never becomes a call.
        if len(re.findall(r"(?<!\\)'", inside)) % 2:
            return OUT_OF_ORDER
        variables.update(_variables(inside))
    request = Request(url=url, destination=unquote(parts[1]), variables=variables)
    if len(parts) > 2:
        request.dialplan = parts[2]
    if len(parts) > 4 and parts[4] != "undef":
        variables.setdefault("origination_caller_id_name", unquote(parts[4]))
    if len(parts) > 5 and parts[5] != "undef":
        variables.setdefault("origination_caller_id_number", unquote(parts[5]))
    timeout = parts[6] if len(parts) > 6 else request.text("originate_timeout")
    if timeout.isdigit() and int(timeout) > 0:
        request.timeout = float(timeout)
    return request


def _variables(text: str) -> dict[str, Value]:
    delimiter = ","
    if text.startswith("^^") and len(text) > 2:
        delimiter, text = text[2], text[3:]
    found: dict[str, Value] = {}
    for part in re.split(rf"(?<!\\){re.escape(delimiter)}", text):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            continue
        value = unquote(value)
        if value:  # an empty value leaves no variable behind
            found[name.strip()] = value
        else:
            found.pop(name.strip(), None)
    return found
