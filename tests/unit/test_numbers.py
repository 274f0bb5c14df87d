"""Phone numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.numbers import NumberError, is_allowed, is_region, normalise, time_zones


@pytest.mark.parametrize(
    "text",
    [
        "+12125551234",
        "(212) 555-1234",
        "212.555.1234",
        "1 212 555 1234",
        "+1 (212) 555\u20111234",
        "(+1)2125551234",
        "011 1 212 555 1234",
        "tel:+1-212-555-1234",
        "  212\u00a0555\u20091234\t",
        "\u202d+1 212-555-1234\u202c",
        "'+12125551234",
        "12125551234.0",
        "٢١٢٥٥٥١٢٣٤",
        "＋１２１２５５５１２３４",
    ],
)
def test_every_usual_way_of_writing_is_one_number(text):
    assert normalise(text, "US") == "+12125551234"


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("020 7946 0958", "GB", "+442079460958"),
        ("+44 20 7946 0958", "US", "+442079460958"),
        ("0044 20 7946 0958", "DE", "+442079460958"),
        ("030 901820", "DE", "+4930901820"),
        ("06 698 12345", "IT", "+390669812345"),
    ],
)
def test_a_number_without_country_code_belongs_to_the_region(text, region, e164):
    assert normalise(text, region) == e164


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "There is no number."),
        (" \n\t ", "There is no number."),
        ("'", "There is no number."),
        ("+", "There are no digits."),
        ("() -", "There are no digits."),
        ("911", "too short"),
        ("5551234", "lacks its area code"),
        ("+1212555123456789", "too long"),
        ("2" * 500, "too long"),
        ("1-800-FLOWERS", "letters"),
        ("<script>alert(1)</script>", "letters"),
        ("1.2125E+10", "A spreadsheet has rounded"),
        ("1,21256E+10", "A spreadsheet has rounded"),
        ("212-555-1234 x12", "extension"),
        ("212-555-1234 ext. 12", "extension"),
        ("+12125551234;ext=12", "extension"),
        ("+12125551234 / +12125551235", "more than one number"),
        ("2125551234, 2125551235", "more than one number"),
        ("2125551234\n2125551235", "more than one number"),
        ("+1212+5551234", "more than one number"),
        ("2125551234+", "middle"),
        ("=2125551234", "“=”"),
        ("212\x005551234", "U+0000"),
        ("²125551234", "“²”"),
        ("+999123456789", "no such country code"),
        ("+1 555 555 5555", "no such number"),
        ("+1 012 555 1234", "no such number"),
    ],
)
def test_what_is_no_number_is_refused_with_a_reason(text, reason):
    with pytest.raises(NumberError, match=reason.replace("+", "[+]")):
        normalise(text, "US")


def test_the_demo_block_and_the_numbers_kept_for_fiction_are_accepted():
    for digit in range(10):
        for line in (0, 1, 99, 1234, 9999):
            number = f"+121255{digit}{line:04}"
            assert normalise(number, "US") == number
    for area in (212, 305, 808, 907, 999):
        for line in range(100, 200):
            number = f"+1{area}555{line:04}"
            assert normalise(number, "US") == number


@given(st.text(max_size=80))
def test_any_text_is_a_diallable_number_or_refused(text):
    try:
        number = normalise(text, "US")
    except NumberError as refusal:
        number, reason = None, str(refusal)
    if number is None:
        assert reason.endswith(".")
        assert reason.isprintable()
    else:
        assert number[0] == "+"
        assert number[1:].isdigit()
        assert number.isascii()
        assert 8 <= len(number) <= 16
        assert normalise(number, "US") == number


@given(st.from_regex(r"[+0-9() .\-/']{0,40}", fullmatch=True))
def test_any_run_of_digits_and_signs_is_a_number_or_refused(text):
    try:
        number = normalise(text, "US")
    except NumberError:
        return
    assert normalise(number, "GB") == number


def test_time_zones_are_those_of_the_area_code():
    assert time_zones("+13125550100") == ("America/Chicago",)
    assert time_zones("+18085550100") == ("Pacific/Honolulu",)
    assert set(time_zones("+19075550100")) == {"America/Adak", "America/Anchorage"}
    assert len(time_zones("+18005550100")) != 1
    assert time_zones("nonsense") == ()


def test_no_prefix_allows_nothing():
    assert is_allowed("+12125551234", ["+44", "+1212"])
    assert not is_allowed("+12125551234", ["+44"])
    assert not is_allowed("+12125551234", [])
    assert not is_allowed("+12125551234", ["", "+", "1212"])


def test_regions_are_two_capital_letters():
    assert is_region("US")
    assert is_region("DE")
    assert not is_region("us")
    assert not is_region("XX")
    assert not is_region("")
