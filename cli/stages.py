"""Where a stage is: its outputs and its AWS, in an account or on this machine."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LOCAL: Final = "local"
STAGES: Final = (LOCAL, "dev", "prod")
STATE_VARIABLE: Final = "SMALLPECK_LOCAL"
"""Names another file than `.cache/local.json` for what runs on this machine."""

_STATE: Final = Path(__file__).resolve().parents[1] / ".cache" / "local.json"
_STACKS: Final = ("stateful", "service")
_BETWEEN_STACKS: Final = "ExportsOutput"


class Failed(Exception):
    """It cannot be done as things stand; the message says what to do."""


class BadUsage(Failed):
    """The command line asks for what cannot be tried."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who was put there to try the platform with."""

    name: str
    audience: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One deployment. `session` and `endpoint` make its AWS clients."""

    name: str
    api: str
    outputs: Mapping[str, str]
    session: Any = field(repr=False)
    endpoint: str | None = None
    people: tuple[Person, ...] = ()

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return self.name == LOCAL

    def output(self, name: str) -> str:
        """One output."""
        if name not in self.outputs:
            raise Failed(f"the stage {self.name} has no output {name}; deploy it again")
        return self.outputs[name]

    def client(self, service: str) -> Any:
        """A boto3 client of the stage's AWS."""
        return self.session.client(service, endpoint_url=self.endpoint)

    def person(self, audience: str) -> Person | None:
        """The first person of an audience."""
        return next((one for one in self.people if one.audience == audience), None)


def open_stage(name: str) -> Stage:
    """The stage of that name; raises Failed where it does not stand."""
    return _local() if name == LOCAL else _deployed(name)


def read_outputs(cloudformation: Any, name: str) -> dict[str, str]:
    """What the stacks of a stage say of themselves; without what they only say to each other."""
    found: dict[str, str] = {}
    for stack in _STACKS:
        described = cloudformation.describe_stacks(StackName=f"small-peck-{name}-{stack}")["Stacks"][0]
        found |= {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    return shown_outputs(found)


def shown_outputs(outputs: Mapping[str, str]) -> dict[str, str]:
    """Outputs for people, by name."""
    return {name: outputs[name] for name in sorted(outputs) if not name.startswith(_BETWEEN_STACKS)}


def _deployed(name: str) -> Stage:
    import boto3

    session = boto3.Session()
    if session.region_name is None:
        raise Failed("no AWS region is chosen; set AWS_REGION, or AWS_PROFILE to a profile that has one")
    outputs = read_outputs(session.client("cloudformation"), name)
    return Stage(name=name, api=outputs.get("ApiUrl", "").rstrip("/"), outputs=outputs, session=session)


def _local() -> Stage:
    import boto3

    state = _state()
    session = boto3.Session(
        aws_access_key_id=state["access_key"],
        aws_secret_access_key=state["access_key"],
        region_name=state["region"],
    )
    people = tuple(Person(**one) for one in state["people"])
    return Stage(
        name=LOCAL,
        api=state["api"],
        outputs=state["outputs"],
        session=session,
        endpoint=state["endpoint"],
        people=people,
    )


def _state() -> Any:
    path = Path(os.environ.get(STATE_VARIABLE) or _STATE)
    try:
        state = json.loads(path.read_bytes())
        os.kill(state["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        raise Failed("nothing runs on this machine; start it with `make local`, in another terminal") from None
    except PermissionError:
        raise Failed(f"what runs on this machine is not yours ({path})") from None
    return state
