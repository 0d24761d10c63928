"""Lambda: what functions see, how they fail, and how many of them run at once."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from cli.wait import until
from local.assets import zip_directory
from tests.contract.ministack.lab import Lab, zipped


def test_an_exception_is_reported_under_its_class_name(lab: Lab) -> None:
    function = lab.function("""
        class OutOfFunds(Exception): pass
        def handler(event, context):
            raise OutOfFunds("12 cents short\\nof everything")
    """)
    told = lab.invoke(function)
    assert told["errorType"] == "OutOfFunds"
    assert told["errorMessage"] == "12 cents short\nof everything"
    assert any("in handler" in line for line in told["stackTrace"])


def test_a_function_that_does_not_load_says_why(lab: Lab) -> None:
    told = lab.invoke(lab.function("import no_such_module_here\ndef handler(event, context): pass"))
    assert "no_such_module_here" in told["errorMessage"]


def test_a_function_that_takes_too_long_is_ended(lab: Lab) -> None:
    function = lab.function("import threading\ndef handler(event, context): threading.Event().wait(30)", timeout=1)
    assert lab.invoke(function) == {
        "errorMessage": "Task timed out after 1.00 seconds",
        "errorType": "Sandbox.Timedout",
    }


def test_environment_and_context(lab: Lab) -> None:
    function = lab.function(
        """
        import os, sys
        def handler(event, context):
            return {
                "endpoint": os.environ["AWS_ENDPOINT_URL"], "region": os.environ["AWS_REGION"],
                "mine": os.environ["MINE"], "python": list(sys.version_info[:2]),
                "left": context.get_remaining_time_in_millis(),
                "id": context.aws_request_id, "arn": context.invoked_function_arn, "version": context.function_version,
                "leaked": sorted(name for name in os.environ if name.startswith(("PYTEST", "VIRTUAL_ENV"))),
            }
        """,
        environment={"MINE": "yes"},
    )
    seen = lab.invoke(function)
    assert (seen["endpoint"], seen["region"], seen["mine"]) == (lab.engine.url, "us-east-1", "yes")
    assert seen["python"] == list(sys.version_info[:2]), "functions run on the emulator's own Python"
    assert 0 < seen["left"] <= 20_000
    assert seen["id"]
    assert (seen["version"], seen["arn"].rpartition(":")[2]) == ("1", "live")
    assert seen["leaked"] == []


def test_two_layers_are_on_the_path_and_the_later_one_wins(lab: Lab) -> None:
    first = lab.layer({"python/one.py": "who = 'first'", "python/both.py": "who = 'first'"})
    second = lab.layer({"python/two.py": "who = 'second'", "python/both.py": "who = 'second'"})
    function = lab.function(
        "import one, two, both\ndef handler(event, context): return [one.who, two.who, both.who]",
        layers=[first, second],
    )
    assert lab.invoke(function) == ["first", "second", "second"]


def test_all_workers_share_one_unpacked_copy_of_a_layers_version(lab: Lab) -> None:
    """So a cold start does not wait for it to be unpacked again."""
    name = lab.name("layer")
    first, second = (lab.layer({"python/where.py": f"version = {n}"}, name=name) for n in (1, 2))
    code = "import where\ndef handler(event, context): return [where.version, where.__file__]"
    one, other, newer = (lab.invoke(lab.function(code, layers=[layer])) for layer in (first, first, second))
    assert one == other
    assert (one[0], newer[0]) == (1, 2)
    assert one[1] != newer[1]


def test_a_layer_hides_the_functions_own_module_of_that_name(lab: Lab) -> None:
    """On AWS the function's own code comes first: a name must not stand in both."""
    layer = lab.layer({"python/index.py": "def handler(event, context): return 'layer'"})
    function = lab.function("def handler(event, context): return 'own'", layers=[layer])
    assert lab.invoke(function) == "layer"


def test_a_new_layer_version_reaches_the_alias_only_through_a_new_function_version(lab: Lab) -> None:
    functions, layer = lab.client("lambda"), lab.name("layer")
    old = lab.layer({"python/word.py": "word = 'old'"}, name=layer)
    alias = lab.function("import word\ndef handler(event, context): return word.word", layers=[old])
    name = alias.split(":")[6]
    new = lab.layer({"python/word.py": "word = 'new'"}, name=layer)
    assert new != old
    functions.update_function_configuration(FunctionName=name, Layers=[new])
    assert lab.invoke(alias) == "old"
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    assert lab.invoke(alias) == "new"


def test_a_warm_process_is_used_again_and_an_error_ends_it(lab: Lab) -> None:
    function = lab.function("""
        import os
        def handler(event, context):
            if event == "fail": raise ValueError("as told")
            return os.getpid()
    """)
    first = lab.invoke(function)
    assert lab.invoke(function) == first
    lab.invoke(function, "fail")
    assert lab.invoke(function) != first


def test_surplus_invocations_wait_instead_of_starting_processes(lab: Lab) -> None:
    function = lab.function("""
        import os, threading
        def handler(event, context):
            threading.Event().wait(0.1)
            return os.getpid()
    """)
    with ThreadPoolExecutor(10) as phones:
        answers = list(phones.map(lambda _: lab.invoke(function), range(10)))
    assert all(isinstance(answer, int) for answer in answers), answers
    assert len(set(answers)) <= 2


def test_a_function_that_prints_nothing_is_not_made_to_wait(lab: Lab) -> None:
    """MiniStack alone waits 50 ms for a line after every silent invocation."""
    function = lab.function("def handler(event, context): return 1")
    lab.invoke(function)

    def taken() -> float:
        began = time.monotonic()
        lab.invoke(function)
        return time.monotonic() - began

    assert min(taken() for _ in range(20)) < 0.045


def test_reserved_concurrency_refuses_the_surplus_but_not_behind_an_alias(lab: Lab) -> None:
    """AWS counts the invocations of every version and alias. Here the bound on processes does the work."""
    alias = lab.function("import threading\ndef handler(event, context): threading.Event().wait(0.5)", reserved=1)

    def refused(function: str) -> bool:
        try:
            answer = lab.client("lambda").invoke(FunctionName=function)
        except ClientError as error:
            return error.response["Error"]["Code"] == "TooManyRequestsException"
        return bool(answer["ResponseMetadata"]["RetryAttempts"])

    with ThreadPoolExecutor(3) as phones:
        assert any(phones.map(refused, [alias.removesuffix(":live")] * 3))
        assert not any(phones.map(refused, [alias] * 3))


def test_lines_reach_the_functions_log_group(lab: Lab) -> None:
    function = lab.function("def handler(event, context): print('hello from inside')")
    lab.invoke(function)
    logs, group = lab.client("logs"), f"/aws/lambda/{function.split(':')[6]}"

    def lines() -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    assert until(lambda: any("hello from inside" in line for line in lines()), what="the line")
    assert any(line.startswith("REPORT") for line in lines())


def test_permissions_are_not_enforced(lab: Lab) -> None:
    """So least privilege is proven over the template, not here: this role exists nowhere."""
    table = lab.table()
    function = lab.function(
        """
        import boto3
        def handler(event, context):
            boto3.client("dynamodb").put_item(TableName=event, Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
        """
    )
    assert lab.invoke(function, table) is None
    assert lab.client("dynamodb").scan(TableName=table)["Count"] == 1


def test_functions_see_the_packages_of_the_development_environment(lab: Lab) -> None:
    """So a package missing from the vendor layer goes unnoticed here."""
    assert lab.invoke(lab.function("import pytest\ndef handler(event, context): return pytest.__name__")) == "pytest"


def test_unpacked_bytecode_with_unchecked_hash_is_used(lab: Lab, tmp_path: Path) -> None:
    package = tmp_path / "layer" / "python" / "packed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import sys\nwho = __cached__\n")
    archive = tmp_path / "layer.zip"
    zip_directory(package.parents[1], archive)
    version = lab.client("lambda").publish_layer_version(
        LayerName=lab.name("layer"), Content={"ZipFile": archive.read_bytes()}
    )["LayerVersionArn"]
    code = "import os, packed\ndef handler(event, context): return [packed.who, os.path.getsize(packed.who)]"
    cached, size = lab.invoke(lab.function(code, layers=[version]))
    assert cached.endswith(".pyc")
    assert size > 0


@pytest.mark.parametrize("payload", [None, 7, "text", [1, 2], {"a": {"b": None}}])
def test_any_json_goes_in_and_out(lab: Lab, payload: object) -> None:
    assert lab.invoke(lab.function("def handler(event, context): return event"), payload) == payload


def test_code_can_be_replaced(lab: Lab) -> None:
    functions = lab.client("lambda")
    name = lab.function("def handler(event, context): return 1").split(":")[6]
    functions.update_function_code(FunctionName=name, ZipFile=zipped({"index.py": "def handler(e, c): return 2"}))
    assert lab.invoke(name) == 2
