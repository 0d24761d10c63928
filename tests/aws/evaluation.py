"""Evaluation of parsed expressions on items: conditions and filters, projections, placeholders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from tests.aws.errors import invalid
from tests.aws.expressions import Condition, Node, Path, parse_condition
from tests.aws.items import Item, Value, canonical

Test = Callable[["Item", "Scope"], bool]
Operand = Callable[["Item", "Scope"], "Value | None"]

_ORDERED = ("S", "N", "B")
_TYPES = ("B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M")


class Scope(NamedTuple):
    """The placeholders of a request: `#name` -> attribute name, `:value` -> canonical value."""

    names: Mapping[str, str]
    values: Mapping[str, Value]

    def resolve(self, path: Path) -> Path:
        """The path with its `#placeholders` replaced."""
        names = self.names
        return tuple(names[p] if isinstance(p, str) and p[0] == "#" else p for p in path)


def scope_of(request: Mapping[str, Any], uses: Iterable[tuple[str, frozenset[str], frozenset[str]]]) -> Scope:
    """The placeholders of `request`, checked: each used one is defined, each defined one is used.

    `uses` lists, per expression, its parameter name and the names and values that it mentions.
    """
    names: Mapping[str, str] | None = request.get("ExpressionAttributeNames")
    raw: Mapping[str, Any] | None = request.get("ExpressionAttributeValues")
    if names is None and raw is None and not uses:
        return _EMPTY
    values = {} if raw is None else {key: canonical(value)[0] for key, value in raw.items()}
    used_names: set[str] = set()
    used_values: set[str] = set()
    count = 0
    for kind, mentioned_names, mentioned_values in uses:
        count += 1
        for name in mentioned_names:
            if name not in (names or ()):
                invalid(
                    f"Invalid {kind}: An expression attribute name used in the document path is not defined; "
                    f"attribute name: {name}"
                )
        for value in mentioned_values:
            if value not in values:
                invalid(
                    f"Invalid {kind}: An expression attribute value used in expression is not defined; "
                    f"attribute value: {value}"
                )
        used_names |= mentioned_names
        used_values |= mentioned_values
    _check_unused("ExpressionAttributeNames", names, used_names, count)
    _check_unused("ExpressionAttributeValues", raw, used_values, count)
    return Scope(names or {}, values)


_EMPTY = Scope({}, {})


def _check_unused(parameter: str, given: Mapping[str, Any] | None, used: set[str], expressions: int) -> None:
    if given is None:
        return
    if not expressions:
        invalid(f"{parameter} can only be specified when using expressions")
    if not given:
        invalid(f"{parameter} must not be empty")
    unused = [name for name in given if name not in used]
    if unused:
        invalid(f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(sorted(unused))}}}")


def lookup(item: Item, path: Path, names: Mapping[str, str]) -> Value | None:
    """The value at a path, or None where any step is missing."""
    first = path[0]
    node = item.get(names[first] if first[0] == "#" else first)  # type: ignore[index,arg-type]
    for part in path[1:]:
        if node is None:
            return None
        if isinstance(part, int):
            members = node.get("L", ())
            node = members[part] if part < len(members) else None
        else:
            node = node.get("M", {}).get(names[part] if part[0] == "#" else part)
    return node


class Compiled(NamedTuple):
    """A condition ready to run."""

    parsed: Condition
    test: Test
    checks: tuple[Callable[[Scope], None], ...]

    def holds(self, item: Item, scope: Scope) -> bool:
        """Whether the item satisfies the condition."""
        return self.test(item, scope)

    def check(self, scope: Scope) -> None:
        """Refuse literals that an operator cannot take."""
        for check in self.checks:
            check(scope)

    @property
    def use(self) -> tuple[str, frozenset[str], frozenset[str]]:
        """What `scope_of` wants to know."""
        return self.parsed.kind, self.parsed.names, self.parsed.values


@lru_cache(maxsize=4096)
def compiled(kind: str, text: str) -> Compiled:
    """Parse and compile an expression of the given parameter name; raises Rejection on bad grammar."""
    parsed = parse_condition(kind, text)
    compiler = _Compiler(kind)
    test = compiler.condition(parsed.root)
    return Compiled(parsed, test, tuple(compiler.checks))


class _Compiler:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.checks: list[Callable[[Scope], None]] = []

    def condition(self, node: Node) -> Test:
        form = node[0]
        if form == "and":
            left, right = self.condition(node[1]), self.condition(node[2])
            return lambda item, scope: left(item, scope) and right(item, scope)
        if form == "or":
            left, right = self.condition(node[1]), self.condition(node[2])
            return lambda item, scope: left(item, scope) or right(item, scope)
        if form == "not":
            inner = self.condition(node[1])
            return lambda item, scope: not inner(item, scope)
        if form == "compare":
            return self.comparison(node[1], node[2], node[3])
        if form == "between":
            return self.between(node[1], node[2], node[3])
        if form == "in":
            subject = self.operand(node[1])
            members = [self.operand(member) for member in node[2]]
            return lambda item, scope: _is_in(subject(item, scope), [m(item, scope) for m in members])
        return self.call(node[1], node[2])

    def operand(self, node: Node) -> Operand:
        if node[0] == "value":
            name = node[1]
            return lambda item, scope: scope.values[name]
        if node[0] == "path":
            path = node[1]
            return lambda item, scope: lookup(item, path, scope.names)
        inner = self.operand(node[1])
        self.literal(node[1], "size", ("S", "B", "SS", "NS", "BS", "L", "M"))
        return lambda item, scope: _length(inner(item, scope))

    def literal(self, node: Node, operator: str, allowed: tuple[str, ...], label: str = "operator or function") -> None:
        """Add the check that a literal operand has one of the allowed types."""
        if node[0] != "value":
            return
        name, kind = node[1], self.kind

        def check(scope: Scope) -> None:
            actual = next(iter(scope.values[name]))
            if actual not in allowed:
                invalid(
                    f"Invalid {kind}: Incorrect operand type for operator or function; "
                    f"{label}: {operator}, operand type: {actual}"
                )

        self.checks.append(check)

    def comparison(self, operator: str, left_node: Node, right_node: Node) -> Test:
        left, right = self.operand(left_node), self.operand(right_node)
        if operator == "=":
            return lambda item, scope: (found := left(item, scope)) is not None and found == right(item, scope)
        if operator == "<>":
            return lambda item, scope: left(item, scope) != right(item, scope)
        self.literal(left_node, operator, _ORDERED)
        self.literal(right_node, operator, _ORDERED)
        wanted = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[operator]
        return lambda item, scope: order(left(item, scope), right(item, scope)) in wanted

    def between(self, subject_node: Node, low_node: Node, high_node: Node) -> Test:
        subject, low, high = self.operand(subject_node), self.operand(low_node), self.operand(high_node)
        for node in (subject_node, low_node, high_node):
            self.literal(node, "BETWEEN", _ORDERED)
        kind = self.kind
        if low_node[0] == high_node[0] == "value":

            def check(scope: Scope) -> None:
                ordered = order(scope.values[low_node[1]], scope.values[high_node[1]])
                if ordered is None:
                    invalid(f"Invalid {kind}: The BETWEEN operator requires same data type for lower and upper bounds")
                if ordered > 0:
                    invalid(
                        f"Invalid {kind}: The BETWEEN operator requires upper bound to be greater than or "
                        "equal "
                        "to lower bound"
                    )

            self.checks.append(check)

        def test(item: Item, scope: Scope) -> bool:
            value = subject(item, scope)
            return order(value, low(item, scope)) in (0, 1) and order(value, high(item, scope)) in (-1, 0)

        return test

    def call(self, function: str, arguments: tuple[Node, ...]) -> Test:
        first = self.operand(arguments[0])
        if function == "attribute_exists":
            return lambda item, scope: first(item, scope) is not None
        if function == "attribute_not_exists":
            return lambda item, scope: first(item, scope) is None
        second = self.operand(arguments[1])
        if function == "contains":
            return lambda item, scope: _contains(first(item, scope), second(item, scope))
        if function == "begins_with":
            self.literal(arguments[0], function, ("S", "B"))
            self.literal(arguments[1], function, ("S", "B"))
            return lambda item, scope: _begins(first(item, scope), second(item, scope))
        self.literal(arguments[1], function, ("S",))
        if arguments[1][0] == "value":
            name, kind = arguments[1][1], self.kind

            def check(scope: Scope) -> None:
                if scope.values[name].get("S") not in _TYPES:
                    invalid(
                        f"Invalid {kind}: Invalid attribute type name found; "
                        f"type: {scope.values[name]['S']}, valid types: {{{','.join(_TYPES)}}}"
                    )

            self.checks.append(check)
        return lambda item, scope: _has_type(first(item, scope), second(item, scope))


def order(left: Value | None, right: Value | None) -> int | None:
    """-1, 0 or 1 for two S, N or B of the same type; None where they cannot be ordered."""
    if left is None or right is None:
        return None
    ((kind, a),) = left.items()
    if kind not in _ORDERED or kind not in right:
        return None
    b = right[kind]
    if kind == "N":
        a, b = Decimal(a), Decimal(b)
    return int(a > b) - int(a < b)


def _is_in(subject: Value | None, members: list[Value | None]) -> bool:
    return subject is not None and subject in members


def _length(value: Value | None) -> Value | None:
    if value is None:
        return None
    ((kind, data),) = value.items()
    return None if kind in ("N", "BOOL", "NULL") else {"N": str(len(data))}


def _contains(container: Value | None, member: Value | None) -> bool:
    if container is None or member is None:
        return False
    ((kind, data),) = container.items()
    if kind == "L":
        return member in data
    if kind in ("SS", "NS", "BS"):
        return member.get(kind[0]) in data
    return kind in ("S", "B") and kind in member and member[kind] in data


def _begins(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None:
        return False
    ((kind, data),) = value.items()
    return kind in ("S", "B") and kind in prefix and data.startswith(prefix[kind])


def _has_type(value: Value | None, wanted: Value | None) -> bool:
    return value is not None and wanted is not None and wanted.get("S") in value


def check_overlap(kind: str, paths: Iterable[Path]) -> None:
    """Refuse two (resolved) document paths of which one leads to or through the other."""
    listed = list(paths)
    if len({path[0] for path in listed}) == len(listed):
        return
    for position, one in enumerate(listed):
        for two in listed[position + 1 :]:
            common = min(len(one), len(two))
            if one[:common] == two[:common]:
                shown = [f"[{', '.join(str(p) if isinstance(p, str) else f'[{p}]' for p in x)}]" for x in (one, two)]
                invalid(
                    f"Invalid {kind}: Two document paths overlap with each other; must remove or rewrite "
                    "one of "
                    f"these paths; path one: {shown[0]}, path two: {shown[1]}"
                )


def project(item: Item, paths: Iterable[Path]) -> Item:
    """The part of an item at the (resolved) paths, with its nesting; list members close up."""
    tree: dict[Any, Any] = {}
    for path in paths:
        node = tree
        for part in path[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = None
    result: Item = {}
    for name, branch in tree.items():
        found = _pick(item.get(name), branch)
        if found is not None:
            result[name] = found
    return result


def _pick(value: Value | None, branch: dict[Any, Any] | None) -> Value | None:
    if value is None or branch is None:
        return value
    if "M" in value:
        entries = {part: _pick(value["M"].get(part), rest) for part, rest in branch.items()}
        kept = {part: entry for part, entry in entries.items() if entry is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        places = sorted(part for part in branch if isinstance(part, int) and part < len(value["L"]))
        picked = [_pick(value["L"][place], branch[place]) for place in places]
        present = [entry for entry in picked if entry is not None]
        return {"L": present} if present else None
    return None
