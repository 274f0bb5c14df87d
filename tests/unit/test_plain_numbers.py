"""The quick way to read a number says what libphonenumber says, or nothing: over every region and way of writing."""

import random

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer import numbers, plain_numbers

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
SHAPES = ("+{c}{n}", "+{c} {n}", "{c}{n}", "{n}", "0{n}", "1{n}", "({a}) {b}", "{a}-{b}", "+{c} ({a}) {b}", "00{c}{n}")
ROUNDS = 8_000


def agree(text: str, region: str) -> bool:
    """Whether the quick way has read it; fails when it says anything else than the library."""
    found = plain_numbers.read(text, region)
    if found is None:
        return False
    number, zones = found
    assert number == numbers.by_library(text, region), (text, region)
    assert zones == numbers.time_zones.__wrapped__(number), (text, region)
    return True


def near(region: str, rng: random.Random) -> str:
    """A national number of that region, or one that differs from it by some digits."""
    example = phonenumbers.example_number_for_type(region, rng.choice(list(numbers.NUMBER_TYPES)[:10]))
    example = example or phonenumbers.example_number(region)
    digits = list(phonenumbers.national_significant_number(example)) if example else list("2125551234")
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        digits[rng.randrange(len(digits))] = str(rng.randrange(10))
    if rng.random() < 0.1:
        digits.insert(rng.randrange(len(digits)), str(rng.randrange(10)))
    return "".join(digits)


def test_random_numbers_of_every_region_are_read_as_the_library_reads_them():
    rng = random.Random()
    quick = 0
    for round_ in range(ROUNDS):
        region = REGIONS[round_ % len(REGIONS)]
        n = near(region, rng)
        code = phonenumbers.country_code_for_region(region)
        text = rng.choice(SHAPES).format(c=code, n=n, a=n[:3], b=n[3:])
        quick += agree(text, region if rng.random() < 0.7 else rng.choice(REGIONS))
    # Or the comparison would be of nothing.
    assert quick > ROUNDS // 4


@given(st.from_regex(r"\+?[0-9() .\-']{5,20}", fullmatch=True), st.sampled_from(REGIONS))
@settings(max_examples=400, deadline=None)
def test_any_run_of_digits_and_signs_is_read_as_the_library_reads_it(text, region):
    agree(text, region)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+12125551234", "DE"),
        ("(212) 555-1234", "US"),
        ("1 212 555 1234", "US"),
        ("'+14165551234", "US"),
        ("030 901820", "DE"),
        ("+44 20 7946 0958", "US"),
        ("06 698 12345", "IT"),
        ("+1 787 555 1234", "US"),
    ],
)
def test_usual_ways_of_writing_need_no_library(text, region):
    assert agree(text, region)


@pytest.mark.parametrize("text", ["12125551234.0", "+999123456789", "5551234", "2" * 500, "", "+", "1-800-FLOWERS"])
def test_what_is_not_plain_is_left_to_the_library(text):
    assert plain_numbers.read(text, "US") is None
