"""What becomes an asset: one function's folder, the business code, the vendored packages.

A function's package holds `functions/<name>/` and nothing of the others, so that the module is called
`functions.<name>.handler` in Lambda as in tests. Assets are staged without bytecode of whoever ran the code last, and
with that of the Python they are for where this machine has it: Lambda cannot keep what it compiles in `/opt`.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_cdk import aws_lambda as lambda_

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ROOT / "functions"
CORE = ROOT / "layers" / "core"
WORKFLOWS = ROOT / "infra" / "workflows"

_DEPLOYED_PYTHON = "3.13"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*")


class MissingPart(FileNotFoundError):
    """A part of the deployment is not where it should be."""


@dataclass(frozen=True)
class Target:
    """What the code will run on, and where its parts are staged."""

    python: str
    architecture: lambda_.Architecture
    vendor: Path
    staging: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="small-peck-")))

    @property
    def runtime(self) -> lambda_.Runtime:
        """The Lambda runtime, whether or not this CDK release has a constant for it."""
        return lambda_.Runtime(f"python{self.python}", lambda_.RuntimeFamily.PYTHON)

    def clean(self) -> None:
        """Remove what was staged; the assembly has its own copies."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def function_code(self, name: str) -> lambda_.Code:
        """The package of one function."""
        source = FUNCTIONS / name
        if not (source / "handler.py").is_file():
            raise MissingPart(f"{source.relative_to(ROOT)}/handler.py is missing")
        root = self.staging / "functions" / name
        shutil.copytree(source, root / "functions" / name, ignore=_LEFT_OUT)
        return self._asset(root)

    def core_code(self) -> lambda_.Code:
        """The layer of business code."""
        root = self.staging / "core"
        shutil.copytree(CORE, root, ignore=_LEFT_OUT)
        return self._asset(root, prefix="/opt/")

    def vendor_code(self) -> lambda_.Code:
        """The layer of third-party packages, as it was built."""
        if not (self.vendor / "python").is_dir():
            raise MissingPart(f"{self.vendor}/python is missing: build the vendor layers first")
        return lambda_.Code.from_asset(str(self.vendor))

    def science_code(self) -> lambda_.Code:
        """The layer of packages that only whole batches need: it stands beside the other, under the name `-science`."""
        return self._beside("science")

    def rails_code(self) -> lambda_.Code:
        """The layer of packages that speak to payment providers, under the name `-rails`."""
        return self._beside("rails")

    def _beside(self, name: str) -> lambda_.Code:
        layer = self.vendor.with_name(f"{self.vendor.name}-{name}")
        if not (layer / "python").is_dir():
            raise MissingPart(f"{layer}/python is missing: build the vendor layers first")
        return lambda_.Code.from_asset(str(layer))

    def _asset(self, root: Path, *, prefix: str = "/var/task/") -> lambda_.Code:
        fingerprint = _fingerprint(root, self.python)
        compiled = _compile(root, prefix, self.python)
        # The hash is that of the sources: bytecode follows from them, but not byte for byte.
        return lambda_.Code.from_asset(str(root), asset_hash=f"{fingerprint}{'c' if compiled else ''}")


def target(context: Mapping[str, Any], *, local: bool) -> Target:
    """The target that the CDK's context asks for: this machine for the local stage, else arm64."""
    variant = "local" if local else "lambda"
    vendor = Path(context.get("vendor") or f"build/vendor/{variant}")
    here = platform.machine().lower() in {"aarch64", "arm64"}
    arm = here if local else True
    return Target(
        python=str(context.get("python") or (_running() if local else _DEPLOYED_PYTHON)),
        architecture=lambda_.Architecture.ARM_64 if arm else lambda_.Architecture.X86_64,
        vendor=vendor if vendor.is_absolute() else ROOT / vendor,
    )


def _running() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _fingerprint(root: Path, python: str) -> str:
    seen = hashlib.sha256(python.encode())
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        body = path.read_bytes()
        seen.update(f"\0{path.relative_to(root).as_posix()}\0{len(body)}\0".encode())
        seen.update(body)
    return seen.hexdigest()


def _compile(root: Path, prefix: str, python: str) -> bool:
    """Compile everything below `root` with that Python; whether there is one here that does it."""
    interpreter = sys.executable if python == _running() else shutil.which(f"python{python}")
    if interpreter is None:
        return False
    # Unchecked: every file in an asset's zip has the same date, so bytecode that checks dates is never used.
    done = subprocess.run(  # noqa: S603
        [
            interpreter, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash",
            "-s", str(root), "-p", prefix, str(root),
        ],
        check=False,
        capture_output=True,
    )  # fmt: skip
    return done.returncode == 0
