"""What must hold of work: every accepted answer decided and paid once, escrow and skill counts that add up."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.sim.books import Item, Stored
from tests.sim.scene import TaskScene

ENDED = frozenset({"closed", "cancelled"})
DECIDED = frozenset({"decided"})


def problems(scene: TaskScene, stored: Stored, *, waiting: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with pages, tasks, escrow and skills; `waiting` are states that an accepted page may end in too."""
    pages = {str(page["page_id"]): page for page in stored.items["PAGE"]}
    wrong = _accepted(scene, pages, DECIDED | waiting)
    for batch in stored.items["BATCH"]:
        own = [page for page in pages.values() if page["batch_id"] == batch["batch_id"]]
        tasks = [task for task in stored.items["TASKS"] if task["pk"].split("#")[1] == batch["batch_id"]]
        wrong += [*_credits(stored, batch, own), *_escrow(stored, batch, own), *_seats(batch, tasks, pages)]
        wrong += _skills(stored, batch, tasks)
    return wrong


def _accepted(scene: TaskScene, pages: Mapping[str, Item], allowed: frozenset[str]) -> list[str]:
    """What a 202 was given for, and whatever else is stored as answered, is decided."""
    answered = {page_id for page_id, page in pages.items() if "accepted_at_ms" in page}
    return [
        f"page {page_id} was accepted and is {pages[page_id]['state'] if page_id in pages else 'gone'}"
        for page_id in sorted(scene.notes["accepted"] | answered)
        if page_id not in pages or pages[page_id]["state"] not in allowed
    ]


def approved(page: Item) -> int:
    """How many of a page's assignments are approved."""
    return sum(one["state"] == "approved" for one in page["assignments"])


def _credits(stored: Stored, batch: Item, pages: Sequence[Item]) -> list[str]:
    """Exactly one credit per approved assignment."""
    wrong = []
    units: Counter[str] = Counter()
    earned: Counter[str] = Counter()
    for entry in stored.entries:
        if entry["kind"] == "credit":
            units[entry["reference"]] += entry.get("units", 0)
            for posting in entry["postings"]:
                if posting["destination"].startswith("worker:"):
                    earned[entry["reference"]] += posting["amount_micros"]
    for page in pages:
        page_id, answers = str(page["page_id"]), approved(page)
        pay = answers * batch["reward_micros"]
        if (units[page_id], earned[page_id], page.get("credited_micros", 0)) != (answers, pay, pay):
            wrong.append(
                f"page {page_id} has {answers} approved answers; credited are {units[page_id]} with "
                f"{earned[page_id]} micros, and it says {page.get('credited_micros', 0)}"
            )
        if page["state"] == "decided" and any(one["state"] == "submitted" for one in page["assignments"]):
            wrong.append(f"page {page_id} is decided and has an answer that is not")
    return wrong


def _escrow(stored: Stored, batch: Item, pages: Sequence[Item]) -> list[str]:
    """The escrow of open work equals its unpaid price; that of ended work is empty, and the rest went back."""
    batch_id = batch["batch_id"]
    if f"{batch_id}/escrow" not in stored.entry_ids():
        published = batch["state"] not in ("draft", "importing", "ready", "cancelled")
        return [f"batch {batch_id} is {batch['state']} and was never paid for"] if published else []
    if batch["state"] in ("draft", "importing", "ready"):
        return [f"batch {batch_id} is {batch['state']} and was paid for"]
    cost = batch["task_count"] * batch["max_answers"] * batch["price_micros"]
    left = cost - sum(map(approved, pages)) * batch["price_micros"]
    held = sum(
        item["balance_micros"] for name, item in stored.balances.items() if name.startswith(f"escrow:{batch_id}:")
    )
    refunds = [entry for entry in stored.entries if entry["entry_id"] == f"{batch_id}/refund"]
    refunded = sum(posting["amount_micros"] for entry in refunds for posting in entry["postings"])
    wrong = []
    if held != left - refunded:
        wrong.append(f"batch {batch_id} holds {held} in escrow; unpaid are {left}, refunded {refunded}")
    if (refunds or batch["state"] in ENDED) and held:
        wrong.append(f"batch {batch_id} is {batch['state']} and keeps {held} in escrow")
    return wrong


def _seats(batch: Item, tasks: Sequence[Item], pages: Mapping[str, Item]) -> list[str]:
    wrong = []
    for task in tasks:
        taken = len(task["holders"]) + len(task["votes"])
        if task["seats_taken"] != taken or taken > batch["max_answers"]:
            wrong.append(f"task {task['ordinal']} has {taken} seats taken, counts {task['seats_taken']}")
        for worker, vote in task["votes"].items():
            page = pages[vote["page_id"]]
            mine = [one for one in page["assignments"] if one["task_id"] == task["task_id"]]
            if page["worker_id"] != worker or not mine:
                wrong.append(f"task {task['ordinal']} has a vote of {worker} that no page of theirs holds")
            elif page["state"] == "decided" and mine[0]["state"] != "approved":
                wrong.append(f"task {task['ordinal']} counts an answer that is {mine[0]['state']}")
    return wrong


def _skills(stored: Stored, batch: Item, tasks: Sequence[Item]) -> list[str]:
    """All workers' counts together are the population's, and both are what the votes of paid pages have taught."""
    batch_id = batch["batch_id"]
    population, workers, taught = (dict.fromkeys(("hits_ppm", "weight_ppm"), 0) for _ in range(3))
    for item in stored.items["PROGRESS"]:
        if item["pk"] == f"BATCH#{batch_id}":
            for name in ("hits_ppm", "weight_ppm"):
                population[name] += item.get(name, 0)
    for item in stored.items["SKILLS"]:
        if item["pk"].split("#")[1] == batch_id:
            for name in ("hits_ppm", "weight_ppm"):
                workers[name] += item.get(name, 0)
    for task in tasks:
        for name in ("hits_ppm", "weight_ppm"):
            taught[name] += sum(vote.get(name, 0) for vote in task["votes"].values())
            taught[name] += task.get(f"closing_{name}", 0)
    undecided = any(page["state"] in ("submitted", "in_review") for page in stored.items["PAGE"])
    if undecided or population == workers == taught:
        return []
    return [f"skills of {batch_id}: all {population}, workers {workers}, votes {taught}"]
