"""Forms as browsers send them: fields, then a file that streams, in whatever pieces the network makes of them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.http.form import FIELDS_BYTES_MAX, FormReader, boundary_of

BOUNDARY = b"--x7"


class Network:
    """Gives the bytes in pieces of the given sizes, again and again."""

    def __init__(self, data, sizes=(1 << 20,)):
        self.data, self.sizes, self.turn = data, sizes, 0

    async def readany(self):
        size = self.sizes[self.turn % len(self.sizes)]
        self.turn += 1
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def part(name, value, filename=None):
    named = f'; filename="{filename}"' if filename is not None else ""
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        BOUNDARY,
        name.encode(),
        named.encode(),
        value,
    )


def form(*parts):
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


async def read(data, sizes=(1 << 20,), **limits):
    reader = FormReader(Network(data, sizes), BOUNDARY)
    found = await reader.fields()
    for name, value in limits.items():
        setattr(reader, name, value)
    pieces = []
    while piece := await reader.readany():
        pieces.append(piece)
    return found, b"".join(pieces)


values = st.binary(max_size=40).filter(lambda value: b"\r\n--" + BOUNDARY not in value)


@given(st.text("abcä", max_size=9), values, st.lists(st.integers(1, 9), min_size=1), st.binary(max_size=9))
@example("", b"\r\n--", [1], b"")
@example("", b"\r\n--\r\n----x", [3], b"")
async def test_whatever_the_network_makes_of_it(text, file, sizes, rest):
    """Field and file come out as they went in; what follows the file is forgotten."""
    data = form(part("Key", text.encode()), part("file", file, 'a\\"b.txt'), part("submit", b"Upload")) + rest
    found, body = await read(data, sizes)
    assert (found.fields, found.filename, body) == ({"key": text}, 'a"b.txt', file)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "MalformedPOSTRequest"),
        (b"no form at all", "MalformedPOSTRequest"),
        (form(), "IncorrectNumberOfFilesInPostRequest"),
        (form(part("key", b"k")), "IncorrectNumberOfFilesInPostRequest"),
        (form(part("key", b"\xff"), part("file", b"")), "MalformedPOSTRequest"),
        (form(part("key", b"k"), part("file", b"bytes"))[:-12], "MalformedPOSTRequest"),
        (form(part("key", b"k" * FIELDS_BYTES_MAX), part("file", b"")), "MaxPostPreDataLengthExceededError"),
        (form(*[part(f"k{n}", b"") for n in range(2000)], part("file", b"")), "MaxPostPreDataLengthExceededError"),
        (b"--" + BOUNDARY + b"\r\nX: " + b"y" * 30_000, "MaxPostPreDataLengthExceededError"),
    ],
)
async def test_what_is_no_form(data, code):
    """Refused with S3's code."""
    with pytest.raises(S3Error) as refused:
        await read(data, (7, 5000))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("size", "code"), [(4, "EntityTooSmall"), (5, None), (9, None), (10, "EntityTooLarge"), (100_000, "EntityTooLarge")]
)
async def test_how_large_the_file_may_be(size, code):
    """Decided while it arrives; a file that ends too early is too small."""
    data = form(part("file", b"x" * size))
    if code is None:
        assert len((await read(data, (3,), size_min=5, size_max=9))[1]) == size
        return
    with pytest.raises(S3Error) as refused:
        await read(data, (64,), size_min=5, size_max=9)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/x-www-form-urlencoded", None),
        ("", None),
        ("multipart/form-data; boundary=ä", None),
    ],
)
def test_boundaries(content_type, boundary):
    """Of forms only."""
    assert boundary_of(content_type) == boundary
