"""Build the vendor layers from uv.lock: the packages the functions load, for a platform, with bytecode, without Docker.

    python -m local.vendor local     for the interpreter that runs this
    python -m local.vendor lambda    for Python 3.13 on arm64

The results are `build/vendor/<variant>/python`, `build/vendor/<variant>-science/python` and
`build/vendor/<variant>-rails/python`, whose parents are the layers as they stand: what all functions load, numpy for
the one that calculates with whole batches, and what speaks to payment providers for the one that pays.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.once import alone
from local.paths import CACHE, LOCK, ROOT, VENDOR

_RECIPE = "1"  # changes whenever this file builds something else from the same lock
_MEGABYTE = 1_000_000
_LIMIT_MEGABYTES = 200  # AWS allows 250 for code and layers together
_FROM_THE_RUNTIME = ("boto3", "botocore", "awscrt", "s3transfer")
_UNWANTED_DIRECTORIES = ("tests", "test", "__pycache__", "bin")
_UNWANTED_FILES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "py.typed", ".lock")
_UNWANTED_SUFFIXES = (".pyi", ".c", ".h", ".pyx", ".pxd")
# By what is added to the variant's name: which packages of the lock.
_LAYERS = {
    "": ("--no-default-groups",),
    "-science": ("--only-group", "science"),
    "-rails": ("--only-group", "rails"),
}
_CORE = ROOT / "layers" / "core"


class VendorFailed(RuntimeError):
    """The layer could not be built; the message says what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to build the layer."""

    name: str
    python: str
    install: tuple[str, ...]


def variants() -> dict[str, Variant]:
    """The variants by name."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    platform = (
        "--python-version",
        "3.13",
        "--python-platform",
        "aarch64-manylinux_2_28",
        "--only-binary",
        ":all:",
    )
    return {
        "local": Variant(name="local", python=running, install=("--python", sys.executable)),
        "lambda": Variant(name="lambda", python="3.13", install=platform),
    }


def build(name: str) -> Path:
    """Build the variant's layers unless they stand already for this lock; returns the directory of the one that all
    functions have.
    """
    variant = variants()[name]
    layers = {f"{name}{suffix}": groups for suffix, groups in _LAYERS.items()}
    with alone(VENDOR / f"{name}.lock"):
        for layer, groups in layers.items():
            stamp = VENDOR / f"{layer}.stamp"
            fingerprint = _fingerprint(variant, groups)
            if not ((VENDOR / layer).is_dir() and stamp.is_file() and stamp.read_text() == fingerprint):
                stamp.unlink(missing_ok=True)
                _make(variant, VENDOR / layer, groups)
                stamp.write_text(fingerprint)
    _check_size(name, [VENDOR / layer for layer in layers])
    return VENDOR / name


def _make(variant: Variant, layer: Path, groups: tuple[str, ...]) -> None:
    making = layer.with_suffix(".part")
    shutil.rmtree(making, ignore_errors=True)
    try:
        _install(variant, making / "python", groups)
        _trim(making / "python")
        _compile(variant, making / "python")
        shutil.rmtree(layer, ignore_errors=True)
        making.rename(layer)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _fingerprint(variant: Variant, groups: tuple[str, ...]) -> str:
    told = "\n".join(
        (_RECIPE, variant.python, sys.version if variant.name == "local" else "", *variant.install, *groups)
    )
    return hashlib.sha256(told.encode() + LOCK.read_bytes()).hexdigest()


def _install(variant: Variant, target: Path, groups: tuple[str, ...]) -> None:
    target.mkdir(parents=True)
    requirements = target.parent.with_suffix(".requirements.txt")
    export = ("export", "--quiet", "--locked", *groups, "--no-emit-project", "--no-header")
    requirements.write_text(_without_the_runtimes_own(_uv(*export)))
    _uv(
        "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(target),
        *variant.install, "--requirement", str(requirements),
    )  # fmt: skip


def _without_the_runtimes_own(requirements: str) -> str:
    kept, skipping = [], False
    for line in requirements.splitlines():
        if line and not line[0].isspace():
            skipping = line.split("==")[0].strip().lower() in _FROM_THE_RUNTIME
        if not skipping:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _trim(packages: Path) -> None:
    for path in sorted(packages.rglob("*"), reverse=True):
        if path.is_dir() and path.name in _UNWANTED_DIRECTORIES:
            shutil.rmtree(path)
        elif path.is_file() and (path.name in _UNWANTED_FILES or path.suffix in _UNWANTED_SUFFIXES):
            path.unlink()


def _compile(variant: Variant, packages: Path) -> None:
    interpreter = sys.executable if variant.name == "local" else _interpreter(variant.python)
    # Unchecked: the zip gives every file the same date, so bytecode that checks dates would never be used.
    # The exit code is 1 when some file is not for this Python, which is that file's right.
    subprocess.run(
        [
            interpreter, "-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "unchecked-hash",
            "-s", str(packages), "-p", "/opt/python", str(packages),
        ],
        check=False,
        cwd=ROOT,
    )  # fmt: skip
    if next(packages.rglob("*.pyc"), None) is None:
        raise VendorFailed(f"{interpreter} compiled nothing in {packages}")


def _interpreter(version: str) -> str:
    # pyenv's shims refuse versions that are not selected, so its versions are offered by their own paths first.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    own = [str(path / "bin") for path in sorted(pyenv.glob(f"{version}.*"))]
    path = os.pathsep.join([*own, os.environ.get("PATH", "")])
    try:
        return _uv("python", "find", version, PATH=path).strip()
    except VendorFailed as missing:
        raise VendorFailed(
            f"Python {version} is needed once to compile the vendor layer for AWS; "
            f"`{_uv_binary()} python install {version}` fetches it\n{missing}"
        ) from missing


def _uv_binary() -> str:
    ours = CACHE / "tools" / "bin" / "uv"
    found = os.environ.get("UV") or (str(ours) if ours.is_file() else shutil.which("uv"))
    if not found:
        raise VendorFailed("uv is missing: `make bootstrap` installs it")
    return found


def _uv(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [_uv_binary(), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise VendorFailed(f"uv {' '.join(arguments[:2])} failed\n{done.stderr.strip()}")
    return done.stdout


def _check_size(name: str, layers: Sequence[Path]) -> None:
    sizes = {layer.name.replace(name, "vendor", 1): _megabytes(layer) for layer in layers}
    sizes |= {"core": _megabytes(_CORE)}
    total = sum(sizes.values())
    told = ", ".join(f"{part} {size:.1f} MB" for part, size in sizes.items())
    if total >= _LIMIT_MEGABYTES:
        raise VendorFailed(f"layers for {name} unzip to {total:.0f} MB ({told}); the limit is {_LIMIT_MEGABYTES} MB")
    print(f"  layers    {name}: {told} unzipped", file=sys.stderr)


def _megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / _MEGABYTE


def main() -> int:
    """Build the variants named on the command line."""
    known = variants()
    names = sys.argv[1:]
    if not names or any(name not in known for name in names):
        print(f"usage: python -m local.vendor {'|'.join(known)} ...", file=sys.stderr)
        return 2
    try:
        for name in names:
            build(name)
    except VendorFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
