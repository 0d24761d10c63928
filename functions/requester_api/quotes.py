"""Routes that say what would be, and change nothing: problems, price, and what workers will see."""

from functions.requester_api import views
from functions.requester_api.api import api
from functions.requester_api.schemas import PreviewView, PriceQuery, PriceView, ValidationView
from smallpeck.ledger.accounts import requester_available
from smallpeck.runtime import rejections, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import NoBody
from smallpeck.runtime.worksheet import OfferView, first_page, offer_fields
from smallpeck.tasks import quoting
from smallpeck.tasks.model import BatchNotFound


@api.route(
    "POST",
    "/batches/{batch_id}/validate",
    body=NoBody,
    reply=ValidationView,
    errors=(BatchNotFound,),
    summary="What is wrong with a batch and its file, and what is missing to publish it; changes nothing",
)
def validate_batch(call: Call[NoBody]) -> ValidationView:
    here = wiring.current()
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    report = here.once(wiring.import_store).report(owned.batch_id)
    account = requester_available(call.user_id)
    available = here.ledger.balances([account], owned.currency)[account].balance_micros
    verdict = quoting.examine(batch=owned, available_micros=available, now_ms=call.now_ms)
    imported = views.import_report(report, here)
    return views.validation(owned, verdict, available, imported, rejections.first_rejections(here, report))


@api.route(
    "POST",
    "/batches/{batch_id}/price",
    body=NoBody,
    query=PriceQuery,
    reply=PriceView,
    errors=(BatchNotFound,),
    summary="What a batch costs, how long it takes and what it pays an hour; changes nothing",
)
def price_batch(call: Call[NoBody, PriceQuery]) -> PriceView:
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    median_seconds = wiring.current().once(wiring.task_store).progress(owned.batch_id).median_seconds
    quote = quoting.quote(batch=owned, median_seconds=median_seconds, workers=call.query.workers)
    return views.price(owned, quote, call.query.workers)


@api.route(
    "GET",
    "/batches/{batch_id}/preview",
    reply=PreviewView,
    errors=(BatchNotFound,),
    summary="Exactly what a worker gets; nothing is leased",
)
def preview_batch(call: Call) -> PreviewView:
    reads = wiring.current().once(wiring.task_store)
    owned = wiring.own_batch(call.path["batch_id"], call.user_id)
    return PreviewView(batch=OfferView(**offer_fields(owned)), page=first_page(owned, call.now_ms, reads))
