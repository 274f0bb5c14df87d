"""What a log, a board or a report may show of a phone number or a secret. Pure."""

import re
from typing import Final
from urllib.parse import quote, unquote

# Seven or more digits with an optional plus (also as addresses write it), not inside a uuid or another word: a phone
# number, as far as a log knows.
_NUMBER = re.compile(r"(?<![\w.-])(?:\+|%2[Bb])?\d{7,15}(?![\w-])")
_SECRET = re.compile(
    r"(?i)\b(password|secret|token|authorization)\b([\"']?\s*[=:]\s*)(bearer\s+)?[^\s,;]+|\b(bearer|auth)(\s+)\S+"
)
# From the beginning of a word only: from each of its letters, a long one would take the square of its length.
_URL_SECRET = re.compile(r"\b(\w+://[^/\s:@]*):[^/\s@]+@")
# In an address there is no other word that a number could be part of; our own ids stay.
_IN_ADDRESS = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|\+?\d{7,}")
# Names as our pages have them, and what cannot be confidential: pages, days, keys.
_NAME, _SMALL = re.compile(r"[A-Za-z_]{1,40}\Z"), re.compile(r"\d{0,6}\Z")
# Longer ones, and those that are written over themselves more often, are of no use to whoever reads the log.
_LONGEST_ADDRESS: Final = 2_000
_WRITTEN_OVER: Final = 3


def mask(number: str) -> str:
    """`+12125551234` -> `+1212***34`: enough to recognise, not enough to call. Four signs are hidden at least."""
    return f"{number[: min(5, len(number) - 6)]}***{number[-2:]}" if len(number) >= 8 else "***"


def clean(text: str) -> str:
    """The text with secrets removed and numbers masked."""
    text = _URL_SECRET.sub(r"\1:***@", text)
    text = _SECRET.sub(lambda found: f"{found[1] or found[4]}{found[2] or found[5]}***", text)
    return _NUMBER.sub(lambda found: mask(found.group()), text)


def address(asked: str) -> str:
    """A request's address as a log may show it. Of its query only names and small figures: what is looked for stands
    there however people write it, and so does a secret that a client has put there by mistake."""
    path, has_query, query = asked[:_LONGEST_ADDRESS].partition("?")
    for _ in range(_WRITTEN_OVER):
        path = unquote(path)
    path = _IN_ADDRESS.sub(lambda found: found[1] or mask(found[0]), clean(path))
    # So that nothing in it ends the line or its quotes.
    path = quote(path, safe="/:@*+,;=()", errors="replace")
    return path + has_query + "&".join(map(_parameter, query.split("&") if has_query else ()))


def _parameter(said: str) -> str:
    name, has_value, value = said.partition("=")
    if not has_value or not _NAME.match(name):
        return "***"
    return f"{name}={value if _SMALL.match(value) else '***'}"
