"""The message that names a page to grade."""

import json

from smallpeck.kernel.errors import Malformed
from smallpeck.kernel.ids import is_id

VERSION = 1


class BadMessage(Malformed):
    """A message that is not one of ours, or of a version that this function does not know."""

    code = "bad_message"


def read_message(text: str) -> str:
    """The page id in `{"v": 1, "page_id": "..."}`; raises BadMessage."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise BadMessage("the message is not JSON") from error
    if not isinstance(message, dict) or message.get("v") != VERSION:
        raise BadMessage("the message is of no version that is known here")
    page_id = message.get("page_id")
    if not isinstance(page_id, str) or not is_id(page_id):
        raise BadMessage("the message names no page")
    return page_id
