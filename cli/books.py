"""The books and the payouts, for operators."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from cli.errands import audited, paid_out
from cli.screen import Said, Screen, facts, table
from cli.signing import signed_in
from cli.stages import open_stage


def audit(options: Namespace, screen: Screen) -> Said:
    """Audits the books; 1 where they do not balance."""
    operator = signed_in(open_stage(options.stage), "operator")
    with screen.bar("audit"):
        found = audited(operator)
    totals = [[name, currency, amount] for name, sums in found["totals"].items() for currency, amount in sums.items()]
    shown = [
        facts("Books audit", found, leave_out=["totals", "differences"]),
        table("What stands where", ["accounts", "currency", "amount"], totals),
    ]
    if found["differences"]:
        names = ("subject", "what", "expected_micros", "found_micros")
        rows = [[one[name] for name in names] for one in found["differences"]]
        shown.append(table("Differences", [name.replace("_", " ") for name in names], rows))
    return Said(found, shown, 0 if found["books_balanced"] else 1)


def run_payouts(options: Namespace, screen: Screen) -> Said:
    """Pays out what workers asked for; 1 where a rail's own total is another than ours."""
    operator = signed_in(open_stage(options.stage), "operator")
    with screen.bar("payouts") as bar:

        def seen(run: Mapping[str, Any]) -> None:
            bar.set(run["settled"] + run["released"], run["members"] or None)

        found = paid_out(operator, rounds=options.rounds, first_wait_seconds=options.first_wait, seen=seen)
    paid = [[currency, amount] for currency, amount in found["paid"].items()]
    shown = [facts("Payout run", found, leave_out=["paid"]), table("Paid", ["currency", "amount"], paid)]
    return Said(found, shown, 1 if found["reconciled"] is False else 0)
