"""Reading a request's XML document, which anybody may have written.

expat is driven directly, by tables compiled from the shape: no tree is built, and a document is refused at the first
thing wrong with it. A DOCTYPE is refused before its first entity (no entity is ever expanded), elements nest at most
`DEPTH_MAX` deep, and the body is one bounded buffer given to expat in one piece (so that a token is never scanned
twice). Namespaces are not checked: real clients send S3's, an old one, or none. Unknown elements are skipped, as S3
does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from xml.parsers import expat

from s3d.errors import S3Error
from s3d.protocol import convert
from s3d.protocol.errors import MESSAGE
from s3d.protocol.model import Shape

DEPTH_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Scalar:
    """An element with text. `parse` raises ValueError."""

    parse: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Sequence:
    """An element whose children are items."""

    item_name: str
    item: "Plan"


@dataclass(frozen=True, slots=True)
class Structure:
    """An element with named children."""

    children: "dict[str, Child]"
    required: tuple[str, ...]
    attribute: tuple[str, str] | None  # local name and member


@dataclass(frozen=True, slots=True)
class Child:
    """What a child element is to its parent; `repeats` for flattened lists."""

    member: str
    plan: "Plan"
    repeats: bool
    longest: int | None


Plan = Scalar | Sequence | Structure


def compile_plan(shape: Shape) -> Plan:
    """The tables to read a document of this shape."""
    if shape.kind == "structure":
        return _structure(shape)
    if shape.kind == "list":
        assert shape.item is not None
        return Sequence(shape.item_name, compile_plan(shape.item))
    return Scalar(convert.document_text(shape))


def read_document(body: bytes, roots: tuple[str, ...], plan: Plan, malformed: str = "MalformedXML") -> Any:
    """The document's value: a dict for a structure. Raises S3Error with the code `malformed`."""
    reader = _Reader(roots, plan)
    try:
        return reader.read(body)
    except (expat.ExpatError, _Malformed) as error:
        raise S3Error(malformed, MESSAGE[malformed]) from error


class _Malformed(Exception):
    """The document does not fit; what exactly is for the log, S3 does not tell."""


class _Frame:
    """An open element: its plan, the value so far, and what it is to its parent."""

    __slots__ = ("child", "plan", "value")

    def __init__(self, plan: Plan, child: Child | None) -> None:
        self.plan = plan
        self.child = child
        self.value: Any = {} if isinstance(plan, Structure) else []  # a scalar collects its text in a list


class _Reader:
    """One document. The stack holds the open elements that are known; `skipped` counts those inside an unknown one."""

    def __init__(self, roots: tuple[str, ...], plan: Plan) -> None:
        self._roots = roots
        self._plan = plan
        self._stack: list[_Frame] = []
        self._skipped = 0
        self._result: Any = None

    def read(self, body: bytes) -> Any:
        parser = expat.ParserCreate("utf-8", " ")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.Parse(body, True)  # noqa: FBT003  (expat takes no names)
        return self._result

    def _start(self, name: str, attributes: list[str]) -> None:
        if len(self._stack) + self._skipped >= DEPTH_MAX:
            raise _Malformed("too deep")
        if self._skipped:
            self._skipped += 1
            return
        local = name.rpartition(" ")[2]
        if not self._stack:
            if local not in self._roots:
                raise _Malformed(f"the root is {local}")
            self._open(_Frame(self._plan, None), attributes)
            return
        parent = self._stack[-1]
        child = _child_of(parent, local)
        if child is None:
            self._skipped = 1
        else:
            self._open(_Frame(child.plan, child), attributes)

    def _open(self, frame: _Frame, attributes: list[str]) -> None:
        if attributes and isinstance(frame.plan, Structure) and frame.plan.attribute is not None:
            local, member = frame.plan.attribute
            for name, value in zip(attributes[::2], attributes[1::2], strict=True):
                if name.rpartition(" ")[2] == local:
                    frame.value[member] = value
        self._stack.append(frame)

    def _text(self, text: str) -> None:
        if not self._skipped and self._stack and isinstance(self._stack[-1].plan, Scalar):
            self._stack[-1].value.append(text)

    def _end(self, _name: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        frame = self._stack.pop()
        value = _closed(frame)
        if self._stack:
            _store(self._stack[-1], frame.child, value)
        else:
            self._result = value


def _structure(shape: Shape) -> Structure:
    children = {}
    for member in shape.members:
        if member.attribute or (member.wire in children and not member.flattened):
            continue  # two members in one element are a list and its deprecated single form: the list can hold both
        plan = compile_plan(member.shape)
        if member.flattened:
            assert isinstance(plan, Sequence)
            plan = plan.item
        children[member.wire] = Child(member.name, plan, repeats=member.flattened, longest=member.longest)
    attribute = next((m for m in shape.members if m.attribute), None)
    return Structure(
        children=children,
        required=tuple(member.name for member in shape.members if member.required),
        attribute=(attribute.wire.rpartition(":")[2], attribute.name) if attribute else None,
    )


def _child_of(parent: _Frame, local: str) -> Child | None:
    """What an element is inside its parent; None for one that is not known."""
    plan = parent.plan
    if isinstance(plan, Structure):
        child = plan.children.get(local)
        if child is not None and not child.repeats and child.member in parent.value:
            raise _Malformed(f"{local} twice")
        return child
    if isinstance(plan, Sequence):
        return Child("", plan.item, repeats=True, longest=None) if local == plan.item_name else None
    raise _Malformed(f"{local} inside text")


def _closed(frame: _Frame) -> Any:
    plan = frame.plan
    if isinstance(plan, Scalar):
        try:
            return plan.parse("".join(frame.value))
        except ValueError as error:
            raise _Malformed(str(error)) from error
    if isinstance(plan, Structure):
        for member in plan.required:
            if member not in frame.value:
                raise _Malformed(f"{member} is missing")
    return frame.value


def _store(parent: _Frame, child: Child | None, value: object) -> None:
    assert child is not None
    if isinstance(parent.plan, Sequence):
        parent.value.append(value)
    elif child.repeats:
        items = parent.value.setdefault(child.member, [])
        items.append(value)
        if child.longest is not None and len(items) > child.longest:
            raise _Malformed(f"more than {child.longest} of {child.member}")
    else:
        parent.value[child.member] = value


def _refuse_doctype(*_declaration: object) -> None:
    raise _Malformed("a DOCTYPE")
