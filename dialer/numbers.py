"""Phone numbers: any way people write them -> E.164, or a reason a person understands. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult, timezone

from dialer import plain_numbers

# Longer than any way of writing a number; keeps hostile cells away from the parser.
LONGEST_TEXT = 60
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# Kept free for fiction (+1 NPA 555 0100 to 0199) and for the simulator (+1 212 55D xxxx): ours to accept, whatever the
# parser's tables come to say of them.
_RESERVED = re.compile(r"\+1(?:[2-9][0-9]{2}55501[0-9]{2}|21255[0-9]{5})")
_EXTENSION = re.compile(r"(?i)(?:;\s*ext\s*=|\bext(?:ension)?\b\.?|[#x])\s*:?\s*[0-9]{1,8}\s*$")
_SCIENTIFIC = re.compile(r"(?i)^\+?[0-9]+(?:[.,][0-9]+)?e\+?[0-9]+$")
# A spreadsheet's whole number written as a decimal: 12125550100.0
_DECIMAL_ZERO = re.compile(r"^(\+?[0-9]{7,15})\.0$")
_SEPARATORS = re.compile(r"[/;,|&\n]|\bor\b|\band\b")
_SIGNS = frozenset("0123456789+()-. /")
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u00ad")
# Invisible marks that come along when a number is copied from a phone or a web page.
_INVISIBLE = frozenset(
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_UNKNOWN_ZONE = "Etc/Unknown"
UNKNOWN = "unknown"
NUMBER_TYPES: dict[int, str] = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
    PhoneNumberType.UNKNOWN: UNKNOWN,
}

_POSSIBLE: dict[int, str] = {
    ValidationResult.TOO_SHORT: "The number is too short.",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "The number lacks its area code.",
    ValidationResult.TOO_LONG: "The number is too long.",
    ValidationResult.INVALID_LENGTH: "No number of that country has this length.",
    ValidationResult.INVALID_COUNTRY_CODE: "There is no such country code.",
}


class NumberError(ValueError):
    """Why a text is not one diallable number, as a sentence for people."""


def normalise(text: str, region: str) -> str:
    """The number as E.164; `region` (e.g. US) is where a number without a country code belongs. Raises NumberError."""
    return normalise_with_zones(text, region)[0]


def normalise_with_zones(text: str, region: str) -> tuple[str, tuple[str, ...]]:
    """E.164 and the time zones the number may be in, as `normalise` and `time_zones` say. Raises NumberError."""
    found = plain_numbers.read(text, region)
    if found is not None:
        return found
    number = by_library(text, region)
    return number, time_zones(number)


def by_library(text: str, region: str) -> str:
    """`normalise` by libphonenumber alone: what the quick way must be equal to. Raises NumberError."""
    written = _plain(text)
    _refuse_foreign_signs(written)
    parsed = _parse(written, region)
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if _RESERVED.fullmatch(e164):
        return e164
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    if possible != ValidationResult.IS_POSSIBLE:
        raise NumberError(_POSSIBLE.get(possible, "The number is not possible."))
    if not phonenumbers.is_valid_number(parsed) or not _E164.fullmatch(e164):
        raise NumberError(f"{_country(parsed)} has no such number.")
    return e164


def is_region(region: str) -> bool:
    """Whether `region` is one we can read numbers of (two capital letters, e.g. US)."""
    return region in phonenumbers.SUPPORTED_REGIONS


@lru_cache(maxsize=65_536)
def number_type(e164: str) -> str:
    """One of NUMBER_TYPES, `unknown` when nobody can say. Fictional numbers are telephones like others."""
    if _RESERVED.fullmatch(e164):
        return "fixed_line_or_mobile"
    try:
        return NUMBER_TYPES.get(phonenumbers.number_type(phonenumbers.parse(e164, None)), UNKNOWN)
    except NumberParseException:
        return UNKNOWN


@lru_cache(maxsize=65_536)
def region(e164: str) -> str:
    """The country of the number (US); '' when nobody can say."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(e164, None)) or ""
    except NumberParseException:
        return ""


@lru_cache(maxsize=65_536)
def time_zones(e164: str) -> tuple[str, ...]:
    """Every time zone the number may be in, by its country and area code; empty if nobody can say."""
    try:
        parsed = phonenumbers.parse(e164, None)
    except NumberParseException:
        return ()
    return tuple(zone for zone in timezone.time_zones_for_number(parsed) if zone != _UNKNOWN_ZONE)


def is_allowed(e164: str, prefixes: Iterable[str]) -> bool:
    """Whether the number starts with an allowed prefix (each with its plus). No prefix at all allows nothing."""
    return any(len(prefix) > 1 and prefix.startswith("+") and e164.startswith(prefix) for prefix in prefixes)


def _plain(text: str) -> str:
    """ASCII digits, signs and single spaces, without what spreadsheets and phone books put around a number."""
    if len(text) > 4 * LONGEST_TEXT:
        raise NumberError("The text is too long for a number.")
    signs = []
    for sign in text:
        digit = unicodedata.decimal(sign, None)
        if digit is not None:
            signs.append(str(digit))
        elif sign in _DASHES:
            signs.append("-")
        elif sign == "\uff0b":
            signs.append("+")
        elif sign not in _INVISIBLE:
            signs.append(" " if sign.isspace() and sign != "\n" else sign)
    # The apostrophe is how a spreadsheet, and our own list of refused rows, marks a number as text.
    written = re.sub(" +", " ", "".join(signs)).strip(" \n\t'")
    if written[:4].lower() == "tel:":
        written = written[4:].strip()
    if not written:
        raise NumberError("There is no number.")
    if len(written) > LONGEST_TEXT:
        raise NumberError("The text is too long for a number.")
    whole = _DECIMAL_ZERO.match(written)
    return whole[1] if whole else written


def _refuse_foreign_signs(written: str) -> None:
    if _SCIENTIFIC.match(written):
        raise NumberError("A spreadsheet has rounded the number; keep its column as text.")
    parts = [part for part in _SEPARATORS.split(written) if sum(sign.isdigit() for sign in part) >= 7]
    if len(parts) > 1 or written.count("+") > 1:
        raise NumberError("There is more than one number.")
    extension = _EXTENSION.search(written)
    if extension and any(sign.isdigit() for sign in written[: extension.start()]):
        raise NumberError("The number has an extension, which cannot be dialled.")
    if any(sign.isalpha() for sign in written):
        raise NumberError("There are letters in the number.")
    for sign in written:
        if sign not in _SIGNS:
            shown = f"“{sign}”" if sign.isprintable() else f"U+{ord(sign):04X}"
            raise NumberError(f"The character {shown} does not belong in a number.")
    if "+" in written.lstrip("( ")[1:]:
        raise NumberError("The plus stands in the middle of the number.")
    if not any(sign.isdigit() for sign in written):
        raise NumberError("There are no digits.")


def _parse(written: str, region: str) -> PhoneNumber:
    try:
        return phonenumbers.parse(written, region)
    except NumberParseException as error:
        match error.error_type:
            case NumberParseException.INVALID_COUNTRY_CODE:
                reason = "There is no such country code."
            case NumberParseException.TOO_LONG:
                reason = "The number is too long."
            case NumberParseException.TOO_SHORT_NSN | NumberParseException.TOO_SHORT_AFTER_IDD:
                reason = "The number is too short."
            case _:
                reason = "The number is too short." if sum(map(str.isdigit, written)) < 7 else "This is not a number."
        raise NumberError(reason) from None


def _country(parsed: PhoneNumber) -> str:
    return f"Country code +{parsed.country_code}"
