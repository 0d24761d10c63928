"""Who may import whom: the import contracts, and what they cannot say."""

import configparser
import fnmatch
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.sources import LAYER, ROOT, Source, functions, infra, layer

FEATURES = ("tasks", "people", "payouts", "funding", "ledger")

# Modules that speak to AWS or to a provider; everything else decides, and knows neither.
SPEAKS_TO_AWS = (
    "smallpeck.table.*",
    "smallpeck.runtime.*",
    "smallpeck.*store",
)
SPEAKS_TO_PROVIDERS = (
    "smallpeck.payouts.rails*",
    "smallpeck.funding.stripe_checkout",
    "smallpeck.funding.stripe_events",
)


def is_one_of(module: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(module, pattern) for pattern in patterns)


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def listed(contract: str, key: str) -> list[str]:
    return contracts()[f"importlinter:contract:{contract}"][key].split()


def matches(module: str, pattern: str) -> bool:
    """Whether a pattern of the import contracts names a module or a package that holds it."""
    words, wanted = module.split("."), pattern.split(".")
    return len(words) >= len(wanted) and all(want in ("*", word) for word, want in zip(words, wanted, strict=False))


def lint_imports(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    # Without `site` the project's own folder is not on the path beside the copy that is looked at.
    packages = sysconfig.get_path("purelib")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-S", "-c", command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(path), packages))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_import_contracts_are_kept() -> None:
    run = lint_imports(ROOT, LAYER)

    assert run.returncode == 0, run.stdout


BREACHES = {
    "a feature knows another": ("smallpeck/people/model.py", "import smallpeck.tasks.model"),
    "the ledger knows a feature": ("smallpeck/ledger/posting.py", "import smallpeck.tasks.model"),
    "a model reads the environment": ("smallpeck/tasks/model.py", "import os"),
    "a service knows tables": ("smallpeck/payouts/service.py", "import smallpeck.table.client"),
    "a decision reaches AWS through another module": ("smallpeck/kernel/ids.py", "import botocore"),
    "the layer knows its runtime": ("smallpeck/ledger/store.py", "import smallpeck.runtime.settings"),
    "a function speaks to AWS": ("functions/books_audit/handler.py", "import boto3"),
    "a function knows another": ("functions/books_audit/handler.py", "import functions.worker_api.schemas"),
    "the layer knows a function": ("smallpeck/runtime/http.py", "import functions.worker_api.schemas"),
    "the layer knows the deployment": ("smallpeck/runtime/http.py", "import infra.stages"),
}


@pytest.mark.slow
@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_noticed(breach: str, tmp_path: Path) -> None:
    for source in (*layer(), *functions(), *infra()):
        root = LAYER if source.module.startswith("smallpeck") else ROOT
        copy = tmp_path / source.path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.text, encoding="utf-8")
    (tmp_path / ".importlinter").write_text((ROOT / ".importlinter").read_text(encoding="utf-8"), encoding="utf-8")
    broken, statement = BREACHES[breach]
    with (tmp_path / broken).open("a", encoding="utf-8") as file:
        file.write(f"\n{statement}\n")

    run = lint_imports(tmp_path, tmp_path)

    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN" in run.stdout


def test_every_module_that_decides_is_under_contract() -> None:
    deciding = [
        source.module
        for source in layer()
        if source.module.split(".")[1:2] and source.module.split(".")[1] in FEATURES
        if len(source.module.split(".")) > 2
        if not is_one_of(source.module, SPEAKS_TO_AWS + SPEAKS_TO_PROVIDERS)
    ]

    patterns = listed("decisions", "source_modules")
    missing = [module for module in deciding if not any(matches(module, one) for one in patterns)]
    assert missing == [], "add these to the contract `decisions` of .importlinter"


def test_every_store_is_closed_to_what_decides() -> None:
    stores = [source.module for source in layer() if source.module.endswith("store")]

    patterns = listed("decisions", "forbidden_modules")
    assert [module for module in stores if not any(matches(module, one) for one in patterns)] == []


def test_only_tables_stores_and_the_runtime_speak_to_aws() -> None:
    guilty = [
        source.name
        for source in layer()
        if any(one.split(".")[0] in ("boto3", "botocore") for one in source.imported())
        if not is_one_of(source.module, SPEAKS_TO_AWS)
    ]

    assert guilty == []


def test_cryptography_has_its_places() -> None:
    users = [one.module for one in layer() if any(name.startswith("cryptography") for name in one.imported())]

    assert users == [
        "smallpeck.ledger.signatures",
        "smallpeck.payouts.rails.circle_events",
        "smallpeck.payouts.rails.paypal_events",
        "smallpeck.people.sealing",
    ]


def outside_of(source: Source, *allowed: str) -> list[str]:
    return [
        name
        for name in source.imported()
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith(allowed)
    ]


def test_the_kernel_imports_nothing_but_itself() -> None:
    kernel = [source for source in layer() if source.module.startswith("smallpeck.kernel")]

    assert kernel
    assert {source.name: found for source in kernel if (found := outside_of(source, "smallpeck.kernel"))} == {}


def test_consensus_is_the_standard_library_and_numpy_where_a_batch_is_re_estimated() -> None:
    consensus = [source for source in layer() if source.module.startswith("smallpeck.consensus")]
    words = ("smallpeck.consensus", "smallpeck.kernel")
    found = {source.name: set(outside_of(source, *words)) for source in consensus}

    assert consensus
    assert {name: beyond for name, others in found.items() if (beyond := others - {"numpy", "numpy.typing"})} == {}


@pytest.mark.parametrize("module", ["smallpeck.consensus", "smallpeck.consensus.choice"])
def test_deciding_online_loads_nothing_but_the_standard_library(module: str) -> None:
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    loaded = run.stdout.split()

    assert "smallpeck" in loaded
    assert not {"numpy", "boto3", "pydantic", "scipy", "pandas"}.intersection(loaded)


def test_the_deployment_knows_names_and_keys_and_nothing_else_of_the_layer() -> None:
    allowed = {"smallpeck.runtime.settings", "smallpeck.table.keys"}
    used = {
        f"{source.name}: {name}"
        for source in infra()
        for name in source.imported()
        if name.split(".")[0] == "smallpeck" and name not in allowed
    }

    assert used == set()
