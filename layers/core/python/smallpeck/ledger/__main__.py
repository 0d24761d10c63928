"""Checks a statement document without a network: `python -m smallpeck.ledger verify statement.json --root root.json`.

Needs this package and `cryptography`. The exit code is 0 where everything holds, else 1: then each line says what does
not.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smallpeck.ledger import verifying


class Unreadable(Exception):
    """A file that is not there, or no JSON."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        document = _read(asked.statement)
        roots = [_read(path) for path in asked.root]
        keys = _read(asked.key)["keys"] if asked.key else None
    except (Unreadable, KeyError, TypeError) as error:
        return _wrong([f"cannot read the files: {error}"])
    problems = verifying.verify(document, roots=roots, keys=keys)
    if problems:
        return _wrong(problems)
    sealed, open_rows = verifying.sealed_and_not(document)
    sys.stdout.write(
        f"{document['account']} in {document['currency']}: {len(document['rows'])} rows hold, {sealed} of them sealed"
        f"{f', {open_rows} newer than the last seal' if open_rows else ''}\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m smallpeck.ledger", description=__doc__)
    verify = parser.add_subparsers(dest="command", required=True).add_parser(
        "verify", help="check a statement document against published roots"
    )
    verify.add_argument("statement", type=Path, help="what GET /v1/worker/statement.json answered")
    verify.add_argument(
        "--root",
        type=Path,
        action="append",
        default=[],
        help="a root, as GET /v1/root answers; may stand many times",
    )
    verify.add_argument("--key", type=Path, help="the keys, as GET /v1/keys answers; without it, those of the roots")
    return parser


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of a member that stands twice, another reader might see the other one.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _wrong(problems: Sequence[str]) -> int:
    sys.stderr.write("".join(f"{one}\n" for one in problems))
    return 1


if __name__ == "__main__":
    sys.exit(main())
