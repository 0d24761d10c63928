"""The API's description, made from the code: `python -m local.openapi` writes it, `--check` says where it differs."""

import argparse
import importlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.openapi_document import build
from local.paths import ROOT
from smallpeck.runtime.http import Api

AUDIENCES = ("worker", "requester", "operator")
DOCUMENT = ROOT / "docs" / "openapi.json"
_SHOWN = 40


def document() -> dict[str, Any]:
    """The OpenAPI document of every audience that has a function."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return build(list(_apis()), version=version)


def rendered(described: Mapping[str, Any]) -> str:
    """The document as it is committed."""
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def drift(committed: Any, present: Any, at: str = "#") -> Iterator[str]:
    """Each place where two documents differ: `+` is only in the code, `-` only in the file, `~` differs."""
    if isinstance(committed, dict) and isinstance(present, dict):
        for name in [*committed, *(name for name in present if name not in committed)]:
            inside = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in present:
                yield f"- {inside}"
            elif name not in committed:
                yield f"+ {inside}"
            else:
                yield from drift(committed[name], present[name], inside)
    elif isinstance(committed, list) and isinstance(present, list) and len(committed) == len(present):
        for number, (one, other) in enumerate(zip(committed, present, strict=True)):
            yield from drift(one, other, f"{at}/{number}")
    elif committed != present:
        yield f"~ {at}"


def check(committed: Path, present: str) -> list[str]:
    """What to say about a committed document; nothing where it is as the code is."""
    if not committed.is_file():
        return [f"{committed.name} is missing"]
    text = committed.read_text(encoding="utf-8")
    if text == present:
        return []
    try:
        places = list(drift(json.loads(text), json.loads(present)))
    except json.JSONDecodeError:
        places = []
    more = [f"and {len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    return [*(places[:_SHOWN] or ["only the layout differs"]), *more]


def main(arguments: list[str]) -> int:
    """Writes or checks docs/openapi.json."""
    parser = argparse.ArgumentParser(prog="local.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the committed one differs")
    options = parser.parse_args(arguments)
    present = rendered(document())
    if not options.check:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(present, encoding="utf-8")
        return 0
    differences = check(DOCUMENT, present)
    if differences:
        print("docs/openapi.json has drifted; run: python -m local.openapi", *differences, sep="\n  ", file=sys.stderr)
    return 1 if differences else 0


def _apis() -> Iterator[Api]:
    for audience in AUDIENCES:
        if (ROOT / "functions" / f"{audience}_api" / "handler.py").is_file():
            yield importlib.import_module(f"functions.{audience}_api.handler").api
    yield importlib.import_module("functions.payout_events.handler").api
    yield importlib.import_module("functions.funding_events.handler").api


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
