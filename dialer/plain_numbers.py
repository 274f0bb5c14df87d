"""Well-formed phone numbers read in microseconds, exactly as libphonenumber reads them. Pure.

Millions of rows are imported at a time, and the library takes about 150 µs to parse, check and place a number. Nearly
all numbers are digits with the usual signs between them; for those the library's own patterns are joined here into one
expression per region and length. Whatever is not plainly a valid number (another way of writing, a carrier code, a
number that does not exist) is left to the library, which also knows the reason. tests/unit/test_plain_numbers.py
compares the two over random numbers of every region.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberType
from phonenumbers.phonemetadata import PhoneNumberDesc
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

# Digits in groups with one sign between them, one group perhaps in parentheses, perhaps a plus in front.
_WRITTEN = re.compile(r"\+?(?:[0-9]+[ .-]?)?(?:\([0-9]{1,5}\)[ .-]?)?[0-9]+(?:[ .-][0-9]+)*")
_SIGNS = str.maketrans("", "", "+ .-()")
_FEWEST, _MOST, _LONGEST_TEXT = 7, 15, 40
_UNKNOWN_ZONE = "Etc/Unknown"
# Kinds of numbers that the library asks for before fixed lines and mobiles, and that stand in no place.
_NO_PLACE = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail")


@dataclass(frozen=True, slots=True)
class _Region:
    code: str
    general: re.Pattern[str]
    lengths: frozenset[int]
    longest: int
    # Groups: `other` (a number of no place), `fixed`, `mobile`. By length of the national number.
    kinds: dict[int, re.Pattern[str]]
    leading: re.Pattern[str] | None
    idd: re.Pattern[str] | None
    # None: nothing to take off; `odd_prefix`: it holds a carrier's code or is rewritten, which the library does.
    prefix: re.Pattern[str] | None
    odd_prefix: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """All regions of one country code, the main one first."""

    code: str
    regions: tuple[_Region, ...]
    mobiles_have_a_place: bool
    zone_prefixes: tuple[int, ...]


def read(text: str, region: str) -> tuple[str, tuple[str, ...]] | None:
    """E.164 and the time zones the number may be in; None when the library has to look at it."""
    text = text.strip(" '")
    digits = text[1:] if text[:1] == "+" else text
    if not (digits.isascii() and digits.isdigit()):
        if len(text) > _LONGEST_TEXT or not _WRITTEN.fullmatch(text) or text.endswith(".0"):
            return None
        digits = text.translate(_SIGNS)
    if not _FEWEST <= len(digits) <= _MOST:
        return None
    if text[0] == "+":
        return _international(digits)
    home = _region(region)
    if home is None or home.idd is None or home.idd.match(digits):
        return None
    if digits.startswith(home.code):
        rest = digits[len(home.code) :]
        if home.prefix and home.prefix.match(rest):
            return None
        if not home.general.fullmatch(digits):
            return _international(digits) if home.general.fullmatch(rest) else None
        if len(digits) > home.longest:
            return None
    plan = _plan(home.code)
    return _national(digits, home, plan) if plan else None


def _international(digits: str) -> tuple[str, tuple[str, ...]] | None:
    plan = _plan(digits[:1]) or _plan(digits[:2]) or _plan(digits[:3])
    return _national(digits[len(plan.code) :], plan.regions[0], plan) if plan else None


def _national(digits: str, home: _Region, plan: _Plan) -> tuple[str, tuple[str, ...]] | None:
    if home.prefix and (found := home.prefix.match(digits)):
        digits = digits[found.end() :]
        if home.odd_prefix or not home.general.fullmatch(digits) or len(digits) not in home.lengths:
            return None
    if len(digits) not in plan.regions[0].lengths:
        return None
    kind = _kind(digits, plan)
    e164 = f"+{plan.code}{digits}"
    if kind is None or not _FEWEST <= len(e164) - 1 <= _MOST:
        return None
    zones: tuple[str, ...] | None = None
    if kind == "fixed" or (kind == "mobile" and plan.mobiles_have_a_place):
        for length in plan.zone_prefixes:
            zones = TIMEZONE_DATA.get(e164[1 : 1 + length])
            if zones is not None:
                break
    else:
        zones = TIMEZONE_DATA.get(plan.code)
    if zones is None or _UNKNOWN_ZONE in zones:
        zones = tuple(zone for zone in zones or () if zone != _UNKNOWN_ZONE)
    return e164, zones


def _kind(digits: str, plan: _Plan) -> str | None:
    """`other`, `fixed` or `mobile` in the first region that claims the number; None: there is no such number."""
    alone = len(plan.regions) == 1
    for region in plan.regions:
        claimed = region.leading is not None and not alone
        if claimed and region.leading and not region.leading.match(digits):
            continue
        pattern = region.kinds.get(len(digits))
        found = pattern.fullmatch(digits) if pattern else None
        if found or claimed or alone:
            return found.lastgroup if found else None
    return None


@cache
def _plan(code: str) -> _Plan | None:
    """None for what is no country code, and for codes without a country (satellites, freephone)."""
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code[0] != "0" else ()
    regions = tuple(found for name in names if (found := _region(name)) is not None)
    if not regions or len(regions) < len(names):
        return None
    lengths = {len(prefix) for prefix in TIMEZONE_DATA if prefix.startswith(code) or code.startswith(prefix)}
    return _Plan(
        code,
        regions,
        phonenumbers.is_number_type_geographical(PhoneNumberType.MOBILE, int(code)),
        tuple(sorted((length for length in lengths if length <= TIMEZONE_LONGEST_PREFIX), reverse=True)),
    )


@cache
def _region(name: str) -> _Region | None:
    data = PhoneMetadata.metadata_for_region(name, None) if name in phonenumbers.SUPPORTED_REGIONS else None
    general = data.general_desc if data is not None else None
    if data is None or general is None or not general.national_number_pattern:
        return None
    local = set(general.possible_length_local_only)
    prefix = re.compile(data.national_prefix_for_parsing) if data.national_prefix_for_parsing else None
    return _Region(
        code=str(data.country_code),
        general=re.compile(general.national_number_pattern),
        lengths=frozenset(set(general.possible_length) - local),
        longest=max(general.possible_length),
        kinds={length: _kinds(data, general.national_number_pattern, length) for length in general.possible_length},
        leading=re.compile(data.leading_digits) if data.leading_digits else None,
        idd=re.compile(data.international_prefix) if data.international_prefix else None,
        prefix=prefix,
        odd_prefix=bool(prefix and (prefix.groups or data.national_prefix_transform_rule)),
    )


def _kinds(data: PhoneMetadata, general: str, length: int) -> re.Pattern[str]:
    mobile = () if data.same_mobile_and_fixed_line_pattern else (data.mobile,)
    groups = (
        ("other", _union((getattr(data, name) for name in _NO_PLACE), length)),
        ("fixed", _union((data.fixed_line,), length)),
        ("mobile", _union(mobile, length)),
    )
    joined = "|".join(f"(?P<{name}>{union})" for name, union in groups)
    return re.compile(rf"(?=(?:{general})\Z)(?:{joined})")


def _union(descriptions: Iterable[PhoneNumberDesc | None], length: int) -> str:
    """One expression for all of them that know numbers of this length; it matches nothing if there is none."""
    patterns = {
        description.national_number_pattern: None
        for description in descriptions
        if description is not None
        and description.national_number_pattern
        and (not description.possible_length or length in description.possible_length)
    }
    return "|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)"
