"""Synthesize the CDK app for the local stage, and not again while nothing it reads has changed.

The app is run as the CDK's own command would run it: context and output directory come by environment.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.once import alone
from local.paths import CLOUD_ASSEMBLY, LOCK, ROOT

_INPUTS = ("infra", "functions", "layers/core", "events/schemas", "uv.lock", "cdk.json")
_IGNORED = ("__pycache__", ".mypy_cache", ".ruff_cache", ".DS_Store")


class SynthFailed(RuntimeError):
    """The CDK app did not synthesize; the message is what it said."""


def synthesize(*, vendor: Path, stage: str = "local", force: bool = False) -> Path:
    """The cloud assembly for this machine, fresh. Returns its directory."""
    with alone(CLOUD_ASSEMBLY.with_suffix(".lock")):
        return _synthesize(_context(vendor=vendor, stage=stage), vendor=vendor, force=force)


def _synthesize(context: dict[str, Any], *, vendor: Path, force: bool) -> Path:
    stamp = CLOUD_ASSEMBLY.with_suffix(".stamp")
    fingerprint = _fingerprint(context, vendor)
    manifest = CLOUD_ASSEMBLY / "manifest.json"
    if not force and manifest.is_file() and stamp.is_file() and stamp.read_text() == fingerprint:
        return CLOUD_ASSEMBLY
    if shutil.which("node") is None:
        raise SynthFailed("node is missing: the CDK is a Node.js program behind its Python front")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(CLOUD_ASSEMBLY, ignore_errors=True)
    CLOUD_ASSEMBLY.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env={
            **os.environ,
            "CDK_CONTEXT_JSON": json.dumps(context),
            "CDK_OUTDIR": str(CLOUD_ASSEMBLY),
            "CDK_DEFAULT_ACCOUNT": "000000000000",
            "CDK_DEFAULT_REGION": "us-east-1",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not manifest.is_file():
        raise SynthFailed(f"infra.app ended with code {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    stamp.write_text(fingerprint)
    return CLOUD_ASSEMBLY


def _context(*, vendor: Path, stage: str) -> dict[str, Any]:
    settings = ROOT / "cdk.json"
    flags: dict[str, Any] = json.loads(settings.read_text()).get("context", {}) if settings.is_file() else {}
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = vendor.relative_to(ROOT).as_posix() if vendor.is_relative_to(ROOT) else str(vendor)
    return flags | {"stage": stage, "vendor": place, "python": running}


def _fingerprint(context: dict[str, Any], vendor: Path) -> str:
    seen = hashlib.sha256(json.dumps(context, sort_keys=True).encode())
    for layer in (vendor, *(vendor.with_name(f"{vendor.name}-{name}") for name in ("science", "rails"))):
        stamp = layer.with_suffix(".stamp")
        seen.update(stamp.read_bytes() if stamp.is_file() else LOCK.read_bytes())
    for name in _INPUTS:
        start = ROOT / name
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if path.is_file() and not any(part in _IGNORED for part in path.parts):
                seen.update(f"{path.relative_to(ROOT).as_posix()}\0{path.stat().st_size}\0".encode())
                seen.update(path.read_bytes())
    return seen.hexdigest()
