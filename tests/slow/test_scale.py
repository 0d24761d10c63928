"""Files of a million rows: the memory for them is bounded, and no row costs more than one of a smaller file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.slow.scale import BAD_EVERY, WORKERS

ROOT = Path(__file__).resolve().parents[2]
MOST_MB = 256
# What `reestimate` has, less what a process holds before it begins, and a third to spare.
FIT_MB = 2_000
BYTES_PER_ANSWER = 30
# What `books_audit` has, less what a process holds before it begins, and a third to spare.
AUDIT_MB = 1_100
# CPU time on a shared machine is not exact; a cost that grows with the file would be far above this.
FLAT = 1.6
PART_ROWS = 500

SIZES = [
    pytest.param((20_000, 80_000), id="20,000 and 80,000"),
    pytest.param((250_000, 1_000_000), id="250,000 and 1,000,000", marks=pytest.mark.slow),
]


def measured(what: str, rows: int) -> dict[str, Any]:
    """What a process of its own says."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "layers" / "core" / "python")))
    finished = subprocess.run(  # noqa: S603 - our own interpreter on our own module
        [sys.executable, "-m", "tests.slow.scale", what, str(rows)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "AWS_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    print(json.dumps(told))  # noqa: T201 - the figures are what it is for
    return told


def flat(small: dict[str, Any], large: dict[str, Any]) -> bool:
    """Whether a row of the larger file costs what one of the smaller does."""
    return bool(large["microseconds_per_row"] < FLAT * small["microseconds_per_row"])


@pytest.mark.parametrize("sizes", SIZES)
def test_an_import_is_split_in_bounded_memory_at_a_flat_cost_per_row(sizes: tuple[int, int]) -> None:
    small, large = (measured("import", rows) for rows in sizes)
    rows = sizes[1]
    assert (large["read"], large["rejected"]) == (rows, rows // BAD_EVERY)
    assert large["accepted"] == rows - rows // BAD_EVERY
    assert large["parts"] == -(-large["accepted"] // PART_ROWS)
    assert large["peak_growth_mb"] <= MOST_MB
    assert flat(small, large)


@pytest.mark.parametrize("sizes", SIZES)
def test_results_are_written_in_bounded_memory_at_a_flat_cost_per_task(sizes: tuple[int, int]) -> None:
    small, large = (measured("export", tasks) for tasks in sizes)
    assert large["tasks"] == sizes[1]
    assert large["bytes"] > sizes[1] * len(WORKERS) * 2 * len(WORKERS[0])
    assert large["peak_growth_mb"] <= MOST_MB
    # An upload of 8 MB parts for each form, and no more with more tasks.
    assert large["peak_growth_mb"] < small["peak_growth_mb"] + 40
    assert flat(small, large)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((50_000, 200_000), id="50,000 and 200,000"),
        pytest.param((1_000_000, 10_000_000), id="1,000,000 and 10,000,000", marks=pytest.mark.slow),
    ],
)
def test_the_answers_of_a_batch_are_fitted_within_the_memory_of_the_function(sizes: tuple[int, int]) -> None:
    small, large = (measured("fit", answers) for answers in sizes)
    assert large["rows"] == sizes[1]
    assert large["peak_growth_mb"] <= FIT_MB
    # Eight bytes an answer, eight and a few more a task; what the models hold at a time comes on top.
    more_mb = BYTES_PER_ANSWER * (sizes[1] - sizes[0]) / 1_000_000
    assert large["peak_growth_mb"] - small["peak_growth_mb"] <= more_mb + 80
    assert flat(small, large)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((5_000, 20_000), id="5,000 and 20,000"),
        pytest.param((250_000, 1_000_000), id="250,000 and 1,000,000", marks=pytest.mark.slow),
    ],
)
def test_the_books_are_audited_at_a_flat_cost_per_entry(sizes: tuple[int, int]) -> None:
    small, large = (measured("audit", entries) for entries in sizes)
    assert large["accounts"] == sizes[1] // 10 + 3
    assert large["peak_growth_mb"] <= AUDIT_MB
    assert flat(small, large)


@pytest.mark.parametrize("tasks", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_tasks_are_read_for_it_shard_by_shard_side_by_side_in_bounded_memory(tasks: int) -> None:
    told = measured("export-stored", tasks)
    assert told["tasks"] == tasks
    assert told["peak_growth_mb"] <= MOST_MB / 2
