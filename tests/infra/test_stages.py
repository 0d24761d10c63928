"""Stages as data, and the app that reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from infra.packaging import ROOT
from infra.stages import STAGES

ALLOWED_IMPORTS = ("smallpeck.runtime.settings", "smallpeck.table")


def test_there_are_three_stages_and_money_is_real_in_one() -> None:
    assert {name: stage.name for name, stage in STAGES.items()} == {"local": "local", "dev": "dev", "prod": "prod"}
    assert {name for name, stage in STAGES.items() if stage.max_deposit_micros == 0} == {"prod"}
    assert STAGES["prod"].cooling_off_seconds >= 24 * 3600


def test_infra_knows_nothing_of_the_business_but_settings_and_keys() -> None:
    imports = [
        line.split()[1]
        for path in (ROOT / "infra").rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith(("from smallpeck", "import smallpeck", "from functions", "from local"))
    ]
    assert imports
    assert set(imports) <= set(ALLOWED_IMPORTS)


def test_a_stage_that_does_not_exist_is_refused_with_the_ones_that_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"stage": "staging"}), "CDK_OUTDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "--context stage=dev" in done.stderr
    assert "local, dev, prod" in done.stderr
