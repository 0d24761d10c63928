"""A requester with a batch that they review, and every route that makes their work easier, used once."""

from dataclasses import dataclass
from typing import Any

from smallpeck.runtime.wiring import wired
from tests.functions.paying import Paying
from tests.functions.world import Client, Platform

RUBRIC = ["One animal per picture.", "No drawings."]
WHY = "the picture shows two animals, not one"
BATCH: dict[str, Any] = {
    "title": "Cats and dogs",
    "instructions": "Say what you see.",
    "price": "0.50",
    "answer_schema": {"enum": ["cat", "dog"]},
    "min_answers": 1,
    "max_answers": 2,
    "deadline": "2026-02-01T00:00:00.000Z",
    "rubric": RUBRIC,
}
REVIEWED = BATCH | {"review": {"mode": "deadline"}, "max_answers": 1}


def rows(accepted: int = 20, rejected: int = 0) -> bytes:
    """A file of so many good rows and so many ragged ones after them."""
    good = (b"r%d,text %d\n" % (n, n) for n in range(accepted))
    return b"id,text\n" + b"".join(good) + b"ragged\n" * rejected


@dataclass(frozen=True)
class Tour:
    """One batch of one requester on one platform."""

    platform: Platform
    me: Client
    batch_id: str

    @property
    def path(self) -> str:
        return f"/batches/{self.batch_id}"

    def get(self, what: str, query: str = "") -> Any:
        """The JSON of a route of the batch."""
        answer = self.me.get(f"{self.path}/{what}", query)
        assert answer.status == 200, answer.text
        return answer.json

    def post(self, what: str, body: Any = None, key: str | None = "k", query: str = "") -> Any:
        answer = self.me.post(f"{self.path}/{what}", {} if body is None else body, key=key, query=query)
        assert answer.status in (200, 202), answer.text
        return answer.json

    def published(self) -> "Tour":
        assert self.me.post("/deposits", {"amount": "100.00"}, key=f"d-{self.batch_id}").status == 201
        assert self.post("publish")["state"] == "active"
        return self

    def answered(self, worker: str, answer: str = "cat", key: str = "k1") -> dict[str, Any]:
        """A page that a worker has leased and submitted and the grader has seen."""
        client = self.platform.worker(worker)
        page = client.leased(key, self.batch_id)
        self.platform.aws.clock.advance(10 * len(page["assignments"]))
        client.submitted(page, answer)
        self.platform.deliver()
        return page

    def decide(self, *decisions: dict[str, Any], key: str = "k") -> dict[str, str]:
        told = self.post("decisions", {"decisions": list(decisions)}, key)
        return {one["page_id"]: one["outcome"] for one in told["outcomes"]}


def ready(platform: Platform, key: str = "b1", file: bytes | None = None, **changed: Any) -> Tour:
    """A batch whose file is imported."""
    me = platform.requester()
    made = me.post("/batches", BATCH | changed, key=key)
    assert made.status == 201, made.text
    assert platform.run_import(platform.upload(made.json["upload"], file or rows()))["state"] == "done"
    return Tour(platform, me, made.json["batch"]["batch_id"])


def reject(page: dict[str, Any], place: int | None = 0) -> dict[str, Any]:
    """A rejection of one answer of a page, or of all."""
    task = {} if place is None else {"task_id": page["assignments"][place]["task_id"]}
    return {"page_id": page["page_id"], **task, "decision": "reject", "clause": 0, "explanation": WHY}


def approve(page: dict[str, Any]) -> dict[str, Any]:
    """An approval of all answers of a page that nothing else is said of."""
    return {"page_id": page["page_id"], "decision": "approve"}


def use_what_makes_it_easier() -> set[tuple[str, str]]:
    """Uses every route beside the life of a batch; returns the routes that answered."""
    paying = Paying()
    platform = paying.platform
    with wired(platform.wiring):
        tour = ready(platform, **REVIEWED)
        assert tour.get("preview")["page"]["assignments"]
        assert tour.post("validate", key=None)["missing"] == "10.00"
        assert tour.post("price", key=None)["cost"] == "10.00"
        tour.published()
        page = tour.answered("ann")
        assert [one["page_id"] for one in tour.get("review")["pages"]] == [page["page_id"]]
        assert tour.decide(approve(page)) == {page["page_id"]: "accepted"}
        platform.deliver()
        assert tour.get("progress")["answers_approved"] == 10
        for picture in ("progress.svg", "report"):
            assert "10" in tour.me.get(f"{tour.path}/{picture}").text
        assert tour.post("pause")["state"] == "paused"
        assert tour.post("resume")["state"] == "active"
        assert tour.post("extend", {"more_answers": 1})["max_answers"] == 2
        assert tour.me.post("/inbox-credentials", {}, key="k").status == 201
        opened = tour.me.post("/checkouts", {"amount": "5.00"}, key="k").json
        paying.pay(opened)
        assert paying.deliver() == ["applied"]
        assert tour.me.get(f"/checkouts/{opened['deposit_id']}").json["state"] == "credited"
        assert len(tour.me.get("/checkouts").json["checkouts"]) == 1
        assert tour.me.post("/bank-transfers", {}, key="k").status == 201
        assert not tour.me.get("/funds").json["frozen"]
        export = tour.post("exports", {"format": "csv"})
        assert tour.get(f"exports/{export['export_id']}")["state"] == "running"
    return platform.answered
