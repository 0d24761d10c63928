"""XML of other people: read without document types, so without entities, external files or expansion of any kind.

The standard library's expat, told to stop at the first declaration that could lead anywhere; deep, large and odd
documents are refused too. Names keep their namespace as `{urn:…}Name`.
"""

from typing import NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

MAX_BYTES = 20_000_000
MAX_DEPTH = 40
_ENCODINGS = frozenset({None, "utf-8", "us-ascii", "iso-8859-1"})


class BadXml(ValueError):
    """Not a document that is read: malformed, too large, too deep, with a document type, or in an odd encoding."""


def document(content: bytes) -> ET.Element:
    """The root of a document; raises BadXml, which repeats nothing of it."""
    if len(content) > MAX_BYTES:
        raise BadXml("too large")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise BadXml("too deep")
        builder.start(_qualified(name), {_qualified(one): value for one, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_qualified(name))

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding and encoding.lower()) not in _ENCODINGS:
            raise BadXml("in an encoding that is not read")

    def refused(*_: object) -> NoReturn:
        raise BadXml("with a document type")

    parser.XmlDeclHandler = declared
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refused
    parser.EntityDeclHandler = refused
    parser.UnparsedEntityDeclHandler = refused
    parser.ExternalEntityRefHandler = refused
    try:
        parser.Parse(content, True)
    except expat.ExpatError:
        raise BadXml("malformed") from None
    return builder.close()


def local_name(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: ET.Element | None, path: str) -> list[ET.Element]:
    """The elements at a path such as `RtrInf/Rsn`, whatever version of the message their namespace names."""
    found = [] if element is None else [element]
    for name in path.split("/"):
        found = [child for one in found for child in one if local_name(child) == name]
    return found


def child(element: ET.Element | None, path: str) -> ET.Element | None:
    """The first element at a path, or None."""
    return next(iter(children(element, path)), None)


def text(element: ET.Element | None, path: str) -> str | None:
    """The text of the first element at a path, without blanks around it; None where there is none."""
    found = child(element, path)
    return (found.text or "").strip() or None if found is not None else None


def _qualified(name: str) -> str:
    return "{" + name if "}" in name else name
