"""What each function loads before its first event: a package that it did not need before makes this fail."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import event

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "layers" / "core" / "python"
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
AUDIENCES = ("operator", "requester", "worker")

LOGS = {"aws_lambda_powertools", "botocore", "jmespath", "typing_extensions"}
MODELS = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}

# The third-party packages that a function may load when it starts. All else waits until something asks for it.
ALLOWED: dict[str, set[str]] = {
    "bank_inbox": LOGS | MODELS,
    "batch_finish": LOGS | MODELS,
    "books_audit": LOGS | MODELS,
    "books_seal": LOGS | MODELS,
    "funding_events": LOGS | MODELS,
    "funding_watch": LOGS,
    "grader": LOGS | MODELS,
    "import_part": LOGS | MODELS,
    "import_report": LOGS | MODELS,
    "import_split": LOGS | MODELS,
    "inbox_open": LOGS | MODELS,
    "operator_api": LOGS | MODELS,
    "payout_events": LOGS | MODELS,
    "payout_run": LOGS | MODELS,
    "payout_schedule": LOGS | MODELS,
    "reestimate": LOGS | MODELS,
    "requester_api": LOGS | MODELS,
    "sweeper": LOGS,
    "token_groups": set(),
    "worker_api": LOGS | MODELS,
}

# A client needs `botocore.client`, whichever way it is made; a resource needs `boto3.resources`.
NEVER = (
    "aws_cdk",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.idempotency",
    "aws_xray_sdk",
    "boto3",
    "botocore.client",
    "botocore.session",
    "infra",
    "local",
    "ministack",
    "moto",
    "tests",
    "urllib3",
)

_START = """
import importlib, json, sys
handler = importlib.import_module(f"functions.{sys.argv[1]}.handler").handler
if len(sys.argv) > 2:
    class Context:
        function_name = aws_request_id = "x"
    handler(json.loads(sys.argv[2]), Context())
files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
sys.stdout.flush()
print("\\n" + json.dumps(files))
"""


@cache
def loaded(function: str, asked: str = "") -> dict[str, str]:
    """The modules of a new process that has started this function and, if one is given, answered an event."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}{os.pathsep}{CORE}",
        "AWS_REGION": "eu-central-1",
        "AWS_LAMBDA_FUNCTION_NAME": function,
    }
    finished = subprocess.run(  # noqa: S603 - our own interpreter on our own functions
        [sys.executable, "-c", _START, function, *filter(None, [asked])],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    modules: dict[str, str] = json.loads(finished.stdout.splitlines()[-1])
    return modules


def never_needed(modules: dict[str, str]) -> list[str]:
    return [name for name in modules if any(name == one or name.startswith(f"{one}.") for one in NEVER)]


def third_party(modules: dict[str, str]) -> set[str]:
    places = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    return {name.partition(".")[0] for name, file in modules.items() if file.startswith(places)}


def test_every_function_is_in_the_table() -> None:
    assert set(FUNCTIONS) <= set(ALLOWED)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_with_what_it_needs(function: str) -> None:
    modules = loaded(function)
    assert never_needed(modules) == []
    assert third_party(modules) <= ALLOWED[function]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_table_allows_nothing_that_is_not_loaded(function: str) -> None:
    assert ALLOWED[function] <= third_party(loaded(function))


@pytest.mark.parametrize("audience", [name for name in AUDIENCES if f"{name}_api" in FUNCTIONS])
@pytest.mark.parametrize("path", ["/v1/{audience}/nothing", "/healthz"])
def test_an_answer_without_a_read_makes_no_client(audience: str, path: str) -> None:
    asked = event("GET", path.format(audience=audience), token={})
    assert never_needed(loaded(f"{audience}_api", json.dumps(asked))) == []


def attributes(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_nothing_makes_a_boto3_resource() -> None:
    sources = [*CORE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    assert [path.name for path in sources if "resource" in attributes(path)] == []


def test_what_is_never_needed_would_be_seen() -> None:
    modules: dict[str, Any] = {"boto3.session": "", "boto3x": "", "smallpeck.runtime.http": "", "moto": ""}
    assert never_needed(modules) == ["boto3.session", "moto"]
