"""The API of workers: here who they are; `work` has what they do, `pay` what they get, `proof` that it is so."""

from functions.worker_api import pay, proof, views, work
from functions.worker_api.api import api
from functions.worker_api.schemas import ProfileBody, ProfileView
from smallpeck.kernel.money import BadAmount
from smallpeck.people import service as people
from smallpeck.people.model import BadProfile
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import Health, amount_micros

__all__ = ["api", "handler", "pay", "proof", "work"]

handler = api.handler


@api.route("GET", "/healthz", reply=Health, public=True, summary="Whether the function runs")
def healthz(_call: Call) -> Health:
    return Health(status="ok")


@api.route("GET", "/profile", reply=ProfileView, summary="What you said about yourself")
def get_profile(call: Call) -> ProfileView:
    here = wiring.current()
    profile = people.get_profile(
        worker_id=call.user_id, now_ms=call.now_ms, profiles=here.once(wiring.profile_store), unit=here.table
    )
    return views.profile(profile, here.settings.payout_threshold_micros)


@api.route(
    "PUT",
    "/profile",
    body=ProfileBody,
    reply=ProfileView,
    errors=(BadProfile, BadAmount),
    summary="Say who you are",
)
def put_profile(call: Call[ProfileBody]) -> ProfileView:
    here = wiring.current()
    threshold = call.body.payout_threshold
    profile = people.put_profile(
        worker_id=call.user_id,
        country=call.body.country,
        languages=call.body.languages,
        payout_threshold_micros=amount_micros(threshold, "USD", at="/payout_threshold") if threshold else None,
        platform_threshold_micros=here.settings.payout_threshold_micros,
        automatic_payouts=call.body.automatic_payouts,
        now_ms=call.now_ms,
        profiles=here.once(wiring.profile_store),
        destinations=here.once(wiring.destination_facts),
        unit=here.table,
    )
    return views.profile(profile, here.settings.payout_threshold_micros)
