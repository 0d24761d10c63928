"""What a function is told by its environment: the one place that reads it, and the one from which it is written.

Each field is the variable `SMALLPECK_<FIELD>`. The deployment writes a function's environment with
`Settings.environment`, so a name exists once.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

PREFIX: Final = "SMALLPECK_"
SERVICE: Final = "small-peck"
METRICS_NAMESPACE: Final = "SmallPeck"
STAGES_WITH_TEST_DEPOSITS: Final = frozenset({"dev", "local"})


class _NotGiven(str):
    """The value of a field that the function was not given; reading such a field raises."""

    __slots__ = ()


_NOT_GIVEN: Final = _NotGiven()


class MissingSetting(RuntimeError):
    """A function read a setting that its deployment does not give it."""


class BadSetting(ValueError):
    """A variable of the environment that cannot be what its field says."""


@dataclass(frozen=True, repr=False, eq=False)
class Settings:
    """Fields without a default are only there where the deployment gives them."""

    stage: str = _NOT_GIVEN

    platform_table: str = _NOT_GIVEN
    ledger_table: str = _NOT_GIVEN
    people_table: str = _NOT_GIVEN
    keys_table: str = _NOT_GIVEN
    uploads_bucket: str = _NOT_GIVEN
    work_bucket: str = _NOT_GIVEN
    seals_bucket: str = _NOT_GIVEN
    submissions_queue_url: str = _NOT_GIVEN

    batch_finish_arn: str = _NOT_GIVEN
    payout_run_arn: str = _NOT_GIVEN
    books_audit_arn: str = _NOT_GIVEN
    batch_export_arn: str = _NOT_GIVEN

    inbox_role_arn: str = _NOT_GIVEN
    data_key_arn: str = _NOT_GIVEN
    statement_key_arn: str = _NOT_GIVEN
    root_key_arn: str = _NOT_GIVEN
    cursor_secret_arn: str = _NOT_GIVEN
    gateway_url: str = _NOT_GIVEN
    gateway_secret_arn: str = _NOT_GIVEN
    paypal_url: str = _NOT_GIVEN
    paypal_secret_arn: str = _NOT_GIVEN
    stripe_url: str = _NOT_GIVEN
    stripe_secret_arn: str = _NOT_GIVEN
    sepa_url: str = _NOT_GIVEN
    sepa_secret_arn: str = _NOT_GIVEN
    circle_url: str = _NOT_GIVEN
    circle_secret_arn: str = _NOT_GIVEN
    rail_events_secret_arn: str = _NOT_GIVEN
    checkout_secret_arn: str = _NOT_GIVEN
    checkout_events_secret_arn: str = _NOT_GIVEN

    worker_client_id: str = _NOT_GIVEN
    requester_client_id: str = _NOT_GIVEN
    operator_client_id: str = _NOT_GIVEN

    fee_basis_points: int = 2_000
    payout_threshold_micros: int = 5_000_000
    max_deposit_micros: int = 10_000_000_000
    cooling_off_seconds: int = 259_200
    payout_hour_utc: int = 6
    rails: str = "gateway"
    """What workers may be paid by, with commas between."""
    checkout_url: str = ""
    """Where requesters' checkouts are opened; without it there are none."""
    checkout_success_url: str = ""
    checkout_cancel_url: str = ""
    bank_iban: str = ""
    """The account that requesters send money to; without it nobody is told to."""
    bank_bic: str = ""
    bank_holder: str = ""
    log_level: str = "INFO"

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if value is _NOT_GIVEN:
            raise MissingSetting(f"{variable(name)} is not set for this function")
        return value

    @property
    def test_deposits(self) -> bool:
        """Whether requesters may give themselves funds: only on stages where money is not real."""
        return self.stage in STAGES_WITH_TEST_DEPOSITS

    @property
    def service(self) -> str:
        """What logs and metrics of this stage are found under."""
        stage = super().__getattribute__("stage")
        return SERVICE if stage is _NOT_GIVEN else service_of(stage)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """The settings that `environment` holds; an empty variable counts as not set."""
        given = {}
        for field in dataclasses.fields(cls):
            text = environment.get(variable(field.name), "")
            if text:
                given[field.name] = _parse(text, field)
        return cls(**cast("dict[str, Any]", given))

    @classmethod
    def environment(cls, **values: str | int) -> dict[str, str]:
        """The variables that give a function these settings. Values are not looked into, so CDK tokens pass."""
        unknown = values.keys() - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise BadSetting(f"no such setting: {', '.join(sorted(unknown))}")
        return {variable(name): str(value) for name, value in sorted(values.items())}


def service_of(stage: str) -> str:
    """What logs and metrics of a stage are found under."""
    return f"{SERVICE}-{stage}"


def variable(name: str) -> str:
    """The environment variable of a field."""
    return PREFIX + name.upper()


def _parse(text: str, field: "dataclasses.Field[Any]") -> str | int:
    if field.type is not int:
        return text
    try:
        return int(text)
    except ValueError as error:
        raise BadSetting(f"{variable(field.name)} is not a whole number") from error
