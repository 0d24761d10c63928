"""The tutorials, as somebody follows them: every command is run, and what is promised under it is printed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from local import state
from local.paths import ROOT
from local.running import Platform
from local.seed import Seeded, seed

TUTORIALS = ROOT / "docs" / "tutorials"
RUN_BY_ANOTHER_TEST = "$ make local\n"
"""`tests/e2e/test_local_run.py` runs it."""
PATIENCE_SECONDS = 300.0
_BASH = shutil.which("bash") or "bash"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDED = "@@ that was block {}"


@dataclass(frozen=True)
class Step:
    """Commands, and the lines that they promise."""

    commands: str
    promised: tuple[str, ...] = ()


def steps(text: str) -> list[Step]:
    """The steps of a tutorial; a block of text belongs to the commands above it."""
    found: list[Step] = []
    for kind, content in _FENCED.findall(text):
        if kind == "sh":
            found.append(Step(content))
        elif kind == "text":
            assert not found[-1].promised, content
            found[-1] = replace(found[-1], promised=tuple(content.splitlines()))
        else:
            assert (kind, content) == ("console", RUN_BY_ANOTHER_TEST), "a block that nothing runs"
    return found


def missing(promised: tuple[str, ...], printed: str) -> list[str]:
    """The promised lines that were not printed, in their order, as whole lines with gaps at each `...`."""
    left = [plain(line) for line in printed.splitlines()]
    absent = []
    for line in promised:
        gaps = ".*".join(re.escape(plain(part)) for part in line.split("..."))
        pattern = re.compile(gaps.replace(r"\ ", r"\s*"))
        at = next((number for number, one in enumerate(left) if pattern.fullmatch(one)), None)
        if at is None:
            absent.append(line)
        else:
            left = left[at + 1 :]
    return absent


def plain(text: str) -> str:
    """A line without the frames of tables and without a difference between spaces and none in JSON."""
    return re.sub(r"\s+", " ", re.sub(r"[│┃]", " ", text)).replace('": ', '":').replace('", ', '",').strip()


@pytest.fixture(scope="session")
def seeded(platform: Platform) -> Seeded:
    """The people and the batch that `make local` puts there."""
    return seed(platform)


@pytest.fixture
def folder(platform: Platform, seeded: Seeded, tmp_path: Path) -> Iterator[Path]:
    """A folder that looks like the project's where the platform runs, with nothing of its owner's in reach."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    code = shlex.quote(os.pathsep.join((str(ROOT), str(ROOT / "layers" / "core" / "python"))))
    for name, command in {"smallpeck": f"{sys.executable} -m cli", "python3": sys.executable}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH={code} exec {command} "$@"\n')
        program.chmod(0o755)
    with state.written(platform, seeded, tmp_path / ".cache" / "local.json"):
        yield tmp_path


@pytest.mark.parametrize("name", ["requester", "worker", "engineer"])
def test_every_command_of_a_tutorial_does_what_it_says(folder: Path, name: str) -> None:
    found = steps((TUTORIALS / f"{name}.md").read_text(encoding="utf-8"))
    assert found
    blocks = [f"{step.commands}\necho; echo {shlex.quote(_ENDED.format(n))}" for n, step in enumerate(found)]
    done = subprocess.run(  # noqa: S603
        [_BASH, "-euo", "pipefail", "-c", "exec 2>&1\n" + "\n".join(blocks)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SMALLPECK_LOCAL": str(folder / ".cache" / "local.json"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    rest = done.stdout
    for number, step in enumerate(found):
        printed, ended, rest = rest.partition(_ENDED.format(number))
        assert ended, f"{step.commands}\nended with {done.returncode} and printed\n{printed}"
        assert missing(step.promised, printed) == [], f"{step.commands}\nprinted\n{printed}"
    assert done.returncode == 0


def test_the_overview_has_no_command_that_nothing_runs() -> None:
    assert steps((TUTORIALS / "README.md").read_text(encoding="utf-8")) == []
    assert {path.name for path in TUTORIALS.iterdir()} == {"README.md", "requester.md", "worker.md", "engineer.md"}


def test_a_promise_that_is_not_kept_is_noticed() -> None:
    table = "│ rows read │ 4 │\n│ state     │ done │\n"
    assert missing(("... rows read ... 4 ...", "... done"), table) == []
    assert missing(("... done", "... rows read ... 4 ..."), table) == ["... rows read ... 4 ..."]
    assert missing(("... rows read ... 5 ...",), table) == ["... rows read ... 5 ..."]
    assert missing(('..."state": "ok"...',), '{"a":1,"state":"ok"}') == []
    with pytest.raises(AssertionError):
        steps("```python\nprint()\n```\n")
