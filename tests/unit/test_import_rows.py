"""Which column is what, and which row is a contact."""

import json

import pytest

from dialer.target_import.contact_rows import LONGEST_FIELD, LONGEST_NAME, NewContact, RowRefusedError, read_contact
from dialer.target_import.errors import ImportRefusedError
from dialer.target_import.mapping import MOST_CUSTOM_FIELDS, Columns, guesses, map_columns, parse_map

# Clocks without summer time, and the server's own.
NO_PLACES = ("PST", "EST", "mst", "HST", "GMT", "UCT", "Zulu", "Etc/GMT", "Etc/UCT", "Factory", "localtime")
HEADER = ["Phone", "Name", "Time zone", "Priority", "Plan"]


def columns(*headers: str, wanted: list[str] | None = None) -> Columns:
    return map_columns(headers, parse_map(wanted or []), "US", ",")


def contact(*cells: str, header: list[str] = HEADER) -> NewContact:
    return read_contact(cells, columns(*header), "US")


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["phone", "Phone Number", "PHONE_NUMBER", " phone-number ", "Mobile", "Telefon", "Téléphone", "TELÉFONO", "Móvil"],
)
def test_usual_headers_of_a_number_are_known(header):
    assert columns("x", header).roles == {"number": 1}


def test_other_columns_become_custom_fields_under_their_own_names():
    found = columns("City", "phone", "first name", "Last Name", "tz", "prio", "", "City", "city (2)")
    assert found.roles == {"number": 1, "first_name": 2, "last_name": 3, "time_zone": 4, "priority": 5}
    assert found.custom == {0: "City", 6: "column 7", 7: "City (2)", 8: "city (2)"}


def test_custom_fields_never_share_a_name():
    found = columns("phone", "a", "a (2)", "a", "a")
    assert len(set(found.custom.values())) == 4


def test_of_two_number_columns_the_more_usual_is_called():
    found = columns("mobile", "phone", "name")
    assert found.roles["number"] == 1
    assert found.custom == {0: "mobile"}


def test_the_person_may_say_which_column_is_what():
    found = columns("Phone", "Handset", "Secret", wanted=["number=handset", "ignore=SECRET"])
    assert found.roles == {"number": 1}
    assert found.custom == {0: "Phone"}


@pytest.mark.parametrize("pair", ["number", "number=", "=Phone", "colour=Phone", "number=\0=\0"])
def test_a_mapping_that_makes_no_sense_is_refused(pair):
    with pytest.raises(ImportRefusedError):
        columns("Phone", wanted=[pair])


def test_a_role_is_mapped_once():
    with pytest.raises(ImportRefusedError, match="twice"):
        parse_map(["number=a", "number=b"])


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(ImportRefusedError, match="'Handset'.*'Phone', 'Name'"):
        columns("Phone", "Name", wanted=["number=Handset"])
    with pytest.raises(ImportRefusedError, match="no number column.*'Name', 'City'"):
        columns("Name", "City")


def test_a_file_without_a_header_is_told_so():
    with pytest.raises(ImportRefusedError, match="not column names"):
        columns("+12125551234", "Bob")


def test_too_many_or_too_long_columns_are_refused():
    with pytest.raises(ImportRefusedError, match="custom fields"):
        columns("phone", *(f"c{n}" for n in range(MOST_CUSTOM_FIELDS + 1)))
    with pytest.raises(ImportRefusedError, match="columns"):
        columns("phone", *("c" for n in range(5000)))
    with pytest.raises(ImportRefusedError, match="longer than"):
        columns("phone", "x" * 101)


def test_empty_columns_at_the_end_do_not_count():
    assert columns("phone", "name", "", " ").width == 2


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_contact():
    assert contact("(212) 555-1234", " Bob  B. ", "america/chicago", "5", "Gold") == NewContact(
        "+12125551234", "(212) 555-1234", "Bob B.", "America/Chicago", '{"Plan":"Gold"}', 5
    )


def test_short_rows_leave_fields_empty_and_the_zone_follows_from_the_number():
    assert contact("3125551234") == NewContact("+13125551234", "3125551234", "", "America/Chicago", "{}", 0)


@pytest.mark.parametrize(
    ("written", "zone"),
    [("us/eastern", "US/Eastern"), ("GB", "GB"), ("Japan", "Japan"), ("cet", "CET"), ("EST5EDT", "EST5EDT")],
)
def test_a_zone_by_any_name_that_has_the_summer_time_of_its_place_is_taken(written, zone):
    assert contact("2125551234", "Bob", written).time_zone == zone


def test_a_number_that_may_be_in_two_zones_gets_none():
    assert contact("9075551234").time_zone == ""


def test_first_and_last_name_make_a_name_unless_there_is_one():
    header = ["phone", "first name", "last name", "name"]
    assert contact("2125551234", "Ann", "Lee", "", header=header).name == "Ann Lee"
    assert contact("2125551234", "Ann", "Lee", "Dr Lee", header=header).name == "Dr Lee"


@pytest.mark.parametrize(
    ("header", "cells", "name"),
    [
        ("Name;Vorname;Telefon", "Müller;Anna;2125551234", "Anna Müller"),
        ("Vorname;Name;Telefon", "Anna;Müller;2125551234", "Anna Müller"),
        ("Nombre;Apellidos;Teléfono", "Ana;García López;2125551234", "Ana García López"),
        ("Naam;Voornaam;Telefoon", "Jansen;Piet;2125551234", "Piet Jansen"),
        # The name is the whole of it all the same, or is the only one of the two that a row has.
        ("Name;First name;Phone", "Anna Müller;Anna;2125551234", "Anna Müller"),
        ("Name;Last name;Phone", "Anna Müller;Müller;2125551234", "Anna Müller"),
        ("Name;First name;Phone", "James;James;2125551234", "James James"),
        ("Name;Vorname;Telefon", "Müller GmbH;;2125551234", "Müller GmbH"),
        # Headers that say that the name is whole, and both halves beside it.
        ("Full name;Vorname;Telefon", "Dr. Anna Müller;Anna;2125551234", "Dr. Anna Müller"),
        ("Name;Vorname;Nachname;Telefon", "Dr. Müller;Anna;Müller;2125551234", "Dr. Müller"),
    ],
)
def test_no_half_of_a_name_is_lost_where_the_other_half_is_called_the_name(header, cells, name):
    assert contact(*cells.split(";"), header=header.split(";")).name == name


def test_the_roles_of_a_name_s_halves_are_told_as_they_are_read_unless_a_person_says_otherwise():
    german = ("Name", "Vorname", "Telefon")
    assert columns(*german).described() == {"number": "Telefon", "first_name": "Vorname", "last_name": "Name"}
    assert guesses(german) == ["last_name", "first_name", "number"]
    assert columns(*german, wanted=["name=Name"]).roles == {"name": 0, "first_name": 1, "number": 2}
    assert columns(*german, wanted=["custom=Vorname"]).roles == {"name": 0, "number": 2}
    assert columns("Nom", "Prénom", "Téléphone").roles == {"last_name": 0, "first_name": 1, "number": 2}


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (("12", "Bob"), "too short"),
        (("", "Bob"), "There is no number"),
        (("2125551234", "Bob\0"), "NUL"),
        (("2125551234", "Bob\ud800"), "half a character"),
        (("2125551234", "Bob", "", "", "Gold, silver", "extra"), "6 cells, the header 5"),
        (("2125551234", "x" * (LONGEST_NAME + 1)), "name is longer"),
        (("2125551234", "Bob", "Mars/Olympus"), "no time zone “Mars/Olympus”"),
        (("2125551234", "Bob", "../../etc/passwd"), "no time zone"),
        *((("2125551234", "Bob", name), f"no time zone “{name}”; write it like America") for name in NO_PLACES),
        (("2125551234", "Bob", "", "high"), "priority"),
        (("2125551234", "Bob", "", "1e3"), "priority"),
        (("2125551234", "Bob", "", "9" * 5000), "priority"),
        (("2125551234", "Bob", "", "40000"), "priority"),
        (("2125551234", "Bob", "", "", "x" * (LONGEST_FIELD + 1)), "“Plan” is longer"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(cells, reason):
    with pytest.raises(RowRefusedError, match=reason):
        contact(*cells)


def test_many_long_fields_together_are_refused():
    header = ["phone", *(f"c{n}" for n in range(20))]
    with pytest.raises(RowRefusedError, match="together"):
        contact("2125551234", *("x" * 1999 for _ in range(20)), header=header)


def test_a_name_is_one_line_and_cannot_turn_the_text_around_it():
    assert contact("2125551234", "Bob\u202e\x1b[2J\r\n\tEvil\u2028").name == "Bob [2J Evil"


def test_notes_keep_their_lines_and_formulas_stay_data():
    fields = json.loads(contact("2125551234", "Bob", "", "", "=1+1\r\nsecond\x07").custom_fields)
    assert fields == {"Plan": "=1+1\nsecond"}


def test_rows_swallowed_by_an_open_quote_are_noticed():
    swallowed = "Bob,America/Chicago,1,Gold\n2125551235,Ann,America/Chicago,1,Gold\n2125551236,Eve"
    with pytest.raises(RowRefusedError, match="swallowed") as refusal:
        contact("2125551234", swallowed, "", "", "")
    assert refusal.value.swallowed


def test_a_note_with_lines_and_commas_is_no_swallowed_row():
    note = "call after 5, please\nor 212 555 9999, the office\nthanks"
    assert json.loads(contact("2125551234", "Bob", "", "", note).custom_fields) == {"Plan": note}
