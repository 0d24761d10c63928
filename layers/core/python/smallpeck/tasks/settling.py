"""The settlement round: some of a page's assignments are decided, credited in one entry, and counted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from smallpeck.consensus.method import SkillCounts
from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, Contention, Equals, Path, UnitOfWork, Value, WriteConflict
from smallpeck.ledger.accounts import Account, escrow, platform_revenue, worker_available
from smallpeck.ledger.posting import Balance, Entry, EntryKind, Posting
from smallpeck.ledger.service import Books, EntryMismatch, InsufficientFunds, post
from smallpeck.tasks.model import Batch
from smallpeck.tasks.pace import pace_field
from smallpeck.tasks.pages import (
    Assignment,
    AssignmentState,
    Page,
    PageState,
    assignment_fields,
    page_ref,
    review_key,
)
from smallpeck.tasks.skill import counts, credit_writes
from smallpeck.tasks.skips import progress_ref, tally

SETTLE_ATTEMPTS = 8


@dataclass(frozen=True)
class Learnt:
    """What a round's answers say about the skill of who gave them, and of all workers of the batch together."""

    own: SkillCounts
    of_all: SkillCounts


def settle(
    *,
    page: Page,
    batch: Batch,
    approved: Collection[str],
    rejected: Collection[str],
    closed: int,
    disputed: int,
    learnt: Learnt,
    now_ms: int,
    books: Books,
    unit: UnitOfWork,
) -> None:
    """Decides the page's assignments on these tasks: approves, credits and counts in one transaction.

    `closed` is how many tasks the approved answers closed, `disputed` how many of them in dispute. Raises Contention
    where the escrow is busy.
    """
    decided = tuple(_decided(one, approved, rejected) for one in page.assignments)
    left = sum(one.state is AssignmentState.SUBMITTED for one in decided)
    settled_round = page.round + 1
    fields: dict[Path, Value] = {
        "state": PageState.IN_REVIEW if left else PageState.DECIDED,
        "round": settled_round,
        "credited_micros": page.credited_micros + len(approved) * batch.reward_micros,
        "assignments": assignment_fields(decided),
    }
    decide = Change(
        page_ref(page.page_id),
        set=fields if left else {**fields, "decided_at_ms": now_ms},
        remove=("deciding",),
        when=(Equals("state", page.state), Equals("round", page.round)),
        index={"review": review_key(page, page.review_until_ms or 0, left)} if left else {"submitted": None},
    )
    count = Change(
        progress_ref(batch, page.page_id),
        add={
            "answers": len(approved),
            "rejected": len(rejected),
            "closed": closed,
            "disputed": disputed,
            **counts(learnt.of_all),
            **_pace(page, len(approved)),
            # A page that was in review has counted its skips on the way there.
            **(tally(page.skips) if page.state is PageState.SUBMITTED else {}),
        },
    )
    try:
        if approved:
            alongside = [decide, count, *credit_writes(batch.batch_id, {page.worker_id: learnt.own})]
            _pay(page, batch, f"{page.page_id}/{settled_round}", len(approved), alongside, now_ms, books, unit)
        else:
            unit.commit([decide, count])
    except WriteConflict as conflict:
        if not conflict.hit(decide.ref):
            raise
        # a twin of this call has settled the round


def _pace(page: Page, answers: int) -> dict[Path, int]:
    """Counts the answers under how long each of them took on the average of its page."""
    given = len(page.answers or ())
    if not answers or not given or page.accepted_at_ms is None:
        return {}
    return {pace_field((page.accepted_at_ms - page.leased_at_ms) / (1_000 * given)): answers}


def _decided(one: Assignment, approved: Collection[str], rejected: Collection[str]) -> Assignment:
    if one.task_id in approved:
        return Assignment(one.task_id, one.ordinal, AssignmentState.APPROVED)
    if one.task_id in rejected:
        return Assignment(one.task_id, one.ordinal, AssignmentState.REJECTED)
    return one


def _pay(
    page: Page,
    batch: Batch,
    entry_id: str,
    answers: int,
    alongside: Sequence[Change],
    now_ms: int,
    books: Books,
    unit: UnitOfWork,
) -> None:
    home = spread(batch.escrow_shards, page.page_id)
    shares: Mapping[Account, int] = {escrow(batch.batch_id, home): answers}
    for _ in range(SETTLE_ATTEMPTS):
        entry = _credit(page, batch, entry_id, shares, now_ms)
        try:
            post(entry=entry, alongside=alongside, books=books, unit=unit)
            return
        except InsufficientFunds:
            shares = _shares(batch, answers, home, books)
        except EntryMismatch as error:
            # A twin of this call has paid the round from other shards: the page says so when it is read again.
            raise Contention("another delivery of this page was faster; try again") from error
    raise Contention("the batch's escrow is busy; try again")


def _credit(page: Page, batch: Batch, entry_id: str, shares: Mapping[Account, int], now_ms: int) -> Entry:
    """The entry that pays for answers, `shares` of them from each escrow shard."""
    postings = []
    for shard, answers in shares.items():
        postings.append(Posting(shard, worker_available(page.worker_id), answers * batch.reward_micros))
        if batch.fee_micros:
            postings.append(Posting(shard, platform_revenue(), answers * batch.fee_micros))
    answers = sum(shares.values())
    return Entry(entry_id, EntryKind.CREDIT, batch.currency, page.page_id, tuple(postings), now_ms, answers)


def _shares(batch: Batch, answers: int, home: int, books: Books) -> dict[Account, int]:
    """How many answers each escrow shard pays when the page's own has run dry: the fullest first."""
    shards = [escrow(batch.batch_id, shard) for shard in range(batch.escrow_shards)]
    balances = books.balances(shards, batch.currency)
    own = shards[home]

    def by_fullness(shard: Account) -> tuple[bool, int]:
        return shard != own, -balances.get(shard, Balance()).balance_micros

    shares: dict[Account, int] = {}
    missing = answers
    for shard in sorted(shards, key=by_fullness):
        pays = min(missing, balances[shard].balance_micros // batch.price_micros)
        if pays:
            shares[shard] = pays
            missing -= pays
    if missing:
        # Open work is paid for in full, so a twin of this call has taken it meanwhile.
        raise Contention("the batch's escrow is busy; try again")
    return shares
