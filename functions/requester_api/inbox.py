"""The route for dropping files without the API."""

from functions.requester_api.api import api
from functions.requester_api.schemas import InboxCredentialsView
from smallpeck.runtime import wiring
from smallpeck.runtime.http import Call
from smallpeck.runtime.inboxes import inbox_credentials
from smallpeck.runtime.schemas import NoBody


@api.route(
    "POST",
    "/inbox-credentials",
    body=NoBody,
    reply=InboxCredentialsView,
    status=201,
    idempotency="required",
    summary="Credentials for an hour, to drop specs and data under your own prefix",
)
def new_inbox_credentials(call: Call[NoBody]) -> InboxCredentialsView:
    return InboxCredentialsView(**inbox_credentials(wiring.current(), call.user_id))
