"""Runs the inbox workflow's own file over the real handlers, the import inside it, on the in-memory AWS."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functions.inbox_open.handler import handler as inbox_open
from smallpeck.kernel.writes import Create, ref
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.functions.import_workflow import UPLOADS, WORK, Failed, Imports, fill
from tests.functions.world import WorldClock
from tests.support import REQUESTER, TABLE_NAMES

__all__ = ["GOOD", "REQUESTER", "SPEC", "Failed", "Inbox"]

DEFINITION = json.loads(Path("infra/workflows/inbox.asl.json").read_text())
IMPORT = "arn:aws:states:::states:startExecution.sync:2"
GOOD = b"id,text\na,one\nb,two\nragged\nc,three\n"
SPEC: Mapping[str, Any] = {
    "title": "Cats and dogs",
    "instructions": "Say what you see.",
    "price": "0.50",
    "answer_schema": {"enum": ["cat", "dog"]},
    "publish": True,
}


class Inbox(Imports):
    """A world in which requesters drop; what is dropped starts executions by hand."""

    def __init__(self, *, known: bool = True) -> None:
        super().__init__()
        tables: dict[str, Any] = {f"{table}_table": name for table, name in TABLE_NAMES.items()}
        settings = Settings(stage="local", uploads_bucket=UPLOADS, work_bucket=WORK, **tables)
        clients = {"s3": self.world.aws.s3, "dynamodb": self.world.aws.dynamodb}
        self.wiring = Wiring(settings, clock=WorldClock(self.world), clients=clients)
        self.wiring.table = self.world.table
        if known:
            fields: dict[str, str | int] = {"requester_id": REQUESTER, "created_at_ms": self.world.now_ms}
            self.world.table.commit([Create(ref("requester", REQUESTER), fields)])

    def drop(self, *, content: bytes = GOOD, name: str = "batch.json", **changes: Any) -> dict[str, str]:
        """Puts data and spec into the inbox; what the rule then tells the workflow. A field of None is left out."""
        held = self.upload(content, f"inbox/{REQUESTER}/cats/batch.csv")
        spec = {**SPEC, "data": {"key": "cats/batch.csv", "version_id": held["version_id"]}, **changes}
        text = json.dumps({field: value for field, value in spec.items() if value is not None})
        return self.upload(text.encode(), f"inbox/{REQUESTER}/cats/{name}")

    def run(self, event: Mapping[str, str]) -> Any:
        """An execution, to its end."""
        return self.execute(dict(event), DEFINITION)

    def report(self, event: Mapping[str, str]) -> Any:
        """The report beside a spec."""
        answer = self.world.aws.s3.get_object(Bucket=UPLOADS, Key=event["key"] + ".report.json")
        return json.loads(answer["Body"].read())

    def reports(self) -> list[str]:
        """The keys of all reports."""
        return [key for key in self.world.aws.s3.bucket(UPLOADS).keys if key.endswith(".report.json")]

    def _task(self, name: str, state: Mapping[str, Any], data: Any) -> Any:
        if state["Resource"] not in (IMPORT, "${InboxOpen}"):
            return super()._task(name, state, data)
        if self.faults.get(name):
            raise self.faults[name].pop(0)
        payload = json.loads(json.dumps(fill(state["Parameters"], data, {"Execution": {"Id": "this"}})))
        if state["Resource"] == IMPORT:
            assert payload["StateMachineArn"] == "${ImportMachine}"
            return {"Output": self.execute(payload["Input"])}
        return json.loads(json.dumps(inbox_open(payload, None)))
