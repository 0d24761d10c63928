"""Every DynamoDB key.

Four tables: `platform` (state and balances), `ledger` (entries and statement rows, append-only), `people` (personal
data under each person's own key) and `keys` (those keys, wrapped). Each has a partition key `pk` and a sort key `sk`.
`platform` has two sparse indexes, projecting keys only: `owner` (whose things, newest last) and `queue` (what waits).

    item            table     pk                              sk                    read by
    account         platform  ACCOUNT#{account}               BALANCE               ledger, payouts
    audit           platform  AUDIT#{audit}                   AUDIT                 operators
    bank_credit     platform  BANK_CREDIT#{credit}            CREDIT                funding (bank transfers)
    bank_reference  platform  BANK_REFERENCE#{reference}      REFERENCE             funding (bank transfers)
    batch           platform  BATCH#{batch}                   BATCH                 tasks
    deposit         platform  DEPOSIT#{deposit}               DEPOSIT               funding
    export          platform  BATCH#{batch}                   EXPORT#{export}       tasks (exports)
    freeze          platform  REQUESTER#{requester}           FREEZE                ledger, funding
    funding_event   platform  FUNDING_EVENT#{source}#{event}  EVENT                 funding (webhooks)
    import          platform  BATCH#{batch}                   IMPORT                tasks (import report)
    import_part     platform  BATCH#{batch}                   IMPORT#{part:06d}     tasks (import report)
    input           platform  INPUTS#{batch}#{shard}          TASK#{position:08d}   tasks (pages, results)
    member          platform  WORKER#{worker}                 MEMBER#{batch}        tasks (open pages of a worker)
    page            platform  PAGE#{page}                     PAGE                  tasks
    parcel          platform  RUN#{run}                       PARCEL#{number:06d}   payouts
    payout          platform  PAYOUT#{payout}                 PAYOUT                payouts
    progress        platform  BATCH#{batch}                   PROGRESS#{shard:02d}  tasks (progress, finishing)
    rail_event      platform  RAIL_EVENT#{event}              EVENT                 payouts (webhooks)
    requester       platform  REQUESTER#{requester}           PROFILE               people
    run             platform  RUN#{run}                       RUN                   payouts
    run_member      platform  RUN#{run}                       MEMBER#{number:06d}   payouts (frozen membership)
    run_wait        platform  RUN#{run}                       WAIT                  payouts (webhooks)
    seal            platform  SEALS                           {day}                 ledger (proofs)
    skill           platform  SKILLS#{batch}#{shard}          {worker}              tasks (grading, re-estimation)
    suspense        platform  SUSPENSE#{suspense}             SUSPENSE              funding (operators)
    task            platform  TASKS#{batch}#{shard}           TASK#{position:08d}   tasks (seats, votes, result)
    tickets         platform  TICKETS#{batch}#{shard}         TICKETS               tasks (dispatch)
    worker          platform  WORKER#{worker}                 PROFILE               people
    entry           ledger    ENTRY#{entry}                   ENTRY                 ledger, audit
    statement_row   ledger    STATEMENT#{account}             {seq:012d}            ledger (statements)
    person          people    PERSON#{person}                 DESTINATION           people (payout destination)
    person_key      keys      PERSON#{person}                 KEY                   people (wrapped data key)

    index entry  index  pk                     sk                                         lists
    batch_of     owner  BATCHES#{requester}    {created_at_ms:015d}#{batch}               a requester's batches
    page_of      owner  PAGES#{worker}         {leased_at_ms:015d}#{page}                 a worker's pages
    deposit_of   owner  DEPOSITS#{requester}   {created_at_ms:015d}#{deposit}             a requester's deposits
    payout_of    owner  PAYOUTS#{worker}       {requested_at_ms:015d}#{payout}            a worker's payouts
    open         queue  OPEN                   {deadline_ms:015d}#{batch}                 batches offered or closing
    want         queue  WANT#{batch}#{shard}   {band:01d}#{rank:08d}                      tasks with a free seat
    control      queue  KNOWN#{batch}#{shard}  {rank:08d}                                 control tasks with a free seat
    lease        queue  LEASE#{batch}#{shard}  {expires_at_ms:015d}#{seats:02d}#{page}    leased pages
    submitted    queue  SUBMITTED#{shard}      {at_ms:015d}#{batch}#{answers:02d}#{page}  pages not yet decided
    review       queue  REVIEW#{batch}         {until_ms:015d}#{answers:02d}#{page}       pages that wait for decisions
    payable      queue  PAYABLE                {requested_at_ms:015d}#{payout}            payouts no run has taken
    unresolved   queue  UNRESOLVED             {since_ms:015d}#{payout}                   payouts of unknown outcome
    followed     queue  FOLLOWED               {at_ms:015d}#{event}                       rail events to ask about
    automatic    queue  AUTOMATIC              {worker}                                   workers paid out by themselves
    watched      queue  WATCHED                {created_at_ms:015d}#{deposit}             deposits to look after
    suspended    queue  SUSPENDED              {at_ms:015d}#{suspense}                    money in suspense

A part never contains `#`; accounts contain `:` between their words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from smallpeck.kernel.writes import Ref

PARTITION_KEY = "pk"
SORT_KEY = "sk"
TABLES = ("platform", "ledger", "people", "keys")
INDEXES = ("owner", "queue")


@dataclass(frozen=True)
class Entity:
    """Where one kind of item lives, the templates of its keys, and who reads it."""

    table: str
    pk: str
    sk: str
    read_by: str


@dataclass(frozen=True)
class IndexEntry:
    """One use of a sparse index: the index, the templates of its keys, and what the entries list."""

    index: str
    pk: str
    sk: str
    lists: str


ENTITIES: Mapping[str, Entity] = {
    "account": Entity("platform", "ACCOUNT#{account}", "BALANCE", "ledger, payouts"),
    "audit": Entity("platform", "AUDIT#{audit}", "AUDIT", "operators"),
    "bank_credit": Entity("platform", "BANK_CREDIT#{credit}", "CREDIT", "funding (bank transfers)"),
    "bank_reference": Entity("platform", "BANK_REFERENCE#{reference}", "REFERENCE", "funding (bank transfers)"),
    "batch": Entity("platform", "BATCH#{batch}", "BATCH", "tasks"),
    "deposit": Entity("platform", "DEPOSIT#{deposit}", "DEPOSIT", "funding"),
    "export": Entity("platform", "BATCH#{batch}", "EXPORT#{export}", "tasks (exports)"),
    "freeze": Entity("platform", "REQUESTER#{requester}", "FREEZE", "ledger, funding"),
    "funding_event": Entity("platform", "FUNDING_EVENT#{source}#{event}", "EVENT", "funding (webhooks)"),
    "import": Entity("platform", "BATCH#{batch}", "IMPORT", "tasks (import report)"),
    "import_part": Entity("platform", "BATCH#{batch}", "IMPORT#{part:06d}", "tasks (import report)"),
    "input": Entity("platform", "INPUTS#{batch}#{shard}", "TASK#{position:08d}", "tasks (pages, results)"),
    "member": Entity("platform", "WORKER#{worker}", "MEMBER#{batch}", "tasks (open pages of a worker)"),
    "page": Entity("platform", "PAGE#{page}", "PAGE", "tasks"),
    "parcel": Entity("platform", "RUN#{run}", "PARCEL#{number:06d}", "payouts"),
    "payout": Entity("platform", "PAYOUT#{payout}", "PAYOUT", "payouts"),
    "progress": Entity("platform", "BATCH#{batch}", "PROGRESS#{shard:02d}", "tasks (progress, finishing)"),
    "rail_event": Entity("platform", "RAIL_EVENT#{event}", "EVENT", "payouts (webhooks)"),
    "requester": Entity("platform", "REQUESTER#{requester}", "PROFILE", "people"),
    "run": Entity("platform", "RUN#{run}", "RUN", "payouts"),
    "run_member": Entity("platform", "RUN#{run}", "MEMBER#{number:06d}", "payouts (frozen membership)"),
    "run_wait": Entity("platform", "RUN#{run}", "WAIT", "payouts (webhooks)"),
    "seal": Entity("platform", "SEALS", "{day}", "ledger (proofs)"),
    "skill": Entity("platform", "SKILLS#{batch}#{shard}", "{worker}", "tasks (grading, re-estimation)"),
    "suspense": Entity("platform", "SUSPENSE#{suspense}", "SUSPENSE", "funding (operators)"),
    "task": Entity("platform", "TASKS#{batch}#{shard}", "TASK#{position:08d}", "tasks (seats, votes, result)"),
    "tickets": Entity("platform", "TICKETS#{batch}#{shard}", "TICKETS", "tasks (dispatch)"),
    "worker": Entity("platform", "WORKER#{worker}", "PROFILE", "people"),
    "entry": Entity("ledger", "ENTRY#{entry}", "ENTRY", "ledger, audit"),
    "statement_row": Entity("ledger", "STATEMENT#{account}", "{seq:012d}", "ledger (statements)"),
    "person": Entity("people", "PERSON#{person}", "DESTINATION", "people (payout destination)"),
    "person_key": Entity("keys", "PERSON#{person}", "KEY", "people (wrapped data key)"),
}

INDEX_ENTRIES: Mapping[str, IndexEntry] = {
    "batch_of": IndexEntry("owner", "BATCHES#{requester}", "{created_at_ms:015d}#{batch}", "a requester's batches"),
    "page_of": IndexEntry("owner", "PAGES#{worker}", "{leased_at_ms:015d}#{page}", "a worker's pages"),
    "deposit_of": IndexEntry(
        "owner", "DEPOSITS#{requester}", "{created_at_ms:015d}#{deposit}", "a requester's deposits"
    ),
    "payout_of": IndexEntry("owner", "PAYOUTS#{worker}", "{requested_at_ms:015d}#{payout}", "a worker's payouts"),
    "open": IndexEntry("queue", "OPEN", "{deadline_ms:015d}#{batch}", "batches offered or closing"),
    "want": IndexEntry("queue", "WANT#{batch}#{shard}", "{band:01d}#{rank:08d}", "tasks with a free seat"),
    "control": IndexEntry("queue", "KNOWN#{batch}#{shard}", "{rank:08d}", "control tasks with a free seat"),
    "lease": IndexEntry("queue", "LEASE#{batch}#{shard}", "{expires_at_ms:015d}#{seats:02d}#{page}", "leased pages"),
    "submitted": IndexEntry(
        "queue", "SUBMITTED#{shard}", "{at_ms:015d}#{batch}#{answers:02d}#{page}", "pages not yet decided"
    ),
    "review": IndexEntry(
        "queue", "REVIEW#{batch}", "{until_ms:015d}#{answers:02d}#{page}", "pages that wait for decisions"
    ),
    "payable": IndexEntry("queue", "PAYABLE", "{requested_at_ms:015d}#{payout}", "payouts no run has taken"),
    "unresolved": IndexEntry("queue", "UNRESOLVED", "{since_ms:015d}#{payout}", "payouts of unknown outcome"),
    "followed": IndexEntry("queue", "FOLLOWED", "{at_ms:015d}#{event}", "rail events to ask about"),
    "automatic": IndexEntry("queue", "AUTOMATIC", "{worker}", "workers paid out by themselves"),
    "watched": IndexEntry("queue", "WATCHED", "{created_at_ms:015d}#{deposit}", "deposits to look after"),
    "suspended": IndexEntry("queue", "SUSPENDED", "{at_ms:015d}#{suspense}", "money in suspense"),
}


def key_of(item: Ref) -> tuple[str, dict[str, str]]:
    """(table, primary key) of an item."""
    entity = ENTITIES[item.entity]
    pk, sk = _fill((entity.pk, entity.sk), item.parts)
    return entity.table, {PARTITION_KEY: pk, SORT_KEY: sk}


def partition_of(entity: str, *parts: str | int) -> tuple[str, str]:
    """(table, partition key) of the partition that holds items of `entity`; `parts` are those of the partition key."""
    return ENTITIES[entity].table, _fill((ENTITIES[entity].pk,), parts)[0]


def sort_range(entity: str) -> tuple[str, str]:
    """The bounds (both included) of the sort keys of `entity` in its partition."""
    prefix, varies, _ = ENTITIES[entity].sk.partition("{")
    return prefix or " ", prefix + "\uffff" if varies else prefix


def sort_key(entity: str, *parts: str | int) -> str:
    """The sort key of an item of `entity` from the parts that stand in it."""
    return _fill((ENTITIES[entity].sk,), parts)[0]


def index_names(entry: str) -> tuple[str, str, str]:
    """(index, its partition key attribute, its sort key attribute) for one use of an index."""
    index = INDEX_ENTRIES[entry].index
    return index, f"{index}_pk", f"{index}_sk"


def index_key(entry: str, parts: tuple[str | int, ...]) -> dict[str, str]:
    """The index attributes of an item for one use of an index."""
    use = INDEX_ENTRIES[entry]
    _, pk_name, sk_name = index_names(entry)
    pk, sk = _fill((use.pk, use.sk), parts)
    return {pk_name: pk, sk_name: sk}


def index_partition(entry: str, *parts: str | int) -> str:
    """The partition key of one use of an index."""
    return _fill((INDEX_ENTRIES[entry].pk,), parts)[0]


def index_bound(entry: str, *parts: str | int) -> str:
    """The beginning of a sort key of one use of an index: its template filled as far as `parts` go."""
    filled = ""
    for text, name, form, _ in Formatter().parse(INDEX_ENTRIES[entry].sk):
        filled += text
        if name is None or not parts:
            break
        filled += format(parts[0], form or "")
        parts = parts[1:]
    return filled


def parts_of(template: str, key: str) -> list[str]:
    """The parts inside a key that was made from `template`: what `#` separates and is not fixed text."""
    return [word for form, word in zip(template.split("#"), key.split("#"), strict=True) if "{" in form]


def parts_of_item(entity: str, key: Mapping[str, str]) -> list[str]:
    """The key parts of an item of `entity`, from its primary key."""
    kind = ENTITIES[entity]
    return parts_of(kind.pk, key[PARTITION_KEY]) + parts_of(kind.sk, key[SORT_KEY])


def parts_of_index(entry: str, key: Mapping[str, str]) -> list[str]:
    """The parts of the sort key of one use of an index, from an item that it lists."""
    return parts_of(INDEX_ENTRIES[entry].sk, key[index_names(entry)[2]])


def _fill(templates: tuple[str, ...], parts: tuple[str | int, ...]) -> list[str]:
    remaining = list(parts)
    filled = []
    for template in templates:
        text = ""
        for literal, name, form, _ in Formatter().parse(template):
            text += literal
            if name is not None:
                if not remaining:
                    raise ValueError(f"{name} is missing")
                part = remaining.pop(0)
                if isinstance(part, str) and (not part or "#" in part):
                    raise ValueError(f"{name} cannot stand in a key")
                text += format(part, form or "")
        filled.append(text)
    if remaining:
        raise ValueError(f"{len(remaining)} key parts too many for {templates}")
    return filled
