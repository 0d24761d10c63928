"""The grammar of DynamoDB expressions: text -> syntax tree, cached by text.

A tree is made of tuples whose first member names the node: `("path", (part, ...))` with names,
`#placeholders` and list positions as parts; `("value", ":v")`; `("size", x)`; `("compare", op, left,
right)`; `("between", x, low, high)`; `("in", x, (y, ...))`; `("and" | "or", left, right)`; `("not", x)`;
`("call", function, (argument, ...))`; and in updates `("sum", op, left, right)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from tests.aws.errors import Rejection
from tests.aws.reserved import RESERVED

Node = tuple[Any, ...]
Path = tuple[str | int, ...]

_TOKEN = re.compile(r"\s+|[#:][A-Za-z0-9_]+|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|<>|<=|>=|[=<>()\[\],.+\-]")
_NAME = re.compile(r"#?[A-Za-z_0-9]+\Z")
COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")
_PREDICATES = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_UPDATE_FUNCTIONS = {"if_not_exists": 2, "list_append": 2}
_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition, filter or key condition with the placeholders that it uses."""

    kind: str
    root: Node
    names: frozenset[str]
    values: frozenset[str]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """A parsed update: (path, value node) for SET, paths for REMOVE, (path, `:value`) for ADD and DELETE."""

    sets: tuple[tuple[Path, Node], ...]
    removes: tuple[Path, ...]
    adds: tuple[tuple[Path, str], ...]
    deletes: tuple[tuple[Path, str], ...]
    names: frozenset[str]
    values: frozenset[str]

    def targets(self) -> tuple[Path, ...]:
        """Every path that the update writes."""
        written = [path for path, _ in self.sets] + list(self.removes)
        return tuple(written + [path for path, _ in self.adds] + [path for path, _ in self.deletes])


@dataclass(frozen=True, slots=True)
class Projection:
    """A parsed projection: the paths to return."""

    paths: tuple[Path, ...]
    names: frozenset[str]


@dataclass(slots=True)
class _Parser:
    kind: str
    tokens: list[str]
    at: int = 0
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)

    def fail(self, problem: str = "") -> NoReturn:
        if not problem:
            token = self.tokens[self.at] if self.at < len(self.tokens) else "<EOF>"
            near = " ".join(self.tokens[max(0, self.at - 1) : self.at + 2])
            problem = f'Syntax error; token: "{token}", near: "{near}"'
        raise Rejection("ValidationException", f"Invalid {self.kind}: {problem}")

    def nothing_fits(self) -> Node:
        """Refuse the token at hand, where a node was wanted."""
        self.fail()

    def peek(self, ahead: int = 0) -> str:
        position = self.at + ahead
        return self.tokens[position] if position < len(self.tokens) else ""

    def word(self) -> str:
        return self.peek().upper()

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token.upper() != expected):
            self.fail()
        self.at += 1
        return token

    def end(self) -> None:
        if self.at < len(self.tokens):
            self.fail()

    def path(self) -> Path:
        parts: list[str | int] = [self.name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                parts.append(self.name())
            else:
                position = self.take()
                if not position.isdigit():
                    self.at -= 1
                    self.fail()
                parts.append(int(position))
                self.take("]")
        path = tuple(parts)
        self.paths.append(path)
        return path

    def name(self) -> str:
        token = self.peek()
        if not _NAME.match(token) or token[0].isdigit():
            self.fail()
        if token[0] == "#":
            self.names.add(token)
        elif token.upper() in RESERVED:
            self.fail(f"Attribute name is a reserved keyword; reserved keyword: {token}")
        self.at += 1
        return token

    def value(self) -> str:
        token = self.peek()
        if not token.startswith(":"):
            self.fail()
        self.values.add(token)
        self.at += 1
        return token

    def operand(self) -> Node:
        token = self.peek()
        if token.startswith(":"):
            return ("value", self.value())
        if self.peek(1) == "(" and not token.startswith("#"):
            if token != "size":
                known = token in _PREDICATES
                self.fail(
                    f"The function is not allowed to be used this way in an expression; function: {token}"
                    if known
                    else f"Invalid function name; function: {token}"
                )
            self.at += 2
            inner = self.operand()
            self.take(")")
            return ("size", inner)
        return ("path", self.path())

    def condition(self) -> Node:
        left = self.conjunction()
        while self.word() == "OR":
            self.at += 1
            left = ("or", left, self.conjunction())
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while self.word() == "AND":
            self.at += 1
            left = ("and", left, self.negation())
        return left

    def negation(self) -> Node:
        if self.word() == "NOT":
            self.at += 1
            return ("not", self.negation())
        return self.primary()

    def primary(self) -> Node:
        token = self.peek()
        if token == "(":
            self.at += 1
            opening = self.at
            inner = self.condition()
            self.take(")")
            if self.tokens[opening] == "(" and _closes(self.tokens, opening) == self.at - 2:
                self.fail("The expression has redundant parentheses;")
            return inner
        if token in _PREDICATES and self.peek(1) == "(":
            return self.predicate(token)
        left = self.operand()
        operator = self.word()
        if operator in COMPARATORS:
            self.at += 1
            return ("compare", operator, left, self.operand())
        if operator == "BETWEEN":
            self.at += 1
            low = self.operand()
            self.take("AND")
            return ("between", left, low, self.operand())
        if operator == "IN":
            self.at += 1
            self.take("(")
            members = [self.operand()]
            while self.peek() == ",":
                self.at += 1
                members.append(self.operand())
            self.take(")")
            if len(members) > 100:
                self.fail(
                    "The IN operator is provided with too many operands; number of operands: " + str(len(members))
                )
            return ("in", left, tuple(members))
        return self.nothing_fits()

    def predicate(self, function: str) -> Node:
        self.at += 2
        arguments = [self.operand()]
        while self.peek() == ",":
            self.at += 1
            arguments.append(self.operand())
        self.take(")")
        self.arity(function, len(arguments), _PREDICATES[function])
        if function not in {"begins_with", "contains"} and arguments[0][0] != "path":
            self.fail(f"Operator or function requires a document path; operator or function: {function}")
        return ("call", function, tuple(arguments))

    def arity(self, function: str, given: int, wanted: int) -> None:
        if given != wanted:
            self.fail(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {given}"
            )

    def assigned(self) -> Node:
        left = self.term()
        if self.peek() in ("+", "-"):
            return ("sum", self.take(), left, self.term())
        return left

    def term(self) -> Node:
        token = self.peek()
        if token == "(":
            self.at += 1
            inner = self.assigned()
            self.take(")")
            return inner
        if token.startswith(":"):
            return ("value", self.value())
        if self.peek(1) == "(" and not token.startswith("#"):
            if token not in _UPDATE_FUNCTIONS:
                known = token in _PREDICATES or token == "size"
                self.fail(
                    f"The function is not allowed in an update expression; function: {token}"
                    if known
                    else f"Invalid function name; function: {token}"
                )
            self.at += 2
            arguments = [self.term()]
            while self.peek() == ",":
                self.at += 1
                arguments.append(self.term())
            self.take(")")
            self.arity(token, len(arguments), _UPDATE_FUNCTIONS[token])
            if token == "if_not_exists" and arguments[0][0] != "path":
                self.fail(f"Operator or function requires a document path; operator or function: {token}")
            return ("call", token, tuple(arguments))
        return ("path", self.path())


def _closes(tokens: list[str], opening: int) -> int:
    depth = 0
    for position in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position], 0)
        if depth == 0:
            return position
    return -1


def _tokens(kind: str, text: str) -> list[str]:
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            near = text[max(0, at - 5) : at + 6]
            raise Rejection("ValidationException", f'Invalid {kind}: Syntax error; token: "{text[at]}", near: "{near}"')
        at = match.end()
        if not match.group().isspace():
            tokens.append(match.group())
    if not tokens:
        raise Rejection("ValidationException", f"Invalid {kind}: The expression can not be empty;")
    return tokens


@lru_cache(maxsize=4096)
def parse_condition(kind: str, text: str) -> Condition:
    """Parse a ConditionExpression, FilterExpression or KeyConditionExpression (`kind` is that name)."""
    parser = _Parser(kind, _tokens(kind, text))
    root = parser.condition()
    parser.end()
    return Condition(kind, root, frozenset(parser.names), frozenset(parser.values), tuple(parser.paths))


@lru_cache(maxsize=4096)
def parse_projection(text: str) -> Projection:
    """Parse a ProjectionExpression."""
    parser = _Parser("ProjectionExpression", _tokens("ProjectionExpression", text))
    paths = [parser.path()]
    while parser.peek() == ",":
        parser.at += 1
        paths.append(parser.path())
    parser.end()
    return Projection(tuple(paths), frozenset(parser.names))


@lru_cache(maxsize=4096)
def parse_update(text: str) -> Update:
    """Parse an UpdateExpression."""
    parser = _Parser("UpdateExpression", _tokens("UpdateExpression", text))
    sets: list[tuple[Path, Node]] = []
    removes: list[Path] = []
    changes: dict[str, list[tuple[Path, str]]] = {"ADD": [], "DELETE": []}
    seen: set[str] = set()
    while parser.at < len(parser.tokens):
        clause = parser.word()
        if clause not in _CLAUSES:
            parser.fail()
        if clause in seen:
            parser.fail(f'The "{clause}" section can only be used once in an update expression;')
        seen.add(clause)
        parser.at += 1
        while True:
            path = parser.path()
            if clause == "SET":
                parser.take("=")
                sets.append((path, parser.assigned()))
            elif clause == "REMOVE":
                removes.append(path)
            else:
                changes[clause].append((path, parser.value()))
            if parser.peek() != ",":
                break
            parser.at += 1
    names, values = frozenset(parser.names), frozenset(parser.values)
    return Update(tuple(sets), tuple(removes), tuple(changes["ADD"]), tuple(changes["DELETE"]), names, values)
