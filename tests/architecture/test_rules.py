"""Rules of the house that no linter knows."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smallpeck.runtime.settings import Settings
from smallpeck.table import keys
from tests.architecture.sources import ROOT, Source, functions, infra, layer, local

MAX_LINES = 400
MAX_STATEMENTS = 15

# A longer file needs a reason here.
LONG_FILES: dict[str, str] = {}

# What tells the time or is left to chance, and who may ask for it.
CHANCE_AND_TIME = re.compile(
    r"(time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|sleep|gmtime|localtime|strftime)"
    r"|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
    r"|(uuid|random|secrets)(\..*)?|os\.(urandom|getrandom))"
)
MAY_ASK = {
    "smallpeck.kernel.clock": {"time.time_ns"},
    "smallpeck.kernel.entropy": {"secrets", "secrets.token_bytes"},
    # How long a request took, for its log line; no decision hangs on it.
    "smallpeck.runtime.http": {"time.perf_counter"},
    # Replays a file of labels in an order that a given seed decides, and says how long it took.
    "smallpeck.consensus.evaluate": {"random", "random.Random", "time.perf_counter"},
    # How a busy table is waited for; tests put their own in its place.
    "smallpeck.table.client": {"time.sleep"},
}
READS_ENVIRONMENT = {"smallpeck.runtime.wiring", "smallpeck.runtime.observability", "functions.token_groups.handler"}
FORBIDDEN_WORDS = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of attributes, or nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (rest := dotted(node.value)):
        return f"{rest}.{node.attr}"
    return ""


def asked(source: Source) -> Iterator[str]:
    """What a module asks of the clock or of chance: by name, by import and through an alias of a module."""
    aliases = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases[alias.asname or alias.name] = alias.name
                if CHANCE_AND_TIME.fullmatch(alias.name):
                    yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if CHANCE_AND_TIME.fullmatch(f"{node.module}.{alias.name}"):
                    yield f"{node.module}.{alias.name}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = dotted(node).partition(".")
            name = f"{aliases[first]}.{rest}" if first in aliases and rest else ""
            if CHANCE_AND_TIME.fullmatch(name):
                yield name


def test_nobody_asks_the_clock_or_chance_but_the_kernel() -> None:
    guilty = {
        source.name: sorted(found)
        for source in (*layer(), *functions())
        if (found := set(asked(source)) - MAY_ASK.get(source.module, set()))
    }

    assert guilty == {}


def test_who_may_ask_does() -> None:
    assert {source.module: set(asked(source)) for source in layer() if set(asked(source))} == MAY_ASK


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()",
        "import time as t\nt.sleep(1)",
        "from time import time",
        "from datetime import datetime\ndatetime.now()",
        "from datetime import datetime as d\nd.utcnow()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import date\ndate.today()",
        "import uuid",
        "from random import choice",
        "import secrets",
        "import os\nos.urandom(3)",
    ],
)
def test_asking_is_noticed_in_every_spelling(text: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")

    assert list(asked(Source(path, "module")))


def test_the_environment_has_one_reader() -> None:
    readers = {
        source.module
        for source in (*layer(), *functions())
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and dotted(node) in ("os.environ", "os.getenv", "os.environb")
    }

    # They hand the whole environment to `Settings.from_environment` and read nothing in it themselves.
    assert readers <= READS_ENVIRONMENT
    for source in (*layer(), *functions()):
        if source.module in READS_ENVIRONMENT:
            uses = source.text.count("os.environ")
            assert uses == source.text.count("from_environment(os.environ)"), source.name


def test_files_are_read_at_one_sitting() -> None:
    long = {
        source.name
        for source in (*layer(), *functions(), *infra(), *local())
        if len(source.text.splitlines()) > MAX_LINES
    }

    assert long == set(LONG_FILES)


def test_no_room_for_odds_and_ends() -> None:
    named = [
        source.name
        for source in (*layer(), *functions(), *infra(), *local())
        if FORBIDDEN_WORDS & set(re.split(r"[._]", source.module))
    ]

    assert named == []


def statements(function: ast.FunctionDef) -> int:
    """How many statements a function has, those inside of others included, its docstring not."""
    body = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function]
    return len(body) - (ast.get_docstring(function) is not None)


def test_handlers_translate_and_nothing_else() -> None:
    thick = {
        f"{source.name}: {node.name}": count
        for source in functions()
        if source.path.name == "handler.py"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
        if (count := statements(node)) > MAX_STATEMENTS
    }

    assert thick == {}


def test_every_function_is_a_folder_with_a_handler() -> None:
    folders = [path for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"]

    assert folders
    for folder in folders:
        tree = ast.parse((folder / "handler.py").read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names |= {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "handler" in names, folder.name


def test_every_setting_is_used_and_given() -> None:
    used = {
        node.attr
        for source in (*layer(), *functions())
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
    }
    text = "\n".join(source.text for source in (*layer(), *functions()))
    # The names of the tables are put together: `{table}_table`.
    if "{table}_table" in text:
        used |= {f"{table}_table" for table in keys.TABLES}

    assert {field.name for field in dataclasses.fields(Settings)} - used == set()


def test_no_package_says_what_it_will_be() -> None:
    promises = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError|mark\.skip|mark\.xfail|importorskip")
    tests = [Source(path, path.stem) for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    guilty = [
        f"{source.name}: {match[0]}"
        for source in (*layer(), *functions(), *infra(), *local(), *tests)
        for match in promises.finditer(source.text)
        if not re.search(rf'["\']{match[0]}["\']', source.text)
    ]

    assert guilty == []


def test_every_workflow_is_json_whose_states_lead_somewhere() -> None:
    for path in sorted((ROOT / "infra/workflows").glob("*.asl.json")):
        machine = json.loads(path.read_text(encoding="utf-8"))
        for level in levels(machine):
            names = set(level["States"])
            reached = {level["StartAt"]} | {after for state in level["States"].values() for after in followers(state)}
            assert reached == names, (path.name, reached ^ names)


def levels(machine: dict[str, object]) -> Iterator[dict[str, dict[str, dict[str, object]]]]:
    """The machine and every machine inside of its maps and branches."""
    found: list[object] = [machine]
    while found:
        one = found.pop()
        if isinstance(one, dict):
            if "StartAt" in one:
                yield one
            found += one.values()
        elif isinstance(one, list):
            found += one


def followers(state: dict[str, object]) -> Iterator[object]:
    """The states that may come after one."""
    for key in ("Next", "Default"):
        if key in state:
            yield state[key]
    for key in ("Choices", "Catch"):
        for one in state.get(key, []):  # type: ignore[attr-defined]
            yield one["Next"]
