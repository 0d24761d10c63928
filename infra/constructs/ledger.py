"""The books: the audit that recomputes every balance from the entries."""

from constructs import Construct

from infra.constructs.function import CHANGE, READ, SCAN, Function, FunctionSpec, Shared
from infra.constructs.workflow import Workflow


class Ledger(Construct):
    """`books_audit` and its workflow."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared) -> None:
        super().__init__(scope, construct_id)
        self.books_audit = Function(
            self,
            "BooksAudit",
            shared=shared,
            spec=FunctionSpec(
                name="books_audit",
                memory_mb=1_769,
                timeout_seconds=900,
                tables={"platform": (*READ, *SCAN, *CHANGE), "ledger": SCAN},
            ),
        )
        self.workflow = Workflow(
            self, "BooksAuditWorkflow", shared=shared, name="books_audit", functions={"BooksAudit": self.books_audit}
        )
