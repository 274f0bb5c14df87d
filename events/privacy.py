"""What a log, a board or a report may show of a phone number or a secret. Pure."""

import re

# Seven or more digits with an optional plus, not inside a uuid or another word: a phone number, as far as a log knows.
_NUMBER = re.compile(r"(?<![\w.-])\+?\d{7,15}(?![\w-])")
_SECRET = re.compile(
    r"(?i)\b(password|secret|token|authorization)\b([\"']?\s*[=:]\s*)(bearer\s+)?[^\s,;]+|\b(bearer|auth)(\s+)\S+"
)
# From the beginning of a word only: from each of its letters, a long one would take the square of its length.
_URL_SECRET = re.compile(r"\b(\w+://[^/\s:@]*):[^/\s@]+@")


def mask(number: str) -> str:
    """`+12125551234` -> `+1212***34`: enough to recognise, not enough to call."""
    return f"{number[:5]}***{number[-2:]}" if len(number) >= 8 else "***"


def clean(text: str) -> str:
    """The text with secrets removed and numbers masked."""
    text = _URL_SECRET.sub(r"\1:***@", text)
    text = _SECRET.sub(lambda found: f"{found[1] or found[4]}{found[2] or found[5]}***", text)
    return _NUMBER.sub(lambda found: mask(found.group()), text)
