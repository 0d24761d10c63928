"""Templates, asked in the words of the deployment: which function, which role, which queue."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Resource = Mapping[str, Any]


def flat(value: Any) -> str:
    """A value with intrinsic functions as one text: joined, with references in angle brackets."""
    match value:
        case str() | int():
            return str(value)
        case {"Fn::Join": [between, parts]}:
            return str(between).join(flat(part) for part in parts)
        case {"Ref": name} | {"Fn::ImportValue": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Select": [index, {"Fn::Split": [_, text]}]}:
            return f"<{index} of {flat(text)}>"
    raise TypeError(f"not a text: {value!r}")


def listed(value: Any) -> list[Any]:
    """A list, also of one thing that stands alone."""
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Statement:
    """One `Allow` of a role."""

    actions: frozenset[str]
    resources: frozenset[str]


@dataclass(frozen=True)
class Deployment:
    """Both templates of a stage."""

    stage: str
    directory: Path
    stateful: Mapping[str, Any]
    service: Mapping[str, Any]

    @classmethod
    def read(cls, directory: Path, stage: str) -> "Deployment":
        """The assembly in `directory`."""

        def template(stack: str) -> Mapping[str, Any]:
            parsed: Mapping[str, Any] = json.loads(
                (directory / f"small-peck-{stage}-{stack}.template.json").read_text()
            )
            return parsed

        return cls(stage, directory, template("stateful"), template("service"))

    def resources(self, kind: str) -> dict[str, Resource]:
        """Logical id -> resource, of one type, in both stacks."""
        return {
            name: resource
            for template in (self.stateful, self.service)
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id -> properties, of one type, in both stacks."""
        return {name: resource.get("Properties", {}) for name, resource in self.resources(kind).items()}

    @cached_property
    def functions(self) -> dict[str, dict[str, Any]]:
        """Folder of `functions/` -> properties of its function."""
        return {self.folder(properties): properties for properties in self.properties("AWS::Lambda::Function").values()}

    def folder(self, function: Mapping[str, Any]) -> str:
        """The folder that a function's handler is in."""
        _, folder, _, _ = str(function["Handler"]).split(".")
        return folder

    @cached_property
    def function_ids(self) -> dict[str, str]:
        """Logical id of a function -> its folder."""
        return {name: self.folder(one) for name, one in self.properties("AWS::Lambda::Function").items()}

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Logical id of an alias -> folder of its function."""
        return {
            name: self.function_ids[properties["FunctionName"]["Ref"]]
            for name, properties in self.properties("AWS::Lambda::Alias").items()
        }

    def alias_in(self, text: Any) -> str | None:
        """The folder of the function whose alias a value refers to, or None."""
        found = [folder for name, folder in self.aliases.items() if f"<{name}>" in flat(text)]
        return found[0] if len(found) == 1 else None

    def role_of(self, folder: str) -> str:
        """Logical id of a function's role."""
        name: str = self.functions[folder]["Role"]["Fn::GetAtt"][0]
        return name

    def statements(self, role: str) -> list[Statement]:
        """All that a role may do."""
        return list(self._statements(role))

    def _statements(self, role: str) -> Iterator[Statement]:
        inline = self.properties("AWS::IAM::Role")[role].get("Policies", [])
        attached = [
            policy for policy in self.properties("AWS::IAM::Policy").values() if {"Ref": role} in policy["Roles"]
        ]
        for policy in (*inline, *attached):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                assert "NotAction" not in statement
                assert "NotResource" not in statement
                yield Statement(
                    frozenset(listed(statement["Action"])),
                    frozenset(flat(resource) for resource in listed(statement["Resource"])),
                )

    def table_actions(self, folder: str, table: str) -> set[str]:
        """What a function may do with a table, without the service's name."""
        mark = f"{table.capitalize()}Table"
        return {
            action.removeprefix("dynamodb:")
            for statement in self.statements(self.role_of(folder))
            if any(mark in resource for resource in statement.resources)
            for action in statement.actions
        }

    def allowed(self, folder: str, action: str) -> set[str]:
        """The resources on which a function may do something."""
        return {
            resource
            for statement in self.statements(self.role_of(folder))
            if action in statement.actions
            for resource in statement.resources
        }

    def environment(self, folder: str) -> dict[str, Any]:
        """A function's environment."""
        variables: dict[str, Any] = self.functions[folder].get("Environment", {}).get("Variables", {})
        return variables

    def alarms(self, metric: str) -> list[dict[str, Any]]:
        """The alarms on a metric."""
        every = self.properties("AWS::CloudWatch::Alarm").values()
        return [alarm for alarm in every if alarm["MetricName"] == metric]

    def alarmed(self, metric: str) -> set[str]:
        """What the alarms on a metric watch: the values of their dimensions, flat."""
        return {flat(one["Value"]) for alarm in self.alarms(metric) for one in alarm.get("Dimensions", [])}
