"""Each folder of `functions/` is one function, packaged alone, and told what it reads."""

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from infra.packaging import CORE, FUNCTIONS, ROOT, WORKFLOWS, MissingPart, Target, target
from infra.stages import STAGES
from smallpeck.runtime.settings import PREFIX, Settings, variable
from tests.infra.synthesis import OTHER_VENDOR
from tests.infra.templates import Deployment, flat

RUNTIME = CORE / "python" / "smallpeck" / "runtime"
WIRING = tuple(
    RUNTIME / f"{name}.py"
    for name in (
        "wiring",
        "exports",
        "reestimating",
        "inboxes",
        "payout_schedule",
        "payout_rails",
        "bank_inbox",
        "destinations",
        "proving",
        "funding",
    )
)
WITHOUT_VENDOR = {"token_groups"}
WITH_SCIENCE = {"reestimate"}
WITH_RAILS = {"payout_run", "bank_inbox", "requester_api", "funding_events", "funding_watch"}


def with_rails(stage: str) -> set[str]:
    """The workers' function checks an IBAN only where one may be given."""
    return WITH_RAILS | ({"worker_api"} if "sepa" in STAGES[stage].rails else set())


def test_every_folder_has_its_function_and_every_function_its_folder(deployment: Deployment) -> None:
    folders = {path.parent.name for path in FUNCTIONS.glob("*/handler.py")}
    assert set(deployment.functions) == folders
    assert len(deployment.function_ids) == len(folders)


def test_a_package_holds_one_function_under_the_name_that_tests_use(deployment: Deployment) -> None:
    for folder, properties in deployment.functions.items():
        assert properties["Handler"] == f"functions.{folder}.handler.handler"
        package = deployment.directory / f"asset.{properties['Code']['S3Key'].removesuffix('.zip')}"
        files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
        assert f"functions/{folder}/handler.py" in files
        assert {name.split("/")[1] for name in files} == {folder}


def test_layers_are_the_business_code_as_it_stands_and_the_vendored_packages(deployment: Deployment) -> None:
    layers = deployment.properties("AWS::Lambda::LayerVersion")
    core, rails, science, vendor = (
        deployment.directory / f"asset.{layers[name]['Content']['S3Key'].removesuffix('.zip')}"
        for name in sorted(layers)
    )
    sources = {path.relative_to(CORE) for path in CORE.rglob("*.py")}
    assert sources == {path.relative_to(core) for path in core.rglob("*.py")}
    assert "vendor-one'" in (vendor / "python" / "package.py").read_text()
    assert "vendor-one-science" in (science / "python" / "package.py").read_text()
    assert "vendor-one-rails" in (rails / "python" / "package.py").read_text()
    for folder, properties in deployment.functions.items():
        wanted = 1 if folder in WITHOUT_VENDOR else 3 if folder in WITH_SCIENCE | with_rails(deployment.stage) else 2
        assert len(properties["Layers"]) == wanted


def test_bytecode_is_that_of_the_python_it_will_run_on(deployment: Deployment) -> None:
    layers = deployment.properties("AWS::Lambda::LayerVersion")
    core = deployment.directory / f"asset.{layers[min(layers)]['Content']['S3Key'].removesuffix('.zip')}"
    tags = {path.name.split(".")[-2] for path in core.rglob("*.pyc")}
    wanted = deployment.functions["grader"]["Runtime"].replace("python", "cpython-").replace(".", "")
    assert tags == {wanted} or (tags == set() and wanted != sys.implementation.cache_tag)


def test_functions_run_on_what_the_stage_has(deployment: Deployment) -> None:
    for properties in deployment.functions.values():
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert "ReservedConcurrentExecutions" not in properties
        if deployment.stage == "local":
            assert properties["Runtime"] == f"python{sys.version_info.major}.{sys.version_info.minor}"
        else:
            assert properties["Runtime"] == "python3.13"
            assert properties["Architectures"] == ["arm64"]


def test_logs_do_not_stay_for_ever(deployment: Deployment) -> None:
    days = STAGES[deployment.stage].log_retention_days
    groups = deployment.properties("AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {days}
    for properties in deployment.functions.values():
        assert properties["LoggingConfig"]["LogGroup"]["Ref"] in groups


def test_a_change_of_a_layer_alone_publishes_new_versions(assemblies: Path, deployments: dict[str, Deployment]) -> None:
    assert json.loads((ROOT / "cdk.json").read_text())["context"]["@aws-cdk/aws-lambda:recognizeLayerVersion"] is True
    before = deployments["local"]
    after = Deployment.read(assemblies / OTHER_VENDOR, "local")

    def versions(deployment: Deployment) -> dict[str, str]:
        return {
            deployment.function_ids[properties["FunctionName"]["Ref"]]: name
            for name, properties in deployment.properties("AWS::Lambda::Version").items()
        }

    old, new = versions(before), versions(after)
    assert {name for name in old if old[name] == new[name]} == WITHOUT_VENDOR


def test_an_environment_is_written_by_the_settings_that_read_it(deployment: Deployment) -> None:
    known = {variable(field.name) for field in fields(Settings)}
    for folder in deployment.functions:
        environment = deployment.environment(folder)
        assert set(environment) <= known
        assert environment[f"{PREFIX}STAGE"] == deployment.stage


def test_a_function_is_told_the_tables_it_may_use_and_no_other(deployment: Deployment) -> None:
    for folder in deployment.functions:
        for table in ("platform", "ledger", "people", "keys"):
            told = variable(f"{table}_table") in deployment.environment(folder)
            assert told == bool(deployment.table_actions(folder, table)), f"{folder} and {table}"


def test_a_function_is_told_every_setting_that_its_code_reads(deployment: Deployment) -> None:
    optional = {field.name for field in fields(Settings) if field.default != ""}
    missing = {
        folder: absent
        for folder in deployment.functions
        if (
            absent := {
                name
                for name in settings_read_by(folder) - optional
                if not name.endswith("_table") and variable(name) not in deployment.environment(folder)
            }
        )
    }
    assert missing == {}


def settings_read_by(folder: str) -> set[str]:
    """The settings that a function's own modules read, or what they take from the wiring."""
    wiring = {name: tree for path in WIRING for name, tree in _definitions(path).items()}
    trees: list[ast.AST] = [ast.parse(path.read_text()) for path in (FUNCTIONS / folder).glob("*.py")]
    seen: set[str] = set()
    read: set[str] = set()
    while trees:
        tree = trees.pop()
        read |= _settings(tree)
        reached = (_names(tree) & wiring.keys()) - seen
        seen |= reached
        trees += [wiring[name] for name in reached]
    return read & {field.name for field in fields(Settings)}


def _definitions(path: Path) -> dict[str, ast.AST]:
    """Functions and classes of the wiring by name, and what its one central class does as `.name`."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == "Wiring":
            found |= {f".{inner.name}": inner for inner in node.body if isinstance(inner, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
    return found


def _names(tree: ast.AST) -> set[str]:
    return set(_each_name(tree))


def _each_name(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.alias(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="wiring"), attr=name):
                yield from (name, f".{name}")
            case ast.Attribute(attr=name):
                yield f".{name}"


def _settings(tree: ast.AST) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Name) and node.value.id == "settings")
            or (isinstance(node.value, ast.Attribute) and node.value.attr == "settings")
        )
    }


def test_reading_finds_what_a_function_takes_through_the_wiring() -> None:
    assert "cursor_secret_arn" in settings_read_by("worker_api")
    assert "batch_finish_arn" in settings_read_by("grader")
    assert "worker_client_id" in settings_read_by("token_groups")


def test_test_deposits_are_refused_where_money_is_real(deployments: dict[str, Deployment]) -> None:
    limits = {
        stage: deployment.environment("requester_api")[variable("max_deposit_micros")]
        for stage, deployment in deployments.items()
    }
    assert limits["prod"] == "0"
    assert int(limits["local"]) > 0
    assert int(limits["dev"]) > 0


def test_the_payout_provider_is_a_parameter_so_that_it_can_come_last(deployment: Deployment) -> None:
    value = deployment.environment("payout_run")[variable("gateway_url")]
    assert value == {"Ref": "GatewayUrl"}
    assert deployment.service["Parameters"]["GatewayUrl"]["Default"] == STAGES[deployment.stage].gateway_url


def test_a_rail_that_is_not_offered_has_no_address(deployment: Deployment) -> None:
    offered = STAGES[deployment.stage].rails
    told = deployment.environment("payout_run")
    for rail in ("paypal", "stripe", "circle"):
        assert told[variable(f"{rail}_url")] == {"Ref": f"{rail.capitalize()}Url"}
        default = deployment.service["Parameters"][f"{rail.capitalize()}Url"]["Default"]
        assert bool(default) == (rail in offered)
    for folder in ("payout_run", "bank_inbox"):
        mailbox = flat(deployment.environment(folder)[variable("sepa_url")])
        assert (mailbox.startswith("s3://<"), mailbox.endswith(">/sepa"), bool(mailbox)) == ("sepa" in offered,) * 3
    assert set(deployment.environment("worker_api")[variable("rails")].split(",")) == set(offered)


def test_a_client_finds_what_it_needs_in_the_outputs(deployment: Deployment) -> None:
    outputs = set(deployment.stateful["Outputs"]) | set(deployment.service["Outputs"])
    assert {
        "ApiUrl", "ApiId", "UserPoolId", "WorkerClientId", "RequesterClientId", "OperatorClientId",
        "UploadsBucketName", "WorkBucketName", "PlatformTableName", "LedgerTableName", "PeopleTableName",
        "KeysTableName", "SubmissionsQueueUrl", "SubmissionsDeadLetterQueueUrl", "ImportMachineArn",
        "InboxMachineArn", "BatchExportMachineArn", "BatchFinishMachineArn", "PayoutRunMachineArn",
        "PayoutScheduleMachineArn", "BooksAuditMachineArn", "BooksSealMachineArn",
        "SealsBucketName", "GatewaySecretArn", "AlarmTopicArn",
    } <= outputs  # fmt: skip


def test_a_template_says_nothing_of_an_account(deployment: Deployment) -> None:
    for template in (deployment.stateful, deployment.service):
        assert "000000000000" not in json.dumps(template)
    assert flat({"Ref": "AWS::Region"}) in flat(
        next(iter(deployment.properties("AWS::Cognito::UserPool").values()))["LambdaConfig"][
            "PreTokenGenerationConfig"
        ]["LambdaArn"]
    )


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    on = target({"vendor": str(tmp_path)}, local=True)
    with pytest.raises(MissingPart, match="build the vendor layers first"):
        on.vendor_code()
    with pytest.raises(MissingPart, match=r"-science/python is missing"):
        on.science_code()
    with pytest.raises(MissingPart, match=r"functions/nobody/handler\.py"):
        on.function_code("nobody")
    on.clean()
    assert not on.staging.exists()


def test_targets_are_this_machine_or_the_one_that_is_deployed_to() -> None:
    here, there = target({}, local=True), target({}, local=False)
    try:
        assert here.python == f"{sys.version_info.major}.{sys.version_info.minor}"
        assert here.vendor == ROOT / "build" / "vendor" / "local"
        assert (there.python, there.vendor) == ("3.13", ROOT / "build" / "vendor" / "lambda")
        assert there.architecture.name == "arm64"
        assert isinstance(here, Target)
    finally:
        here.clean()
        there.clean()


def test_workflows_have_a_file_each() -> None:
    assert {path.name for path in WORKFLOWS.glob("*.json")} == {
        "import.asl.json", "inbox.asl.json", "batch_finish.asl.json", "batch_export.asl.json", "payout_run.asl.json",
        "payout_schedule.asl.json", "books_audit.asl.json", "books_seal.asl.json",
    }  # fmt: skip
