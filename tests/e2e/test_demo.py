"""The demo as a person runs it: on its own sample, on real labels, and on labels that do not fit together."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from local import answers, demo
from local.paths import ROOT
from local.running import running
from local.summary import faults, summary
from smallpeck.consensus.evaluate import evaluate

RTE = ROOT.parent / "shared" / "datasets" / "rte"
KEYS = [
    "tasks",
    "answers",
    "accuracy",
    "labels_saved",
    "decided_as_evaluated",
    "credited_micros",
    "fee_micros",
    "escrow_left_micros",
    "payouts_settled",
    "paid_out_micros",
    "rows_rejected",
    "books_balanced",
    "seconds",
]
REWARD_MICROS, FEE_MICROS = 400_000, 100_000


def _demo(*arguments: str) -> tuple[int, Any]:
    """Runs the demo in a process of its own: its exit code, and its last line as JSON."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "local.demo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_the_sample(tmp_path: Path) -> None:
    code, told = _demo("--log", str(tmp_path / "engine.log"))
    assert code == 0
    assert list(told) == KEYS
    assert (told["tasks"], told["answers"], told["rows_rejected"]) == (60, 180, 2)
    assert (told["credited_micros"], told["fee_micros"]) == (180 * REWARD_MICROS, 180 * FEE_MICROS)
    assert (told["escrow_left_micros"], told["books_balanced"]) == (0, True)
    assert told["payouts_settled"] > 0
    assert 0 < told["paid_out_micros"] <= told["credited_micros"]
    assert told["accuracy"] > 0.8


def test_real_labels_give_what_the_engine_gives_outside_the_platform(tmp_path: Path) -> None:
    if not RTE.is_dir():
        pytest.skip(f"{RTE} is not there")
    labels = answers.from_folder(RTE, 100)
    console = Console(file=io.StringIO())
    with running(console=console, log_path=tmp_path / "engine.log") as platform:
        facts = demo.run(demo.Job(platform, labels, Progress(console=console)))
        books = platform.provider.books()

    assert faults(facts) == []
    told = summary(facts)
    assert list(told) == KEYS
    assert (told["tasks"], told["answers"], told["labels_saved"]) == (100, 1_000, 0)
    assert told["accuracy"] == pytest.approx(_evaluated(tmp_path, labels, "all"), abs=1e-6)
    assert told["accuracy"] > 0.87
    assert told["decided_as_evaluated"]
    assert facts.credited + facts.fees + facts.refunded == facts.escrowed
    assert (told["escrow_left_micros"], told["books_balanced"]) == (0, True)
    assert books["most_payments_per_key"] == 1
    assert books["paid_count"] == books["keys"] == told["payouts_settled"] > 0


def test_a_batch_that_stops_when_it_is_certain_saves_labels(tmp_path: Path) -> None:
    """Every page is sent twice, and the workers come side by side."""
    if not RTE.is_dir():
        pytest.skip(f"{RTE} is not there")
    arguments = ("--dataset", str(RTE), "--tasks", "60", "--dynamic", "--log", str(tmp_path / "engine.log"))
    code, told = _demo(*arguments)
    assert code == 0
    assert told["tasks"] == 60
    assert told["labels_saved"] > 0.3
    assert told["accuracy"] > 0.8
    assert told["decided_as_evaluated"]
    assert told["credited_micros"] == told["answers"] * REWARD_MICROS
    assert (told["escrow_left_micros"], told["books_balanced"]) == (0, True)


def test_rows_with_fewer_labels_are_refunded(tmp_path: Path) -> None:
    """Three labels here, two there, one elsewhere: the batch is closed early; what was not answered comes back."""
    given = {
        "a": {"ann": "x", "bob": "x", "cid": "y"},
        "b": {"ann": "x", "bob": "y"},
        "c": {"cid": "y"},
    }
    gold = {"a": "x", "b": "y", "c": "x"}
    _write(tmp_path / "gold.csv", ["task", "label"], gold.items())
    rows = [(task, worker, label) for task, labels in given.items() for worker, label in labels.items()]
    _write(tmp_path / "labels.csv", ["task", "worker", "label"], rows)

    code, told = _demo("--dataset", str(tmp_path), "--log", str(tmp_path / "engine.log"))

    assert code == 0
    assert (told["tasks"], told["answers"]) == (3, 6)
    assert told["decided_as_evaluated"]
    assert (told["credited_micros"], told["fee_micros"]) == (6 * REWARD_MICROS, 6 * FEE_MICROS)
    assert (told["escrow_left_micros"], told["books_balanced"]) == (0, True)
    assert (told["payouts_settled"], told["paid_out_micros"]) == (0, 0)


def _evaluated(folder: Path, labels: answers.Labels, mode: str) -> float:
    """The accuracy that `evaluate` reaches on the same answers."""
    _write(folder / "gold.csv", ["task", "label"], labels.gold.items())
    rows = [(task, worker, label) for worker, given in labels.answers.items() for task, label in given.items()]
    _write(folder / "labels.csv", ["task", "worker", "label"], rows)
    run = evaluate(kind="choice", labels=folder / "labels.csv", gold=folder / "gold.csv", mode=mode)
    return float(str(run.report["accuracy"]))


def _write(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
