"""The synthesized templates: made once per test run, whichever process needs them first."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.stages import STAGES
from tests.infra.templates import Deployment


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `tests.infra.synthesis` has put its assemblies."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    out = shared / "assemblies"
    with (shared / "assemblies.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not out.exists():
            _synthesize(out)
    if out.is_file():
        pytest.fail(out.read_text(), pytrace=False)
    return out


def _synthesize(out: Path) -> None:
    making = out.with_suffix(".part")
    making.mkdir()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tests.infra.synthesis", str(making)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        out.write_text(f"synthesis ended with code {done.returncode}\n{done.stdout}{done.stderr}")
    else:
        making.rename(out)


@pytest.fixture(scope="session", params=list(STAGES))
def deployment(request: pytest.FixtureRequest, assemblies: Path) -> Deployment:
    """The templates of one stage; a test that asks for it runs for every stage."""
    return Deployment.read(assemblies / request.param, request.param)


@pytest.fixture(scope="session")
def deployments(assemblies: Path) -> dict[str, Deployment]:
    """The templates of all stages."""
    return {stage: Deployment.read(assemblies / stage, stage) for stage in STAGES}
