"""The vendor layer holds what the functions import, no more, and starts from bytecode."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import vendor


@pytest.fixture(scope="module")
def packages() -> Path:
    """The layer for this machine, built unless it stands already."""
    return vendor.build("local") / "python"


def test_it_is_enough_by_itself(packages: Path) -> None:
    """Without the development environment: nothing but the standard library and the layer."""
    code = """
import aws_lambda_powertools, cryptography.fernet, jsonschema, pydantic
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
cryptography.fernet.Fernet.generate_key()
class Model(pydantic.BaseModel): n: int
assert Model(n="1").n == 1
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages)}
    subprocess.run([sys.executable, "-S", "-W", "error", "-c", code], env=environment, check=True)  # noqa: S603


def test_what_the_lambda_runtime_has_is_left_out(packages: Path) -> None:
    assert not {"boto3", "botocore", "awscrt", "s3transfer"} & {path.name for path in packages.iterdir()}
    assert not [path for path in packages.rglob("*") if path.name in {"tests", "RECORD", "bin"}]


def test_every_module_has_bytecode_that_nobody_checks(packages: Path) -> None:
    expected = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    modules = [path for path in packages.rglob("*.py") if path.stat().st_size]
    with_bytecode = [path for path in modules if Path(importlib.util.cache_from_source(str(path))).is_file()]
    assert len(modules) > 500
    assert len(with_bytecode) == len(modules)
    assert {Path(importlib.util.cache_from_source(str(path))).read_bytes()[:8] for path in modules} == {expected}


def test_numpy_stands_in_a_layer_of_its_own(packages: Path) -> None:
    science = packages.parent.with_name("local-science") / "python"
    assert not [path for path in packages.iterdir() if path.name.startswith("numpy")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(science)}
    code = "import numpy; assert numpy.add.reduceat([1, 2, 3], [0, 1]).tolist() == [1, 5]"
    subprocess.run([sys.executable, "-S", "-W", "error", "-c", code], env=environment, check=True)  # noqa: S603


def test_it_is_built_once(packages: Path) -> None:
    before = packages.stat().st_ino
    assert vendor.build("local") / "python" == packages
    assert packages.stat().st_ino == before


def test_layers_too_large_for_lambda_are_refused(monkeypatch: pytest.MonkeyPatch, packages: Path) -> None:
    monkeypatch.setattr(vendor, "_LIMIT_MEGABYTES", 10)
    with pytest.raises(vendor.VendorFailed, match="the limit is 10 MB"):
        vendor.build("local")
    assert packages.is_dir()
