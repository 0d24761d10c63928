"""What wakes somebody up: one topic, and an alarm for each way that work can get stuck."""

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from smallpeck.runtime.settings import METRICS_NAMESPACE, service_of

_OLDEST_MESSAGE_SECONDS = 600
_PERIOD = Duration.minutes(5)


class Alarms(Construct):
    """The topic that alarms go to, and the alarms."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: str) -> None:
        super().__init__(scope, construct_id)
        self._service = service_of(stage)
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True)
        self._action = actions.SnsAction(self.topic)

    def dead_letters(self, name: str, queue: sqs.IQueue) -> None:
        """Anything in a dead-letter queue."""
        metric = queue.metric_approximate_number_of_messages_visible(period=_PERIOD, statistic="Maximum")
        self._alarm(f"{name}DeadLetters", metric, threshold=1, says=f"{name}: messages that could not be handled")

    def waiting(self, name: str, queue: sqs.IQueue) -> None:
        """A message that nobody has taken for a long time."""
        metric = queue.metric_approximate_age_of_oldest_message(period=_PERIOD, statistic="Maximum")
        self._alarm(f"{name}Age", metric, threshold=_OLDEST_MESSAGE_SECONDS, says=f"{name}: the oldest message waits")

    def function(self, name: str, function: lambda_.IFunction) -> None:
        """A function that raised, ran out of time or memory, or could not start."""
        camel = "".join(word.capitalize() for word in name.split("_"))
        metric = function.metric_errors(period=_PERIOD, statistic="Sum")
        self._alarm(f"{camel}Errors", metric, threshold=1, says=f"{name} failed")

    def throttles(self) -> None:
        """Invocations refused for want of concurrency, of any function in the region."""
        metric = cloudwatch.Metric(namespace="AWS/Lambda", metric_name="Throttles", period=_PERIOD, statistic="Sum")
        self._alarm("Throttles", metric, threshold=1, says="Lambda refused invocations: concurrency is used up")

    def workflow(self, name: str, machine: stepfunctions.IStateMachine) -> None:
        """Executions that failed, or ran longer than their workflow allows."""
        failed = machine.metric_failed(period=_PERIOD, statistic="Sum")
        late = machine.metric_timed_out(period=_PERIOD, statistic="Sum")
        self._alarm(f"{name}Failed", failed, threshold=1, says=f"workflow {name} failed")
        self._alarm(f"{name}Late", late, threshold=1, says=f"workflow {name} ran out of time")

    def signal(self, name: str, *, says: str) -> None:
        """Something that the code itself counts because a person is needed."""
        metric = cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=name,
            dimensions_map={"service": self._service},
            period=_PERIOD,
            statistic="Sum",
        )
        self._alarm(name, metric, threshold=1, says=says)

    def api(self, api: apigateway.HttpApi) -> None:
        """Answers of 500 and above."""
        metric = api.metric_server_error(period=_PERIOD, statistic="Sum")
        self._alarm("ServerErrors", metric, threshold=5, says="the API answers 5xx")

    def _alarm(self, construct_id: str, metric: cloudwatch.IMetric, *, threshold: int, says: str) -> None:
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=says,
        )
        alarm.add_alarm_action(self._action)
