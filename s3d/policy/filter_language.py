"""Textual filters: which objects a rule is about, in one line that an operator can read.

    photos                                   the bucket and everything in it
    photos/raw/*                             keys that begin with raw/
    site-*/logs/*.gz                         `*` stands for any run of characters, also for none and for slashes
    photos/*[hdr:content-type='video/*']     a content header; its name in any case
    photos/*[hdr:content-length<1048576]     numbers: < <= > >=
    photos[tag:class=alert][md:camera!=7]    a tag, a user metadata entry; all that stands in brackets must hold

`[tag:k]` holds where there is such a tag, `[tag:k!=v]` also where there is none. A backslash takes the next character
of a name or key as it is; a value with odd characters goes in single quotes, doubled inside.
"""

from collections.abc import Mapping
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from s3d.errors import S3dError
from s3d.policy.filters import ORDER, Filter, Kind, Pattern, Predicate

FILTER_CHARACTERS_MAX = 4096

_GRAMMAR = r"""
filter: BUCKET predicate* ("/" KEY? predicate*)?
predicate: "[" KIND ":" NAME (OPERATOR value)? "]"
value: QUOTED | BARE

KIND: "tag" | "hdr" | "md"
OPERATOR: "!=" | "<=" | ">=" | "=" | "<" | ">"
BUCKET: /(\\.|[^\\\/\[\]])+/s
KEY: /(\\.|[^\\\[\]])+/s
NAME: /[^=!<>\[\]]+/
QUOTED: /'([^']|'')*'/s
BARE: /[^'\[\]][^\[\]]*/
"""

_EXPECTED = {
    "BUCKET": "a bucket's name",
    "KEY": "a key",
    "KIND": "tag:, hdr: or md:",
    "NAME": "a name",
    "OPERATOR": "= or another comparison",
    "QUOTED": "a value",
    "BARE": "a value",
    "COLON": "a colon",
    "LSQB": "[",
    "RSQB": "]",
    "SLASH": "/",
    "$END": "the end",
}


class FilterError(S3dError):
    """A filter that cannot be read; the message has the column, counted from 1."""


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises FilterError."""
    if len(text) > FILTER_CHARACTERS_MAX:
        raise FilterError(f"a filter has at most {FILTER_CHARACTERS_MAX} characters, not {len(text):,}")
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise FilterError(f"the filter {text!r} is not understood {_where(text, error)}", hint=_hint(error)) from None
    bucket, key = "", "*"
    predicates = []
    for child in tree.children:
        if isinstance(child, Tree):
            predicates.append(_predicate(text, child))
        elif child.type == "BUCKET":
            bucket = str(child)
        else:
            key = str(child)
    return Filter(text, _pattern(bucket), _pattern(key), tuple(predicates))


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, start="filter", parser="lalr", lexer="contextual")


def _predicate(text: str, tree: Tree[Token]) -> Predicate:
    kind, name, *rest = tree.children
    assert isinstance(kind, Token)
    assert isinstance(name, Token)
    exact = str(name).strip()
    spoken = exact if kind == "tag" else exact.lower()
    if not rest:
        return Predicate(_kind(kind), spoken)
    comparison, value = rest
    assert isinstance(value, Tree)
    token = value.children[0]
    assert isinstance(token, Token)
    plain = str(token)[1:-1].replace("''", "'") if token.type == "QUOTED" else str(token).strip()
    if comparison not in ORDER:
        return Predicate(_kind(kind), spoken, str(comparison), Pattern(tuple(plain.split("*"))))
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 20):
        raise FilterError(
            f"the filter {text!r} compares {exact} with {plain!r}, which is no number (column {token.column})",
            hint=f"{comparison} takes a whole number, for instance [{kind}:{exact}{comparison}1048576]",
        )
    return Predicate(_kind(kind), spoken, str(comparison), number=int(plain))


def _kind(token: Token) -> Kind:
    kinds: Mapping[str, Kind] = {"tag": "tag", "hdr": "hdr", "md": "md"}
    return kinds[str(token)]


def _pattern(text: str) -> Pattern:
    """Split at the stars that no backslash takes away."""
    runs, run, escaped = [], "", False
    for character in text:
        if escaped or character not in "\\*":
            run, escaped = run + character, False
        elif character == "\\":
            escaped = True
        else:
            runs.append(run)
            run = ""
    return Pattern((*runs, run))


def _where(text: str, error: UnexpectedInput) -> str:
    ended = isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
    at = error.pos_in_stream
    return "at its end" if ended or at is None or not 0 <= at < len(text) else f"at column {at + 1}"


def _hint(error: UnexpectedInput) -> str:
    expected: set[str] = set()
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
    elif isinstance(error, UnexpectedCharacters):
        expected = set(error.allowed or ())
    elif isinstance(error, UnexpectedEOF):
        expected = set(error.expected)
    words = sorted({_EXPECTED[name] for name in expected if name in _EXPECTED})
    return f"expected {' or '.join(words)}; a filter looks like bucket/prefix*[tag:key=value]" if words else ""
