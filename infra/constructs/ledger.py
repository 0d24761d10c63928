"""The books: the audit that recomputes every balance from the entries, and the daily seal of all that they hold."""

from constructs import Construct

from infra.constructs.function import READ, SCAN, Allow, Function, FunctionSpec, Shared
from infra.constructs.schedule import once_a_day
from infra.constructs.workflow import Workflow
from infra.stacks.stateful import StatefulStack
from smallpeck.table import keys

# Of all items of the platform it may put those that remember seals, and no other.
_SEALS_ONLY = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [keys.partition_of("seal")[1]]}}
# And of audits likewise.
_AUDITS_ONLY = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [keys.partition_of("audit", "*")[1]]}}
_BY_HASH = "Lists are named by what is in them, roots by their number, and scans by what they found."


class Ledger(Construct):
    """`books_audit` and its workflow, once a day before money leaves. It reads whole tables, and writes reports."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        parts = state.objects(state.work, "audit-parts/")
        self.books_audit = Function(
            self,
            "BooksAudit",
            shared=shared,
            spec=FunctionSpec(
                name="books_audit",
                memory_mb=1_769,
                timeout_seconds=900,
                tables={"platform": (*READ, *SCAN), "ledger": SCAN},
                settings={"work_bucket": state.work.bucket_name},
                allow=(
                    Allow(("s3:GetObject", "s3:PutObject"), (parts,), "The parts of an audit are named by content."),
                    Allow(
                        ("dynamodb:PutItem", "dynamodb:UpdateItem"),
                        (shared.tables["platform"].table_arn,),
                        only_where=_AUDITS_ONLY,
                    ),
                ),
            ),
        )
        topic = shared.alarms.topic.topic_arn
        self.workflow = Workflow(
            self,
            "BooksAuditWorkflow",
            shared=shared,
            name="books_audit",
            functions={"BooksAudit": self.books_audit},
            values={"AlarmTopic": topic},
            allow=(Allow(("sns:Publish",), (topic,)),),
        )
        once_a_day(
            self,
            self.workflow,
            name="BooksAudit",
            description="Audits the books",
            hour=3,
            minute=30,
            alarms=shared.alarms,
        )


class BooksSeal(Construct):
    """`books_seal` and its workflow, soon after the end of each day. It reads entries, and may write none."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        lists, roots = (state.objects(state.seals, prefix) for prefix in ("lists/", "roots/"))
        runs = state.objects(state.work, "seal-runs/")
        statement_key, root_key = state.statement_key.key_arn, state.root_key.key_arn
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="books_seal",
                memory_mb=1_769,
                timeout_seconds=900,
                tables={"platform": ("Query",), "ledger": SCAN},
                settings={
                    "seals_bucket": state.seals.bucket_name,
                    "work_bucket": state.work.bucket_name,
                    "statement_key_arn": statement_key,
                    "root_key_arn": root_key,
                },
                allow=(
                    Allow(("s3:GetObject", "s3:PutObject"), (lists, roots, runs), _BY_HASH),
                    Allow(("dynamodb:PutItem",), (shared.tables["platform"].table_arn,), only_where=_SEALS_ONLY),
                    Allow(("kms:Sign",), (root_key,)),
                    Allow(("kms:GetPublicKey",), (statement_key, root_key)),
                ),
            ),
        )
        self.workflow = Workflow(
            self, "Workflow", shared=shared, name="books_seal", functions={"BooksSeal": self.function}
        )
        once_a_day(
            self,
            self.workflow,
            name="BooksSeal",
            description="Seals the day of the books that has ended",
            hour=0,
            minute=15,
            alarms=shared.alarms,
        )
