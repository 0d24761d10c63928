"""Row 33: decisions that come too late. A request decides on many pages, so each page has its own outcome."""

from typing import Any

from tests.functions.bad_inputs import Row
from tests.functions.requester_tour import REVIEWED, approve, ready, reject
from tests.functions.world import Platform


def approve_after_reject(platform: Platform) -> None:
    """409 stands for the page, as its outcome: the other pages of the request may be fine."""
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    assert tour.decide(reject(page), key="1") == {page["page_id"]: "accepted"}
    task = page["assignments"][0]["task_id"]
    other: dict[str, Any] = {"page_id": page["page_id"], "task_id": task, "decision": "approve"}
    for outcome in ("busy", "decided"):
        with platform.unchanged():
            assert tour.decide(other, key=f"a {outcome}") == {page["page_id"]: outcome}
        platform.deliver()
    assert platform.worker("ann").get("/balance").json["available"] == "0.00"
    assert tour.decide(approve(page), key="2") == {page["page_id"]: "decided"}


def reject_after_approve(platform: Platform) -> None:
    tour = ready(platform, **REVIEWED).published()
    page = tour.answered("ann")
    tour.decide(approve(page), key="1")
    platform.deliver()
    with platform.unchanged():
        assert tour.decide(reject(page), key="2") == {page["page_id"]: "decided"}
    assert platform.worker("ann").get("/balance").json["available"] == "4.00"


def without_review(platform: Platform) -> None:
    tour = ready(platform).published()
    page = tour.answered("ann")
    body = {"decisions": [approve(page)]}
    tour.me.refused("POST", f"{tour.path}/decisions", 409, "no_review", body=body, key="k")


ROWS = [
    Row(33, "approve after reject", approve_after_reject),
    Row(33, "reject after approve", reject_after_approve),
    Row(33, "a decision where answers are approved as they come", without_review),
]
