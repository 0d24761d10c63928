"""What differs between stages, as data. Everything else is the same template."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One deployment of the whole platform."""

    name: str
    retain: bool
    """Whether tables, buckets, keys and the user pool outlive their stack and refuse to be deleted."""
    log_retention_days: int
    log_level: str
    fee_basis_points: int
    payout_threshold_micros: int
    cooling_off_seconds: int
    """How long a changed payout destination waits before money goes there."""
    payout_hour_utc: int
    """When payouts go out, every day."""
    max_deposit_micros: int
    """The largest test deposit; 0 where money is real."""
    seal_retention_days: int
    """How long nothing that seals the books may be deleted or replaced."""
    seal_compliance: bool
    """Whether nobody at all may shorten that (COMPLIANCE), or an administrator may (GOVERNANCE)."""
    grader_concurrency: int
    requests_per_second: int
    burst: int
    gateway_url: str = ""
    """The payout provider, where the stage always has the same one."""
    rails: tuple[str, ...] = ("gateway",)
    """What workers may be paid by. The rest is wired too, and not spoken to."""
    paypal_url: str = "https://api-m.sandbox.paypal.com"
    stripe_url: str = "https://api.stripe.com"
    circle_url: str = "https://api-sandbox.circle.com"
    allowed_origins: tuple[str, ...] = ("*",)
    """Web pages that may call the API and post uploads. Calls carry a token, never a cookie."""


STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            name="local",
            retain=False,
            log_retention_days=1,
            log_level="INFO",
            fee_basis_points=2_000,
            payout_threshold_micros=5_000_000,
            cooling_off_seconds=0,
            payout_hour_utc=6,
            max_deposit_micros=10_000_000_000,
            seal_retention_days=1,
            seal_compliance=False,
            grader_concurrency=2,
            requests_per_second=1_000,
            burst=2_000,
            gateway_url="http://127.0.0.1:8900",
            rails=("gateway", "paypal", "stripe", "sepa", "circle"),
        ),
        Stage(
            name="dev",
            retain=True,
            log_retention_days=7,
            log_level="INFO",
            fee_basis_points=2_000,
            payout_threshold_micros=5_000_000,
            cooling_off_seconds=3_600,
            payout_hour_utc=6,
            max_deposit_micros=10_000_000_000,
            seal_retention_days=7,
            seal_compliance=False,
            grader_concurrency=5,
            requests_per_second=100,
            burst=200,
        ),
        Stage(
            name="prod",
            retain=True,
            log_retention_days=90,
            log_level="INFO",
            fee_basis_points=2_000,
            payout_threshold_micros=5_000_000,
            cooling_off_seconds=259_200,
            payout_hour_utc=6,
            max_deposit_micros=0,
            seal_retention_days=3_650,
            seal_compliance=True,
            grader_concurrency=50,
            requests_per_second=2_000,
            burst=4_000,
            paypal_url="https://api-m.paypal.com",
            circle_url="https://api.circle.com",
        ),
    )
}
