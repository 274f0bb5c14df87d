"""A CSV file becomes rows, whatever is in it, in constant memory."""

import csv
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.target_import.errors import ImportRefusedError, inert
from dialer.target_import.reading import LONGEST_ROW, MOST_LINES, BadRow, Row, RowReader, choose_encoding


def rows(text: str | bytes, encoding: str = "utf-8") -> list[Row | BadRow]:
    raw = text if isinstance(text, bytes) else text.encode(encoding)
    reader = RowReader(io.BytesIO(raw), encoding)
    return list(reader)


def cells(text: str) -> list[list[str]]:
    found = rows(text)
    assert all(isinstance(row, Row) for row in found), found
    return [row.cells for row in found]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_row(end):
    assert cells(end.join(["phone,name", "1,a", "2,b"])) == [["phone", "name"], ["1", "a"], ["2", "b"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(delimiter):
    assert cells(f"name{delimiter}phone\nA{delimiter}1\n") == [["name", "phone"], ["A", "1"]]


def test_a_delimiter_inside_a_quoted_header_does_not_count():
    assert cells('"name, as written; in full"\tphone\nA\t1\n')[1] == ["A", "1"]


def test_a_file_of_one_column_needs_no_delimiter():
    assert cells("phone\n1\n2\n") == [["phone"], ["1"], ["2"]]


def test_the_delimiter_may_be_named_by_the_file():
    found = rows("sep=|\na,b|phone\nx,y|1\n")
    assert found == [Row(2, ["a,b", "phone"]), Row(3, ["x,y", "1"])]


def test_quoted_cells_keep_their_line_breaks_quotes_and_delimiters():
    assert cells('phone,note\n1,"a ""b"", c\r\nd"\n2,e\n') == [["phone", "note"], ["1", 'a "b", c\r\nd'], ["2", "e"]]


def test_rows_carry_the_line_they_start_in_and_blank_rows_are_passed_over():
    found = rows('\n\nphone,note\n\n1,"a\nb"\n,,\n2,c\n')
    assert [(row.line, row.cells[0]) for row in found] == [(3, "phone"), (5, "1"), (8, "2")]


def test_a_quote_that_is_never_closed_costs_one_row():
    lines = ["phone,name"] + [f'{n},"x' if n == 3 else f"{n},y" for n in range(10)]
    found = rows("\n".join(lines))
    assert [row.line for row in found if isinstance(row, BadRow)] == [5]
    assert [row.cells[0] for row in found if isinstance(row, Row)] == ["phone", *"012456789"]


def test_a_quote_that_is_never_closed_costs_one_row_also_far_from_the_end():
    lines = ["phone,name", '0,"x', *(f"{n},y" for n in range(1, 5 * MOST_LINES))]
    found = rows("\n".join(lines))
    assert [row.line for row in found if isinstance(row, BadRow)] == [2]
    assert len(found) == len(lines)
    assert [row.line for row in found] == list(range(1, len(lines) + 1))


def test_an_endless_line_is_refused_without_being_held():
    class Endless(io.RawIOBase):
        """200 MB of one cell, made as it is read."""

        left = 200 * 1024 * 1024

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def readinto(self, buffer) -> int:
            start = b"phone,name\n1,"
            if self.left == Endless.left:
                buffer[: len(start)] = start
                self.left -= 1
                return len(start)
            count = min(len(buffer), self.left)
            buffer[:count] = b"x" * count
            self.left -= count
            return count

    found = list(RowReader(io.BufferedReader(Endless()), "utf-8"))
    assert [type(row) for row in found] == [Row, BadRow]
    assert "longer than" in found[1].reason
    assert len(found[1].start) < 100


def test_the_row_after_an_endless_line_is_read():
    found = rows(f"phone,name\n1,{'x' * (3 * LONGEST_ROW)}\n2,b\n3,{'y' * LONGEST_ROW}\n4,d")
    assert [(row.line, isinstance(row, Row)) for row in found] == [
        (1, True),
        (2, False),
        (3, True),
        (4, False),
        (5, True),
    ]


def test_an_endless_line_inside_an_open_quote_hides_no_row():
    found = rows(f'phone,name\n1,"a\n2,{"x" * (2 * LONGEST_ROW)}\n3,c\n')
    assert [(row.line, isinstance(row, Row)) for row in found] == [(1, True), (2, False), (3, False), (4, True)]


@given(st.text(alphabet='a1",;\n\r\t\0 é', max_size=400))
def test_any_text_is_read_to_its_end_in_order(text):
    try:
        found = rows("phone,name\n" + text)
    except ImportRefusedError:
        return
    lines = [row.line for row in found]
    assert lines == sorted(set(lines))


@given(st.lists(st.lists(st.text(alphabet='ab",\n é', max_size=8), min_size=2, max_size=4), max_size=20))
def test_what_a_csv_writer_wrote_is_read_as_it_was(table):
    table = [["phone", "name"], *table]
    file = io.StringIO()
    csv.writer(file).writerows(table)
    wanted = [row for row in table if any(cell.strip() for cell in row)]
    assert [row.cells for row in rows(file.getvalue())] == wanted


# --- encodings --------------------------------------------------------------------------------------------------------

NAMES = "phone,name\n1,José Müller\n2,Łukasz\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_files_are_recognised(encoding):
    raw = NAMES.encode(encoding)
    chosen = choose_encoding(io.BytesIO(raw))
    assert rows(raw, chosen.name)[1] == Row(2, ["1", "José Müller"])
    # Only what had to be guessed is announced.
    assert bool(chosen.note) == (encoding in {"utf-16-le", "utf-16-be"})


def test_a_western_file_is_read_as_such_and_said_so():
    chosen = choose_encoding(io.BytesIO("phone,name\n1,José “Pepe”\n".encode("cp1252")))
    assert chosen.name == "cp1252"
    assert "not valid UTF-8" in chosen.note
    chosen = choose_encoding(io.BytesIO(b"phone,name\n1,Jos\xe9\x81\n"))
    assert chosen.name == "latin-1"


def test_a_foreign_byte_far_behind_the_start_is_noticed_before_the_first_row():
    raw = b"phone,name\n" + b"1,a\n" * 400_000 + b"2,Jos\xe9\n"
    assert choose_encoding(io.BytesIO(raw)).name == "cp1252"


@pytest.mark.parametrize(
    ("raw", "wanted", "reason"),
    [
        (b"", "", "empty"),
        (b"\xef\xbb\xbf\r\n \n", "", "empty"),
        (b"PK\x03\x04rest", "", "spreadsheet"),
        (b"\x1f\x8brest", "", "compressed"),
        (b"%PDF-1.7", "", "PDF"),
        (b"phone\n\xff\n", "utf-8", "near byte"),
        (b"\xff\xfea", "", "near byte"),
        (b"phone\n", "zip", "no text encoding"),
        (b"phone\n", "klingon", "no text encoding"),
        (b"phone\n", "undefined", "no text encoding"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(raw, wanted, reason):
    with pytest.raises(ImportRefusedError, match=reason) as refusal:
        choose_encoding(io.BytesIO(raw), wanted)
    assert "\n" not in str(refusal.value)


def test_random_bytes_never_do_more_than_be_refused():
    rng = random.Random(7)
    for _ in range(200):
        raw = rng.randbytes(rng.randrange(1, 3000))
        try:
            chosen = choose_encoding(io.BytesIO(raw))
            list(RowReader(io.BytesIO(raw), chosen.name))
        except ImportRefusedError:
            pass


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["=1+1", "+12125551234", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1", "'=1", "|x", "%0A"]
)
def test_what_a_spreadsheet_would_run_is_marked_as_text(cell):
    assert inert(cell).startswith("'")


def test_harmless_text_stays_as_it_is():
    assert inert("212 555 1234") == "212 555 1234"
    assert inert("a\x1b[31mb\nc") == "a [31mb c"
