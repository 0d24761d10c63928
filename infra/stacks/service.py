"""Everything that runs: functions, API, queues, workflows, schedules, alarms. Holds no data of its own."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.api import Gateway, OperatorApi, RequesterApi, WorkerApi
from infra.constructs.bank import BankInbox
from infra.constructs.function import Shared, output
from infra.constructs.funding import Funding, FundingSettings
from infra.constructs.inbox import Inbox, InboxDrop
from infra.constructs.ledger import BooksSeal, Ledger
from infra.constructs.payouts import Payouts, PayoutSchedule
from infra.constructs.people import People
from infra.constructs.tasks import BatchFinish, Grading, Import
from infra.packaging import Target
from infra.stacks.stateful import StatefulStack
from infra.stages import Stage


class ServiceStack(Stack):
    """The features, wired to each other and to the stateful stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        target: Target,
        state: StatefulStack,
        alarm_email: str | None,
        **options: Any,
    ) -> None:
        super().__init__(scope, construct_id, **options)
        alarms = Alarms(self, "Alarms", stage=stage.name)
        alarms.throttles()
        if alarm_email:
            alarms.topic.add_subscription(subscriptions.EmailSubscription(alarm_email))
        shared = Shared(
            stage=stage,
            target=target,
            core=lambda_.LayerVersion(self, "Core", code=target.core_code(), description="Business code"),
            vendor=lambda_.LayerVersion(self, "Vendor", code=target.vendor_code(), description="Third-party packages"),
            science=lambda_.LayerVersion(self, "Science", code=target.science_code(), description="numpy"),
            rails=lambda_.LayerVersion(
                self, "Rails", code=target.rails_code(), description="What speaks to payment providers"
            ),
            tables=state.tables,
            alarms=alarms,
        )
        People(self, "People", shared=shared, state=state)
        batch_finish = BatchFinish(self, "BatchFinish", shared=shared, state=state)
        grading = Grading(self, "Grading", shared=shared, batch_finish=batch_finish)
        imports = Import(self, "Import", shared=shared, state=state)
        inbox = Inbox(self, "Inbox", shared=shared, state=state, imports=imports)
        ledger = Ledger(self, "Ledger", shared=shared, state=state)
        books_seal = BooksSeal(self, "BooksSeal", shared=shared, state=state)
        payouts = Payouts(self, "Payouts", shared=shared, state=state)
        BankInbox(self, "BankInbox", shared=shared, state=state)
        payout_schedule = PayoutSchedule(self, "PayoutSchedule", shared=shared, payout_run=payouts.workflow)
        funding = FundingSettings(self, "FundingSettings", state=state)
        gateway = Gateway(self, "Gateway", shared=shared, state=state)
        Funding(self, "Funding", shared=shared, state=state, settings=funding, api=gateway.api)
        worker = WorkerApi(self, "WorkerApi", shared=shared, state=state, submissions=grading.submissions)
        requester = RequesterApi(
            self,
            "RequesterApi",
            shared=shared,
            state=state,
            batch_finish=batch_finish.workflow,
            batch_export=batch_finish.export,
            submissions=grading.submissions,
            funding=funding,
        )
        InboxDrop(self, "InboxDrop", state=state, requester=requester)
        operator = OperatorApi(
            self,
            "OperatorApi",
            shared=shared,
            state=state,
            books_audit=ledger.workflow,
            payout_run=payouts.workflow,
        )
        gateway.serve("worker", worker.function)
        gateway.serve("requester", requester.function)
        gateway.serve("operator", operator.function)
        gateway.serve_proof(worker.function)
        gateway.serve_webhooks(payouts.events)
        gateway.serve_health(worker.function)
        for name, workflow in {
            "ImportMachineArn": imports.workflow,
            "InboxMachineArn": inbox.workflow,
            "BatchFinishMachineArn": batch_finish.workflow,
            "BatchExportMachineArn": batch_finish.export,
            "PayoutRunMachineArn": payouts.workflow,
            "PayoutScheduleMachineArn": payout_schedule.workflow,
            "BooksAuditMachineArn": ledger.workflow,
            "BooksSealMachineArn": books_seal.workflow,
        }.items():
            output(self, name, workflow.machine.state_machine_arn)
        output(self, "AlarmTopicArn", alarms.topic.topic_arn)
