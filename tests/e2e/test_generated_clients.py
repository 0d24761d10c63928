"""Clients that are generated from the API document run the worker's loop as they come out of the generator."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.clients import sign_up
from local.running import Platform
from tests.e2e.market import Market

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "generated"
DOCUMENT = ROOT / "docs" / "openapi.json"


def run(*command: str, where: Path, path: str | None = None) -> str:
    """The standard output of a command that must succeed."""
    environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
    done = subprocess.run(  # noqa: S603 - the commands are written in this file
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python_program(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """How to run the loop with the generated Python package, and where that package lies."""
    folder = tmp_path_factory.mktemp("python")
    generator = Path(sys.executable).with_name("openapi-python-client")
    run(
        *(str(generator), "generate", "--path", str(DOCUMENT), "--meta", "none"),
        *("--output-path", str(folder / "small_peck_client")),
        where=folder,
    )
    return [sys.executable, str(HERE / "worker_loop.py")], str(folder)


@pytest.fixture(scope="module")
def typescript_program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How to run the loop that was compiled against the generated TypeScript types."""
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", "tsconfig.json", "worker_loop.ts"):
        shutil.copy(HERE / "typescript" / name, folder / name)
    run("npm", "ci", "--no-fund", "--no-audit", where=folder)
    run("npx", "openapi-typescript", str(DOCUMENT), "-o", "api.d.ts", "--default-non-nullable=false", where=folder)
    run("npx", "tsc", where=folder)
    return ["node", str(folder / "worker_loop.js")]


def earned(program: list[str], platform: Platform, market: Market, name: str, path: str | None = None) -> str:
    """What a new worker has earned after the loop over a batch of 25 tasks."""
    offer = market.offer(25, min_answers=1, max_answers=1)
    worker = sign_up(platform, "worker", name)
    return run(*program, platform.api, worker.token, offer.batch_id, "cat", where=ROOT, path=path).strip()


def test_the_generated_python_client_works(
    python_program: tuple[list[str], str], platform: Platform, market: Market
) -> None:
    program, path = python_program
    assert earned(program, platform, market, "generated-python", path) == "10.00"


def test_the_generated_typescript_client_works(
    typescript_program: list[str], platform: Platform, market: Market
) -> None:
    assert earned(typescript_program, platform, market, "generated-typescript") == "10.00"
