"""Batches, for their requester."""

import re
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from cli.client import Client, Refused, download, lines, upload
from cli.errands import import_report
from cli.screen import Said, Screen, facts, table
from cli.signing import signed_in
from cli.stages import BadUsage, open_stage
from cli.wait import pause
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.runtime import spec_file, strict_json

ENDED: Final = frozenset({"closed", "cancelled"})
REJECTED_SHOWN: Final = 20
REJECTED_TOLD: Final = 1_000
_SUFFIXES: Final = (".csv", ".jsonl")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,93}", re.ASCII)


def list_batches(options: Namespace, _screen: Screen) -> Said:
    """All batches, newest first."""
    found = _requester(options).every("/batches", "batches")
    names = ("batch_id", "title", "state", "task_count", "price", "cost", "currency", "created_at")
    rows = [[one[name] for name in names] for one in found]
    return Said({"batches": found}, [table("Batches", [name.replace("_", " ") for name in names], rows)])


def show_batch(options: Namespace, _screen: Screen) -> Said:
    """One batch."""
    return _batch(_requester(options).get(_path(options)))


def create_batch(options: Namespace, screen: Screen) -> Said:
    """A draft from a spec in YAML or JSON."""
    created = _requester(options).post("/batches", read_spec(options.spec), key=options.key)["batch"]
    if options.only_id and not screen.as_json:
        return Said(created, [created["batch_id"]])
    return _batch(created)


def change_batch(options: Namespace, _screen: Screen) -> Said:
    """Publishes, closes or cancels a batch."""
    return _batch(_requester(options).post(_path(options, f"/{options.change}"), key=options.key))


def progress(options: Namespace, screen: Screen) -> Said:
    """How far a batch is; until its end where that is asked for."""
    requester, path = _requester(options), _path(options, "/progress")
    found = requester.get(path)
    if options.watch:
        with screen.bar(found["state"], found["task_count"]) as bar:
            while found["state"] not in ENDED:
                bar.set(found["tasks_closed"], found["task_count"], f"{found['state']}, spent {found['spent']}")
                pause(options.every)
                found = requester.get(path)
            bar.set(found["tasks_closed"], found["task_count"], found["state"])
    return Said(found, [facts(f"Progress of {options.batch}", found)])


def results(options: Namespace, screen: Screen) -> Said:
    """The results: into a file, to stdout, or where to fetch them."""
    return _fetched(options, screen, "results")


def quality(options: Namespace, screen: Screen) -> Said:
    """The report on how good the results are, as `results` are told."""
    return _fetched(options, screen, "quality")


def _fetched(options: Namespace, screen: Screen, what: str) -> Said:
    link = _requester(options).get(_path(options, f"/{what}"), format=options.format)
    if options.output is None:
        if not screen.as_json:
            download(link["url"], sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return Said(link)
    making = options.output.with_name(f".{options.output.name}.part")
    try:
        with making.open("wb") as file, screen.bar(what, size=True) as bar:
            size = download(link["url"], file, seen=bar.set)
        making.replace(options.output)
        config = _label_config(link, options.output)
    except OSError as error:
        raise BadUsage(f"{options.output} cannot be written: {error.strerror}") from error
    finally:
        making.unlink(missing_ok=True)
    told = {"format": link["format"], "path": str(options.output), "bytes": size}
    shown = [f"{size:,} bytes in {options.output}"]
    if config is not None:
        told["label_config"] = str(config)
        shown.append(f"the labelling configuration in {config}")
    return Said(told, shown)


def _label_config(link: Mapping[str, Any], output: Path) -> Path | None:
    """Writes the labelling configuration that goes with a file for Label Studio beside it."""
    if not link.get("label_config"):
        return None
    config = output.with_name(f"{output.name}.config.xml")
    config.write_text(link["label_config"], encoding="utf-8")
    return config


def upload_file(options: Namespace, screen: Screen) -> Said:
    """Sends a batch its file, waits for the import, and shows the rows that were rejected."""
    name = _upload_name(options.file)
    requester = _requester(options)
    try:
        file: BinaryIO = options.file.open("rb")
    except OSError as error:
        raise BadUsage(f"{options.file} cannot be read: {error.strerror}") from error
    with file:
        form = requester.post(_path(options, "/upload"), {"filename": name})
        before = requester.get(_path(options, "/import"))
        with screen.bar("upload", options.file.stat().st_size, size=True) as bar:
            upload(form, file, seen=bar.add)
    with screen.bar("import") as bar:

        def seen(report: Mapping[str, Any]) -> None:
            bar.set(report["rows_accepted"] + report["rows_rejected"], report["rows_read"] or None, report["state"])

        report, code = _imported(requester, options.batch, seen, before)
    rejected = _rejected(report)
    shown = [facts(f"Import into {options.batch}", report, leave_out=["quarantine_url"])]
    if rejected:
        rows = [[one["line"], one["reason"], one["detail"]] for one in rejected[:REJECTED_SHOWN]]
        shown.append(table(f"Rejected rows: {report['rows_rejected']:,}", ["line", "reason", "detail"], rows))
    told = {"batch_id": options.batch, "report": report, "rejected": rejected}
    return Said(told, shown, code)


def read_spec(path: Path) -> dict[str, Any]:
    """The batch that a file describes, as the API wants it."""
    try:
        parsed = spec_file.parse(path.name, path.read_bytes())
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {error.strerror}") from error
    except (spec_file.BadSpec, strict_json.BadJson) as error:
        raise BadUsage(f"{path}{_at(error)}: {error.detail}") from error
    if not isinstance(parsed.value, dict):
        raise BadUsage(f"{path} describes no batch: it is not a mapping of names to values")
    return parsed.value


def _at(error: SmallPeckError) -> str:
    line = getattr(error, "line", None)
    return "" if line is None else f", line {line}"


def _imported(requester: Client, batch_id: str, seen: Any, before: Any) -> tuple[Any, int]:
    try:
        return import_report(requester, batch_id, seen=seen, after=before), 0
    except Refused as refused:
        if isinstance(refused.problem, dict) and "rows_read" in refused.problem:
            return refused.problem, 1
        raise


def _rejected(report: Any) -> list[Any]:
    if not report["quarantine_url"]:
        return []
    found = []
    for line in lines(report["quarantine_url"]):
        found.append(strict_json.parse(line))
        if len(found) == REJECTED_TOLD:
            break
    return found


def _upload_name(path: Path) -> str:
    if path.suffix not in _SUFFIXES:
        raise BadUsage(f"{path.name} is neither .csv nor .jsonl")
    return path.name if _PLAIN_NAME.fullmatch(path.stem) else f"tasks{path.suffix}"


def _batch(found: Any) -> Said:
    return Said(found, [facts(found["title"], found, leave_out=["title"])])


def _requester(options: Namespace) -> Client:
    return signed_in(open_stage(options.stage), "requester")


def _path(options: Namespace, rest: str = "") -> str:
    return f"/batches/{options.batch}{rest}"
