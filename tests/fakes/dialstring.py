"""FreeSWITCH's way of reading a command, after its C source and by itself: nothing of the product or its simulator is
used. mod_event_socket cuts the socket's bytes into commands; `originate` cuts its argument at blanks outside quotes,
takes the quotes away, and only then looks for variables and for several destinations in what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class Unclear(ValueError):
    """Something that the switch would read in more than one way, or otherwise than it was meant."""


@dataclass(frozen=True, slots=True)
class Said:
    """One command of a connection: its first line's two words and the headers below it."""

    verb: str
    line: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Originate:
    variables: dict[str, str]
    destinations: tuple[str, ...]
    application: str
    argument: str
    more: tuple[str, ...] = ()


def commands(data: bytes) -> list[Said]:
    """What a connection is told by these bytes. A line ends with \\n; what stands behind a \\r or a NUL is lost."""
    text = data.decode("utf-8")
    if not text.endswith("\n\n"):
        raise Unclear("the last command is not ended")
    found = []
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        if lines == [""]:
            continue
        if any(sign in block for sign in "\r\0"):
            raise Unclear("a carriage return or a NUL")
        verb, _, line = lines[0].partition(" ")
        headers = dict(one.split(": ", 1) if ": " in one else (one, "") for one in lines[1:])
        found.append(Said(verb, line, headers))
    return found


def words(text: str) -> list[str]:
    """At blanks outside single quotes, and then without the quotes (separate_string_blank_delim)."""
    found, word, quoted, place = [], "", False, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\" and place + 1 < len(text):
            word += text[place : place + 2]
            place += 2
            continue
        quoted ^= sign == "'"
        if sign == " " and not quoted:
            if word:
                found.append(word)
            word = ""
        else:
            word += sign
        place += 1
    if quoted:
        raise Unclear("an open quote")
    return [_clean(one) for one in (*found, word) if one]


def originate(line: str) -> Originate:
    """Of what follows `originate `. Raises Unclear."""
    if "${" in line:
        raise Unclear("something that is expanded")
    parts = words(line)
    if not 2 <= len(parts) <= 7:
        raise Unclear(f"{len(parts)} words")
    url, destination = parts[:2]
    if ":_:" in url:
        raise Unclear("several originates in one")
    variables: dict[str, str] = {}
    while url[:1] in ("{", "<"):
        opening, closing = url[0], {"{": "}", "<": ">"}[url[0]]
        inside, url = _enclosed(url, opening, closing)
        for name, value in _variables(inside):
            if name in variables:
                raise Unclear(f"{name} twice")
            variables[name] = value
    if "{" in url or "}" in url:
        raise Unclear("braces behind the variables")  # the switch would look for the end of them from there
    application, argument = _application(destination)
    return Originate(variables, tuple(_destinations(url)), application, argument, tuple(parts[2:]))


def _destinations(url: str) -> list[str]:
    """At `,` and `|` outside brackets, each without the variables of its own leg."""
    found, depth = [""], 0
    for sign in url:
        depth += (sign == "[") - (sign == "]")
        if sign in ",|" and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    if depth:
        raise Unclear("brackets without their other half")
    return [_enclosed(one, "[", "]")[1] if one.startswith("[") else one for one in found]


def _application(destination: str) -> tuple[str, str]:
    if destination[:1] != "&":
        raise Unclear("an extension of the dialplan in place of an application")
    name, bracket, argument = destination[1:].partition("(")
    return (name, argument.rpartition(")")[0]) if bracket else (name, "")


def _enclosed(text: str, opening: str, closing: str) -> tuple[str, str]:
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == opening) - (sign == closing)
        if depth == 0:
            return text[1:place], text[place + 1 :]
    raise Unclear(f"no end of {opening}")


def _variables(inside: str) -> list[tuple[str, str]]:
    if inside.startswith("^^"):
        raise Unclear("another separator between variables")
    found = []
    for part in _split(inside, ","):
        name, equals, value = part.strip(" ").partition("=")
        if not equals or not name:
            raise Unclear(f"{part!r} is no variable")
        found.append((name, value))
    return found


def _split(text: str, separator: str) -> list[str]:
    parts, part, quoted, place = [], "", False, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\" and place + 1 < len(text):
            part += text[place : place + 2]
            place += 2
            continue
        quoted ^= sign == "'"
        if sign == separator and not quoted:
            parts.append(part)
            part = ""
        else:
            part += sign
        place += 1
    return [_clean(one) for one in (*parts, part)]


def _clean(word: str) -> str:
    """Without quotes and escapes, and without blanks around what was outside the quotes."""
    out, place, kept, quoted = "", 0, 0, False
    word = word.lstrip(" ")
    while place < len(word):
        sign = word[place]
        if sign == "\\" and place + 1 < len(word):
            out += {"n": "\n", "r": "\r", "t": "\t", "s": " "}.get(word[place + 1], word[place + 1])
            place, kept = place + 2, len(out)
            continue
        if sign == "'" and (quoted or "'" in word[place + 1 :]):
            quoted = not quoted
            kept = len(out)
        else:
            out += sign
            if sign != " " or quoted:
                kept = len(out)
        place += 1
    return out[:kept]
