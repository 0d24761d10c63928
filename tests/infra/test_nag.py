"""cdk-nag's AwsSolutions rules."""

import json
from pathlib import Path

import pytest

from infra.stages import STAGES
from tests.infra.synthesis import UNEXPLAINED


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_finding_is_fixed_or_explained(assemblies: Path, stage: str) -> None:
    report = json.loads((assemblies / stage / "validation-report.json").read_text())
    assert report["pluginReports"] == []


def test_a_finding_that_nobody_explained_stops_synthesis(assemblies: Path) -> None:
    assert "ValidationFailed" in (assemblies / f"{UNEXPLAINED}.txt").read_text()
    (report,) = json.loads((assemblies / UNEXPLAINED / "validation-report.json").read_text())["pluginReports"]
    assert report["pluginName"] == "AwsSolutions"
    found = {
        (one["ruleName"], where["constructPath"])
        for one in report["violations"]
        for where in one["violatingConstructs"]
    }
    assert found == {(f"AwsSolutions-{rule}", "plain/Bucket/Resource") for rule in ("S1", "S10")}
