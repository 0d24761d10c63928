"""The command line of the platform, for those who run it and for those who try it.

Every command takes --stage (local, where nothing else is said: what `make local` runs) and --json. It ends with 0 where
it did what was asked, 1 where the platform refused or something is wrong, 2 where the command line cannot be tried.
"""

import argparse
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli import batches, books, queues
from cli.client import Refused
from cli.screen import Said, Screen, facts
from cli.signing import ROLES, login
from cli.stages import LOCAL, STAGES, BadUsage, Failed, open_stage
from cli.wait import NeverHappened
from smallpeck.kernel.clock import to_rfc3339

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def show_outputs(options: Namespace, _screen: Screen) -> Said:
    """What the deployment says of itself."""
    stage = open_stage(options.stage)
    return Said(
        {"stage": stage.name, "outputs": dict(stage.outputs)}, [facts(f"Outputs of {stage.name}", stage.outputs)]
    )


def sign_in(options: Namespace, _screen: Screen) -> Said:
    """Signs in, and never shows the token."""
    told = login(open_stage(options.stage), options.role, options.email)
    until = to_rfc3339(told.pop("expires_at_ms"))
    told["expires_at"] = until
    return Said(told, [f"{told['email']} is signed in as {options.role} of {options.stage} until {until}"])


def parser() -> ArgumentParser:
    """Every command."""
    top = ArgumentParser(prog="smallpeck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # Kept here alone: what a command is not given must not hide what stands before its name.
    top.set_defaults(stage=LOCAL, json=False)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "outputs", show_outputs, "what the deployment says of itself")
    one = _add(commands, "login", sign_in, "sign in; the token is kept for an hour, readable by you alone")
    one.add_argument("role", choices=ROLES)
    one.add_argument("--email", help="as whom (local: a demo person, where nobody is named)")
    _add_batches(commands)
    one = _add(commands, "upload", batches.upload_file, "send a batch its file, and wait for the import")
    one.add_argument("batch", metavar="BATCH")
    one.add_argument("file", type=Path, metavar="FILE", help=".csv or .jsonl")
    held = _add(commands, "queues", queues.show, "what waits in the queues")
    inside = held.add_subparsers(metavar="COMMAND")
    one = _add(inside, "redrive", queues.send_back, "send what dead-letter queues hold back to where it came from")
    one.add_argument("--queue", default="", metavar="NAME", help="only those whose name contains NAME")
    _add(commands, "audit", books.audit, "audit the books; 1 where they do not balance")
    payouts = commands.add_parser("payouts", help="payouts").add_subparsers(metavar="COMMAND", required=True)
    one = _add(payouts, "run", books.run_payouts, "pay out what workers asked for")
    one.add_argument("--rounds", type=int, default=8, help="how often to ask about what is not known yet")
    one.add_argument("--first-wait", type=int, default=1, metavar="SECONDS", help="doubles each time, up to an hour")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command."""
    options = parser().parse_args(arguments)
    screen = Screen(as_json=options.json)
    try:
        said: Said = options.run(options, screen)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        code = _complain(screen, error)
        if code is None:
            raise
        return code
    try:
        screen.say(said)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough. What Python still wants to flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return said.code


def _complain(screen: Screen, error: Exception) -> int | None:
    """Says what went wrong; None where that is nothing we know."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, Refused):
        _complain_of_problem(screen, error)
    elif isinstance(error, (Failed, NeverHappened)):
        code = "bad_usage" if isinstance(error, BadUsage) else "failed"
        screen.complain(str(error), "", {"title": str(error), "code": code})
        return MISUSED if isinstance(error, BadUsage) else FAILED
    elif isinstance(error, ClientError):
        told = error.response["Error"]
        document = {"title": "AWS refused", "detail": told.get("Message", ""), "code": told.get("Code", "")}
        screen.complain("AWS refused", f"{document['code']}: {document['detail']}", document)
    elif isinstance(error, BotoCoreError):
        screen.complain("AWS cannot be asked", str(error), {"title": "AWS cannot be asked", "detail": str(error)})
    else:
        return None
    return FAILED


def _complain_of_problem(screen: Screen, refused: Refused) -> None:
    problem = refused.problem
    if not isinstance(problem, dict):
        problem = {"detail": str(problem)}
    # What the gateway itself answers is no problem document.
    title = problem.get("title") or ("The API does not answer" if refused.status == 0 else f"HTTP {refused.status}")
    detail = problem.get("detail") or problem.get("message") or ""
    document = {"title": title, "status": refused.status, **problem}
    screen.complain(title, str(detail), document, problem.get("errors", ()))


def _add(commands: Any, name: str, run: Any, what: str) -> ArgumentParser:
    added: ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    added.add_argument("--stage", choices=STAGES, default=argparse.SUPPRESS, help="which deployment (local)")
    added.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="say it for programs")
    added.set_defaults(run=run)
    return added


def _add_batches(commands: Any) -> None:
    inside = commands.add_parser("batches", help="batches of the requester").add_subparsers(
        metavar="COMMAND", required=True
    )
    _add(inside, "list", batches.list_batches, "all batches, newest first")
    _of_batch(inside, "show", batches.show_batch, "one batch")
    one = _add(inside, "create", batches.create_batch, "describe a batch")
    one.add_argument("spec", type=Path, metavar="SPEC", help="a file in YAML or JSON (.json)")
    one.add_argument("--key", help="Idempotency-Key: the same key and spec make one batch, however often")
    one.add_argument("--only-id", action="store_true", help="print nothing but the batch's id")
    for change, what in {
        "publish": "pay for all answers and offer the batch to workers",
        "close": "stop asking, and take the results of what was answered",
        "cancel": "give a batch up; what was answered before is paid",
    }.items():
        one = _of_batch(inside, change, batches.change_batch, what)
        one.add_argument("--key", help="Idempotency-Key")
        one.set_defaults(change=change)
    one = _of_batch(inside, "progress", batches.progress, "how far a batch is")
    one.add_argument("--watch", action="store_true", help="until it ends")
    one.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="how often to look (2)")
    one = _of_batch(inside, "results", batches.results, "the results of a batch")
    one.add_argument("--format", default="csv", help="csv (default), jsonl, coco, labelstudio or groundtruth")
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help="into a file instead of to stdout")
    one = _of_batch(inside, "quality", batches.quality, "the report on how good the results of a batch are")
    one.add_argument("--format", default="html", choices=("html", "json"), help="a page to read (default) or json")
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help="into a file instead of to stdout")


def _of_batch(commands: Any, name: str, run: Any, what: str) -> ArgumentParser:
    added = _add(commands, name, run, what)
    added.add_argument("batch", metavar="BATCH", help="its id")
    return added


if __name__ == "__main__":
    sys.exit(main())
