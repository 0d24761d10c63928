"""What a function is told, and what happens where it is not."""

import dataclasses

import pytest

from smallpeck.runtime.settings import BadSetting, MissingSetting, Settings


def test_what_the_deployment_writes_is_what_the_function_reads() -> None:
    written = Settings.environment(stage="prod", platform_table="small-peck-platform", fee_basis_points=1_500)
    assert written == {
        "SMALLPECK_STAGE": "prod",
        "SMALLPECK_PLATFORM_TABLE": "small-peck-platform",
        "SMALLPECK_FEE_BASIS_POINTS": "1500",
    }
    settings = Settings.from_environment({**written, "PATH": "/bin"})
    assert (settings.stage, settings.platform_table, settings.fee_basis_points) == (
        "prod",
        "small-peck-platform",
        1_500,
    )


def test_every_field_travels_through_the_environment() -> None:
    values = {field.name: 7 if field.type is int else f"a {field.name}" for field in dataclasses.fields(Settings)}
    settings = Settings.from_environment(Settings.environment(**values))
    assert {name: getattr(settings, name) for name in values} == values


def test_a_token_of_the_deployment_passes_as_it_is() -> None:
    assert Settings.environment(work_bucket="${Token[TOKEN.412]}")["SMALLPECK_WORK_BUCKET"] == "${Token[TOKEN.412]}"


@pytest.mark.parametrize("environment", [{}, {"SMALLPECK_LEDGER_TABLE": ""}])
def test_reading_what_was_not_given_names_the_variable(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(environment)
    with pytest.raises(MissingSetting, match="SMALLPECK_LEDGER_TABLE is not set"):
        _ = settings.ledger_table


def test_numbers_have_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.payout_threshold_micros, settings.cooling_off_seconds) == (5_000_000, 72 * 3_600)


def test_a_number_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="SMALLPECK_FEE_BASIS_POINTS"):
        Settings.from_environment({"SMALLPECK_FEE_BASIS_POINTS": "20%"})


def test_the_deployment_cannot_give_a_setting_that_nobody_reads() -> None:
    with pytest.raises(BadSetting, match="platfrom_table"):
        Settings.environment(platfrom_table="x")


@pytest.mark.parametrize(("stage", "allowed"), [("local", True), ("dev", True), ("prod", False)])
def test_test_deposits_are_for_stages_without_real_money(stage: str, *, allowed: bool) -> None:
    assert Settings(stage=stage).test_deposits is allowed


def test_a_stage_that_is_not_given_is_no_reason_to_give_money_away() -> None:
    with pytest.raises(MissingSetting):
        _ = Settings().test_deposits
