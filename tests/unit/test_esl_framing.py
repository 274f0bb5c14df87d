"""Framing: every capture gives the same frames whatever the chunks, and what is no frame is said to be none."""

import gzip
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esl_bridge.framing import MAX_BODY_BYTES, MAX_HEADER_BYTES, Frame, FrameSplitter, FramingError

DATA = Path(__file__).resolve().parents[1] / "data" / "esl"
CAPTURES = sorted(DATA.glob("*/*.esl.gz"))
SMALL = [path for path in CAPTURES if path.stat().st_size < 30_000]
NAMES = [f"{path.parent.name}-{path.name.removesuffix('.esl.gz')}" for path in CAPTURES]
# Frames each capture holds by an independent count of its header blocks.
LINE_BREAKS = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def content(path):
    return gzip.decompress(path.read_bytes())


def split(data, sizes):
    """All frames, feeding chunks of the sizes that the iterator `sizes` gives."""
    splitter, frames, offset = FrameSplitter(), [], 0
    while offset < len(data):
        size = next(sizes)
        frames += splitter.feed(data[offset : offset + size])
        offset += size
    return frames, splitter


def constant(size):
    while True:
        yield size


def by_hand(data):
    """An independent, naive reading of the same bytes: a list of (content type, body)."""
    frames, offset = [], 0
    while (end := data.find(b"\n\n", offset)) >= 0:
        lines = dict(line.split(b": ", 1) for line in data[offset:end].strip(b"\n").split(b"\n"))
        length = int(lines.get(b"Content-Length", 0))
        if end + 2 + length > len(data):
            break
        frames.append((lines[b"Content-Type"].decode(), data[end + 2 : end + 2 + length]))
        offset = end + 2 + length
    return frames


def test_there_are_captures_in_both_formats():
    assert {path.parent.name for path in CAPTURES} == {"json", "plain"}
    assert len(CAPTURES) >= 42


@pytest.mark.parametrize("path", CAPTURES, ids=NAMES)
def test_a_capture_gives_the_same_frames_at_any_chunk_size(path):
    data = content(path)
    expected = by_hand(data)
    whole, splitter = split(data, constant(len(data)))
    assert [(frame.content_type, frame.body) for frame in whole] == expected
    # Only the capture that was cut inside its last frame ends inside one.
    assert splitter.waiting == ("body" if path.name.startswith("17_") else "")
    random_sizes = random.Random(path.name)
    for sizes in (
        constant(1_448),
        (random_sizes.randint(1, 4_000) for _ in iter(int, 1)),
        (random_sizes.choice((1, 2, 3, 100_000)) for _ in iter(int, 1)),
    ):
        assert split(data, sizes)[0] == whole


@pytest.mark.parametrize("path", CAPTURES, ids=NAMES)
def test_a_capture_gives_the_same_frames_byte_by_byte(path):
    data = content(path)
    splitter, expected, count = FrameSplitter(), iter(by_hand(data)), 0
    for offset in range(len(data)):
        for frame in splitter.feed(data[offset : offset + 1]):
            assert (frame.content_type, frame.body) == next(expected)
            count += 1
    assert count and next(expected, None) is None


def test_header_order_and_stray_blank_lines_do_not_matter():
    data = (
        b"\n\nContent-Length: 2\nContent-Type: text/event-json\n\n{}\n\n\n"
        b"Content-Type: api/response\nContent-Length: 3\n\nyes\nContent-Type: auth/request\n\n"
    )
    for size in (1, 2, 7, len(data)):
        frames, splitter = split(data, constant(size))
        assert [(frame.content_type, frame.body) for frame in frames] == [
            ("text/event-json", b"{}"),
            ("api/response", b"yes"),
            ("auth/request", b""),
        ]
        assert splitter.waiting == ""


@pytest.mark.parametrize("line_break", LINE_BREAKS, ids=[f"U+{ord(c):04X}" for c in LINE_BREAKS])
def test_no_other_line_break_makes_a_header(line_break):
    data = f"Content-Type: command/reply\nReply-Text: +OK{line_break}Content-Length: 9{line_break}X: y\n\n".encode()
    (frame,) = FrameSplitter().feed(data)
    assert set(frame.headers) == {"Content-Type", "Reply-Text"}
    assert frame.headers["Reply-Text"] == f"+OK{line_break}Content-Length: 9{line_break}X: y"
    assert frame.body == b""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\n\n", "not a header line"),
        (b"\x16\x03\x01\x02\x00\x01\n\n", "not a header line"),
        (b"Content-Length: -5\n\n", "not a number"),
        (b"Content-Length: 1e3\n\n", "not a number"),
        ("Content-Length: \u0663\n\n".encode(), "not a number"),
        (b"Content-Length: 5\r\n\n", "not a number"),
        (b"Content-Length: %d\n\n" % (MAX_BODY_BYTES + 1), "above the limit"),
        (b"Content-Length: " + b"9" * 5_000 + b"\n\n", "above the limit"),
        (b"Content-Length: 5\nContent-Length: 6\n\n", "two different"),
        (b"Content-Type: api/response\nContent-Length: 2\nContent-Type: command/reply\n\nok", "two different"),
        (b"Content-Length: 2\n\n{}", "without Content-Type"),
        (b"Reply-Text: +OK\n\n", "without Content-Type"),
        (b"Content-Type: text/event-json\n\n", "without Content-Length"),
        (b'","Unique-ID":"a"}Content-Length: 2\nContent-Type: text/event-json\n\n{}', "not a header line"),
        (b"a b: c\n\n", "not a header line"),
        (b"X: " + b"a" * (MAX_HEADER_BYTES + 1), "no end of header"),
        (b"X: " + b"a" * (MAX_HEADER_BYTES + 1) + b"\n\n", "header block of more"),
    ],
)
def test_what_is_no_frame_is_refused_for_good(data, said):
    splitter = FrameSplitter()
    with pytest.raises(FramingError, match=said):
        splitter.feed(data)
    with pytest.raises(FramingError, match=said):
        splitter.feed(b"Content-Type: auth/request\n\n")


def test_whole_frames_before_the_fault_are_still_given():
    splitter = FrameSplitter()
    frames = splitter.feed(b"Content-Type: auth/request\n\nnonsense\n\n")
    assert [frame.content_type for frame in frames] == ["auth/request"]
    with pytest.raises(FramingError):
        splitter.feed(b"")


def test_a_body_of_16_mib_passes_in_linear_time():
    body = bytes(16 * 1024 * 1024)
    data = b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body
    started = time.process_time()
    frames, _ = split(data, constant(1_024))
    assert frames[0].body == body
    assert time.process_time() - started < 5


def test_a_header_that_trickles_in_is_not_searched_again_and_again():
    """Twice the bytes, about twice the time: a rescan from the start would take four times as long."""

    def seconds(count):
        best = 9.0
        for _ in range(3):
            splitter, started = FrameSplitter(), time.process_time()
            for _ in range(count):
                splitter.feed(b"X")
            best = min(best, time.process_time() - started)
        return best

    assert seconds(60_000) < 3.2 * seconds(30_000)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.from_regex(r"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True).filter(
                    lambda name: name not in ("Content-Length", "Content-Type")
                ),
                st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40).map(lambda v: v.strip(" ")),
                min_size=1,
                max_size=4,
            ),
            st.binary(max_size=200),
        ),
        max_size=6,
    ),
    st.data(),
)
def test_any_frames_in_any_chunks_come_out_as_they_went_in(frames, draw):
    frames = [({"Content-Type": "api/response", **headers}, body) for headers, body in frames]
    data = b"".join(
        "".join(f"{name}: {value}\n" for name, value in headers.items()).encode()
        + b"Content-Length: %d\n\n" % len(body)
        + body
        for headers, body in frames
    )
    got, splitter = split(data, iter(lambda: draw.draw(st.integers(1, 60)), 0))
    expected = [Frame({**headers, "Content-Length": str(len(body))}, body) for headers, body in frames]
    assert got == expected
    assert splitter.waiting == ""
