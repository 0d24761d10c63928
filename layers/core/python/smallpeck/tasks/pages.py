"""Pages: some assignments of one batch, leased and submitted together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smallpeck.kernel.errors import Conflict, NotFound
from smallpeck.kernel.ids import content_hash
from smallpeck.kernel.writes import Ref, ref

SUBMITTED_SHARDS = 8


class PageState(StrEnum):
    """leasing -> leased -> submitted (-> in_review) -> decided, or expired, returned, void."""

    LEASING = "leasing"
    """Seats are being claimed."""
    LEASED = "leased"
    """In a worker's hands."""
    SUBMITTED = "submitted"
    """Answered in time; not decided yet."""
    IN_REVIEW = "in_review"
    """Waits for its requester's decisions, or for the end of the review."""
    DECIDED = "decided"
    """Every assignment is decided and paid where approved."""
    EXPIRED = "expired"
    """The lease ran out; its seats are open again."""
    RETURNED = "returned"
    """Given back by the worker; its seats are open again, for others."""
    VOID = "void"
    """No seat could be claimed."""


class AssignmentState(StrEnum):
    """One worker's hold on one task."""

    LEASED = "leased"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RETURNED = "returned"


class PageNotFound(NotFound):
    """There is no such page, or it is another worker's."""

    code = "page_not_found"

    def __init__(self) -> None:
        super().__init__("there is no such page")


class PageNotLeased(Conflict):
    """The page is not in the worker's hands (any more)."""

    code = "page_not_leased"


class LeaseExpired(Conflict):
    """The lease ran out before the answers came."""

    code = "lease_expired"


class AlreadySubmitted(Conflict):
    """Other answers were accepted for this page before."""

    code = "already_submitted"


@dataclass(frozen=True)
class Assignment:
    """One worker's hold on one task."""

    task_id: str
    ordinal: int
    state: AssignmentState = AssignmentState.LEASED


@dataclass(frozen=True)
class Page:
    """The record of a lease and of the submission that answers it.

    `answers` maps task ids to answers as canonical JSON text. `round` is the number of settlement rounds so far.
    `deciding` is what the requester decided (task id -> "approved" or "rejected") and the grader has not carried out
    yet; `rejections` says why answers were rejected, `skips` (task id -> reason) why tasks were left undone.
    """

    page_id: str
    worker_id: str
    batch_id: str
    state: PageState
    assignments: tuple[Assignment, ...]
    leased_at_ms: int
    expires_at_ms: int
    request_hash: str
    answers: Mapping[str, str] | None = None
    answers_hash: str | None = None
    accepted_at_ms: int | None = None
    decided_at_ms: int | None = None
    round: int = 0
    credited_micros: int = 0
    review_until_ms: int | None = None
    deciding: Mapping[str, str] | None = None
    rejections: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    skips: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> int:
        """The ordinal whose shard lists this page's lease."""
        return self.assignments[0].ordinal if self.assignments else 0


def answers_hash(answers: Mapping[str, str], skips: Mapping[str, str]) -> str:
    """What tells a repeated submission from another one."""
    return content_hash([dict(answers), dict(skips)])


def page_ref(page_id: str) -> Ref:
    """The item of a page."""
    return ref("page", page_id)


def review_key(page: Page, until_ms: int, answers: int) -> tuple[str | int, ...]:
    """Where a page with so many undecided answers stands in the index of those that wait for decisions."""
    return (page.batch_id, until_ms, answers, page.page_id)


def member_ref(worker_id: str, batch_id: str) -> Ref:
    """The item that counts a worker's open pages in a batch."""
    return ref("member", worker_id, batch_id)


def assignment_fields(
    assignments: tuple[Assignment, ...], state: AssignmentState | None = None
) -> list[dict[str, str | int]]:
    """Assignments as they are stored, all in `state` where one is given."""
    return [
        {"task_id": one.task_id, "ordinal": one.ordinal, "state": state if state is not None else one.state}
        for one in assignments
    ]
