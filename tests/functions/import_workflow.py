"""Runs the import workflow's own file over the real handlers, state by state, on the in-memory AWS."""

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from functions.import_part.handler import handler as import_part
from functions.import_report.handler import handler as import_report
from functions.import_split.handler import handler as import_split
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.support import World

UPLOADS, WORK = "uploads-bucket", "work-bucket"
DEFINITION = json.loads(Path("infra/workflows/import.asl.json").read_text())
HANDLERS: Mapping[str, Callable[..., Any]] = {
    "${ImportSplit}": import_split,
    "${ImportPart}": import_part,
    "${ImportReport}": import_report,
}


class Failed(Exception):
    """The execution ended in a Fail state."""


class Imports:
    """A world with the two buckets; uploads start executions by hand."""

    def __init__(self) -> None:
        self.world = World()
        s3 = self.world.aws.s3
        for bucket in (UPLOADS, WORK):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        settings = Settings(stage="local", platform_table="platform", uploads_bucket=UPLOADS, work_bucket=WORK)
        self.wiring = Wiring(settings, clients={"s3": s3, "dynamodb": self.world.aws.dynamodb})
        self.visited: list[str] = []
        self.faults: dict[str, list[Exception]] = {}

    def upload(self, body: bytes, key: str = "uploads/requester-1/b1/tasks.csv") -> dict[str, str]:
        """Puts a file and returns the input that the rule gives the workflow."""
        stored = self.world.aws.s3.put_object(Bucket=UPLOADS, Key=key, Body=body)
        return {"bucket": UPLOADS, "key": key, "version_id": stored["VersionId"]}

    def kept(self, key: str) -> bytes:
        body: bytes = self.world.aws.s3.get_object(Bucket=WORK, Key=key)["Body"].read()
        return body

    def execute(self, given: Any, states: Mapping[str, Any] = DEFINITION, context: Any = None) -> Any:
        """Runs an execution to its end."""
        name, data = states["StartAt"], given
        while True:
            self.visited.append(name)
            state = states["States"][name]
            match state["Type"]:
                case "Succeed":
                    return find(data, state.get("OutputPath", "$"), context)
                case "Fail":
                    raise Failed(state.get("Error") or find(data, state["ErrorPath"], context))
                case "Choice":
                    rules = (rule["Next"] for rule in state["Choices"] if holds(rule, data))
                    name = next(rules, state["Default"])
                    continue
            try:
                result = self._task(name, state, data) if state["Type"] == "Task" else self._map(state, data)
            except Exception as error:
                if "Catch" not in state:
                    raise
                (catch,) = state["Catch"]
                told = {"Error": type(error).__name__, "Cause": str(error)}
                data, name = put(data, catch["ResultPath"], told), catch["Next"]
                continue
            data = put(data, state.get("ResultPath", "$"), result)
            if state.get("End"):
                return data
            name = state["Next"]

    def _task(self, name: str, state: Mapping[str, Any], data: Any) -> Any:
        if self.faults.get(name):
            raise self.faults[name].pop(0)
        payload = json.loads(json.dumps(fill(state["Parameters"], data, None)))
        return json.loads(json.dumps(HANDLERS[state["Resource"]](payload, None)))

    def _map(self, state: Mapping[str, Any], data: Any) -> list[Any]:
        reader = fill(state["ItemReader"]["Parameters"], data, None)
        assert reader["Bucket"] == "${WorkBucket}"
        items = json.loads(self.kept(reader["Key"]))
        child = state["ItemProcessor"]
        return [
            self.execute(fill(state["ItemSelector"], data, {"Map": {"Item": {"Value": item}}}), child) for item in items
        ]


def find(data: Any, path: str, context: Any) -> Any:
    root = context if path.startswith("$$") else data
    for step in path.lstrip("$").split(".")[1:]:
        root = root[step]
    return root


def fill(template: Mapping[str, Any], data: Any, context: Any) -> dict[str, Any]:
    return {
        name.removesuffix(".$"): find(data, value, context)
        if name.endswith(".$")
        else fill(value, data, context)
        if isinstance(value, dict)
        else value
        for name, value in template.items()
    }


def put(data: Any, path: str | None, result: Any) -> Any:
    if path is None:
        return data
    return result if path == "$" else {**data, path.removeprefix("$."): result}


def holds(rule: Mapping[str, Any], data: Any) -> bool:
    if "And" in rule:
        return all(holds(one, data) for one in rule["And"])
    if "Or" in rule:
        return any(holds(one, data) for one in rule["Or"])
    try:
        value = find(data, rule["Variable"], None)
    except (KeyError, TypeError):
        return False
    return (
        ("IsPresent" not in rule or rule["IsPresent"])
        and ("IsString" not in rule or isinstance(value, str) is rule["IsString"])
        and ("IsNull" not in rule or (value is None) is rule["IsNull"])
        and ("StringEquals" not in rule or value == rule["StringEquals"])
        and ("StringMatches" not in rule or fnmatchcase(str(value), rule["StringMatches"]))
    )
