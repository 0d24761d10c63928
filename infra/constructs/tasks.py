"""The work: what is submitted, graded and swept, and how a batch comes in and is finished."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra.constructs.function import (
    BULK,
    CHANGE,
    ENTRIES_APPEND,
    READ,
    Allow,
    Function,
    FunctionSpec,
    Shared,
    output,
)
from infra.constructs.queue import DeadLetterQueue, WorkQueue
from infra.constructs.workflow import Workflow
from infra.stacks.stateful import StatefulStack

_GRADER_TIMEOUT_SECONDS = 60
_REESTIMATE_MB = 3_008  # ten million answers with their models; docs/scale.md has the measurement
_UPLOADS_PREFIX = "uploads/"
_INBOX_PREFIX = "inbox/"
_NAMED_BY_BATCH = "Objects are named by the batch they belong to; the prefix is all that a role can know."


class BatchFinish(Construct):
    """`batch_finish` and `reestimate` with their workflows: recount, close, refund, estimate again, publish; and export
    while the batch runs.
    """

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        results = state.objects(state.work, "results/")
        self.function = Function(
            self,
            "Function",
            shared=shared,
            spec=FunctionSpec(
                name="batch_finish",
                memory_mb=1_769,
                timeout_seconds=900,
                disk_mb=1_024,  # a million images of a COCO file wait there for its annotations
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={"work_bucket": state.work.bucket_name},
                allow=(Allow(("s3:PutObject", "s3:AbortMultipartUpload"), (results,), _NAMED_BY_BATCH),),
            ),
        )
        notes = state.objects(state.work, "reestimates/")
        self.reestimate = Function(
            self,
            "Reestimate",
            shared=shared,
            spec=FunctionSpec(
                name="reestimate",
                memory_mb=_REESTIMATE_MB,
                timeout_seconds=900,
                tables={"platform": (*READ, "UpdateItem")},
                settings={"work_bucket": state.work.bucket_name},
                allow=(
                    Allow(("s3:GetObject",), (notes,), _NAMED_BY_BATCH),
                    Allow(("s3:PutObject", "s3:AbortMultipartUpload"), (notes, results), _NAMED_BY_BATCH),
                ),
                science=True,
            ),
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            shared=shared,
            name="batch_finish",
            functions={"BatchFinish": self.function, "Reestimate": self.reestimate},
        )
        self.export = Workflow(
            self, "Export", shared=shared, name="batch_export", functions={"BatchFinish": self.function}
        )


class Grading(Construct):
    """The submissions queue with `grader`, and `sweeper`, which finds again what a queue lost."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, batch_finish: BatchFinish) -> None:
        super().__init__(scope, construct_id)
        self.submissions = WorkQueue(
            self,
            "Submissions",
            name="Submissions",
            handler_timeout_seconds=_GRADER_TIMEOUT_SECONDS,
            alarms=shared.alarms,
        )
        finish_arn = batch_finish.workflow.machine.state_machine_arn
        finish = Allow(("states:StartExecution",), (finish_arn,))
        self.grader = Function(
            self,
            "Grader",
            shared=shared,
            spec=FunctionSpec(
                name="grader",
                memory_mb=1_024,
                timeout_seconds=_GRADER_TIMEOUT_SECONDS,
                tables={"platform": (*READ, *CHANGE), "ledger": ENTRIES_APPEND},
                settings={"batch_finish_arn": finish_arn},
                allow=(finish,),
            ),
        )
        self.grader.live.add_event_source(
            event_sources.SqsEventSource(
                self.submissions.queue,
                batch_size=10,
                report_batch_item_failures=True,
                max_concurrency=shared.stage.grader_concurrency,
            )
        )
        self.sweeper = Function(
            self,
            "Sweeper",
            shared=shared,
            spec=FunctionSpec(
                name="sweeper",
                memory_mb=512,
                timeout_seconds=55,
                tables={"platform": (*READ, *CHANGE)},
                settings={
                    "batch_finish_arn": finish_arn,
                    "submissions_queue_url": self.submissions.queue.queue_url,
                },
                allow=(finish, Allow(("sqs:SendMessage",), (self.submissions.queue.queue_arn,))),
            ),
        )
        missed = DeadLetterQueue(self, "SweepDeadLetters", name="Sweep", alarms=shared.alarms)
        scheduler.Schedule(
            self,
            "EveryMinute",
            description="Expires leases, re-queues old submissions, closes batches past their deadline",
            schedule=scheduler.ScheduleExpression.rate(Duration.minutes(1)),
            target=scheduler_targets.LambdaInvoke(
                self.sweeper.live,
                dead_letter_queue=missed.queue,
                retry_attempts=2,
                max_event_age=Duration.minutes(5),
            ),
        )
        output(self, "SubmissionsQueueUrl", self.submissions.queue.queue_url)
        output(self, "SubmissionsDeadLetterQueueUrl", self.submissions.dead_letters.queue.queue_url)


class Import(Construct):
    """A file becomes tasks: the three functions, their workflow, and the rule that starts it."""

    def __init__(self, scope: Construct, construct_id: str, *, shared: Shared, state: StatefulStack) -> None:
        super().__init__(scope, construct_id)
        files = tuple(state.objects(state.uploads, prefix) for prefix in (_UPLOADS_PREFIX, _INBOX_PREFIX))
        imports = state.objects(state.work, "imports/")
        work = {"work_bucket": state.work.bucket_name}
        self.split = Function(
            self,
            "Split",
            shared=shared,
            spec=FunctionSpec(
                name="import_split",
                memory_mb=1_769,
                timeout_seconds=900,
                tables={"platform": (*READ, *CHANGE)},
                settings=work,
                allow=(
                    Allow(("s3:GetObject", "s3:GetObjectVersion"), files, _NAMED_BY_BATCH),
                    # Without it a version that is gone looks like one that may not be read.
                    Allow(("s3:ListBucket", "s3:ListBucketVersions"), (state.uploads.bucket_arn,)),
                    Allow(("s3:PutObject", "s3:AbortMultipartUpload"), (imports,), _NAMED_BY_BATCH),
                ),
            ),
        )
        self.part = Function(
            self,
            "Part",
            shared=shared,
            spec=FunctionSpec(
                name="import_part",
                memory_mb=1_024,
                timeout_seconds=300,
                tables={"platform": (*READ, *CHANGE, *BULK)},
                settings=work,
                allow=(Allow(("s3:GetObject",), (imports,), _NAMED_BY_BATCH),),
            ),
        )
        self.report = Function(
            self,
            "Report",
            shared=shared,
            spec=FunctionSpec(
                name="import_report",
                memory_mb=512,
                timeout_seconds=300,
                tables={"platform": (*READ, *CHANGE)},
            ),
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            shared=shared,
            name="import",
            functions={"ImportSplit": self.split, "ImportPart": self.part, "ImportReport": self.report},
            values={"WorkBucket": state.work.bucket_name},
            allow=(Allow(("s3:GetObject",), (imports,), _NAMED_BY_BATCH),),
            maps_in_children=True,
        )
        self._start_on_upload(shared, state)

    def _start_on_upload(self, shared: Shared, state: StatefulStack) -> None:
        missed = DeadLetterQueue(self, "UploadDeadLetters", name="Upload", alarms=shared.alarms)
        rule = events.Rule(
            self,
            "Uploaded",
            description="A requester's file has arrived",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [state.uploads.bucket_name]},
                    "object": {"key": [{"prefix": _UPLOADS_PREFIX}]},
                },
            ),
        )
        rule.add_target(
            targets.SfnStateMachine(
                self.workflow.machine,
                input=events.RuleTargetInput.from_object(
                    {
                        "bucket": events.EventField.from_path("$.detail.bucket.name"),
                        "key": events.EventField.from_path("$.detail.object.key"),
                        "version_id": events.EventField.from_path("$.detail.object.version-id"),
                        "size": events.EventField.from_path("$.detail.object.size"),
                    }
                ),
                dead_letter_queue=missed.queue,
                retry_attempts=24,
                max_event_age=Duration.hours(6),
            )
        )
