"""What other programs need to know of what runs here, while it runs, readable by its owner alone.

`local.json` is for the command line (`cli.stages` reads it), `local.env` beside it for shells.
"""

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.stages import shown_outputs
from local.paths import CACHE
from local.running import Platform
from local.seed import LEASE_KEY, Seeded

STATE = CACHE / "local.json"


@contextmanager
def written(platform: Platform, seeded: Seeded, path: Path = STATE) -> Iterator[None]:
    """Both files while the block runs. Whoever comes second on this machine takes their place."""
    shell = path.with_suffix(".env")
    variables = "".join(f"{name}={shlex.quote(value)}\n" for name, value in _variables(platform, seeded).items())
    mine = json.dumps(_state(platform, seeded), indent=2)
    try:
        _write(path, mine)
        _write(shell, variables)
        yield
    finally:
        if path.is_file() and path.read_text() == mine:
            path.unlink()
            shell.unlink(missing_ok=True)


def _state(platform: Platform, seeded: Seeded) -> dict[str, Any]:
    environment = platform.engine.environment()
    outputs = {name: value for stack in platform.deployment.outputs.values() for name, value in stack.items()}
    return {
        "pid": os.getpid(),
        "api": platform.api,
        "endpoint": platform.engine.url,
        "region": platform.engine.region,
        "access_key": environment["AWS_ACCESS_KEY_ID"],
        "outputs": shown_outputs(outputs) | {"ApiUrl": platform.api},
        "people": [
            {name: getattr(one, name) for name in ("name", "audience", "email", "password", "token")}
            for one in seeded.people
        ],
    }


def _variables(platform: Platform, seeded: Seeded) -> Mapping[str, str]:
    """A token for each person, and the sample's batch, with the page of it that the first worker holds."""
    return {
        "API": platform.api,
        **{f"{one.name.upper()}_TOKEN": one.token for one in seeded.people},
        "BATCH": seeded.batch_id,
        "PAGE": seeded.page["page_id"],
        "LEASE_KEY": LEASE_KEY,
        "ANSWERS": json.dumps({"answers": seeded.answers}),
    }


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    making.replace(path)
