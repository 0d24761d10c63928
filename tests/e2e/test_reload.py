"""Code that is edited while the platform runs: the next request sees it. What is edited here is a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from local.reload import CORE, CORE_NAME, FUNCTIONS, Change, Reloader
from local.running import Platform

EDIT = """

from smallpeck.edited import VALUE

_handler_before = handler


def handler(event, context):
    answer = _handler_before(event, context)
    return {**answer, "headers": {**answer["headers"], "x-edited": VALUE}}
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The code, to be edited."""
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FUNCTIONS, tmp_path / "functions", ignore=left_out)
    shutil.copytree(CORE, tmp_path / "core", ignore=left_out)
    return tmp_path


@pytest.fixture
def reloader(platform: Platform, copy: Path) -> Iterator[Reloader]:
    """A reloader of the copy. In the end everything is as it was."""
    originals = {path: path.read_bytes() for path in (copy / "functions" / "worker_api").rglob("*.py")}
    found = Reloader(platform.engine.client("lambda"), copy / "functions", copy / "core")
    yield found
    for path, content in originals.items():
        path.write_bytes(content)
    (copy / "core" / "python" / "smallpeck" / "edited.py").unlink(missing_ok=True)
    assert [one.problem for one in found.changes()] == ["", ""]


def edited(platform: Platform) -> str | None:
    """What an answer of the API carries."""
    answer = urllib3.request("GET", f"{platform.api}/healthz", retries=False)
    assert answer.status == 200
    return answer.headers.get("x-edited")


def test_an_edit_takes_effect_with_the_next_request(platform: Platform, reloader: Reloader, copy: Path) -> None:
    handler = copy / "functions" / "worker_api" / "handler.py"
    module = copy / "core" / "python" / "smallpeck" / "edited.py"
    assert reloader.changes() == []
    assert edited(platform) is None

    module.write_text('VALUE = "one"\n')
    handler.write_text(handler.read_text() + EDIT)
    assert reloader.changes() == [Change(CORE_NAME), Change("worker_api")]
    assert edited(platform) == "one"
    assert reloader.changes() == []

    module.write_text('VALUE = "three"\n')
    assert reloader.changes() == [Change(CORE_NAME)]
    assert edited(platform) == "three"

    sound = handler.read_text()
    handler.write_text(sound + "\ndef broken(:\n")
    module.write_text("VALUE = (\n")
    found = reloader.changes()
    assert {one.part for one in found} == {CORE_NAME, "worker_api"}
    assert all(one.problem for one in found)
    assert f"{handler}:{len(sound.splitlines()) + 2}: " in next(
        one.problem for one in found if one.part == "worker_api"
    )
    assert edited(platform) == "three"
    assert reloader.changes() == []

    handler.write_text(sound)
    module.write_text('VALUE = "four four"\n')
    assert reloader.changes() == [Change(CORE_NAME), Change("worker_api")]
    assert edited(platform) == "four four"


def test_a_function_that_is_not_deployed_is_said(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "functions").mkdir()
    found = Reloader(platform.engine.client("lambda"), tmp_path / "functions", tmp_path / "core")
    (tmp_path / "functions" / "brand_new").mkdir()
    (tmp_path / "functions" / "brand_new" / "handler.py").write_text("")
    assert [(one.part, "not" in one.problem.lower()) for one in found.changes()] == [("brand_new", True)]
