"""cdk-nag's AwsSolutions rules: how a finding that stays is explained beside the construct that has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import Construct


def check(app: Construct) -> None:
    """Let synthesis fail on findings that nobody has explained."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def explain(construct: Construct, reasons: Mapping[str, str]) -> None:
    """Accept findings on `construct` and below it: rule, with its finding in brackets where it has one -> reason."""
    for rule, reason in reasons.items():
        Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def explain_wildcard(construct: Construct, resource: str, reason: str) -> None:
    """Accept that a role may do something with all that `resource`, an ARN with a `*` in it, stands for."""
    found = "".join(_flat(Stack.of(construct).resolve(resource)))
    explain(construct, {f"AwsSolutions-IAM5[Resource::{found}]": reason})


def _flat(resolved: Any) -> Iterator[str]:
    """The spelling that the rule gives an ARN made of parts."""
    match resolved:
        case str():
            yield resolved
        case {"Fn::Join": [str() as between, list() as parts]}:
            yield between.join("".join(_flat(part)) for part in parts)
        case {"Fn::ImportValue": name} | {"Fn::GetAtt": [name, "Arn"]}:
            yield name if "Fn::ImportValue" in resolved else f"<{name}.Arn>"
        case {"Ref": name}:
            yield f"<{name}>"
        case _:
            raise ValueError(f"cannot tell how the rule spells {resolved}")
