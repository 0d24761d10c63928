"""The money flows. One file each, and one line here."""

from collections.abc import Mapping

from tests.sim.flows import answers, functions, funding, money, paying, publishing, reviews
from tests.sim.script import Flow

FLOWS: Mapping[str, Flow] = {
    flow.name: flow
    for flow in (
        *answers.FLOWS,
        *reviews.FLOWS,
        *publishing.FLOWS,
        *paying.FLOWS,
        *money.FLOWS,
        *funding.FLOWS,
        *functions.FLOWS,
    )
}
