"""What proves a worker's statement: the signed document, the public keys, and the roots of the books."""

from typing import Annotated

from pydantic import Field

from functions.worker_api.api import api
from smallpeck.ledger.accounts import worker_available
from smallpeck.runtime import proving, wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.proving import RootNotFound
from smallpeck.runtime.schemas import WHOLE, CurrencyText, DayText, Document, LimitQuery, Query

MAX_SEQ = 999_999_999


class ProofQuery(Query):
    """Which statement, and how much of it."""

    currency: CurrencyText = "USD"
    after_seq: Annotated[
        int,
        Field(ge=0, le=MAX_SEQ, description="Rows after this number; 0, or `period.last_seq` of the run before."),
        WHOLE,
    ] = 0
    limit: LimitQuery = 50


class RootQuery(Query):
    """Which root."""

    day: DayText | None = None


@api.route(
    "GET",
    "/statement.json",
    query=ProofQuery,
    reply=Document,
    summary="Your statement as a signed document that proves itself",
)
def get_statement_document(call: Call[None, ProofQuery]) -> Document:
    """Rows oldest first, chained, each with its place in the daily seals. Checked by `python -m smallpeck.ledger`."""
    account = worker_available(call.user_id)
    asked = call.query
    return Document(proving.statement_document(wiring.current(), account, asked.currency, asked.after_seq, asked.limit))


@api.route(
    "GET", "/v1/keys", reply=Document, public=True, summary="The public keys that statements and roots are signed with"
)
def get_keys(_call: Call) -> Document:
    """A JWK set (RFC 7517)."""
    return Document({"keys": proving.public_keys(wiring.current())})


@api.route(
    "GET",
    "/v1/root",
    query=RootQuery,
    reply=Document,
    public=True,
    errors=(RootNotFound,),
    summary="The root of the books of a day, by default of the newest",
)
def get_root(call: Call[None, RootQuery]) -> Document:
    """The Merkle root of everything recorded until the end of that day (UTC), signed."""
    return Document(proving.root_of_day(wiring.current(), call.query.day))
