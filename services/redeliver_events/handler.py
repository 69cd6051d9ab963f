"""Messages were redriven from a dead-letter queue: redeliver each event to the function that did not handle it.

A message that cannot be redelivered stays in the queue, and returns to a dead-letter queue after a few attempts.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from redeliver_events.cloud import Cloud, StreamRecord, the_cloud
from redeliver_events.messages import (
    CannotRedeliver,
    Invocation,
    Request,
    StreamBatch,
    Superseded,
    Task,
    parse_dead_letter,
)
from table_exports.domain.public_events import PublicEvent
from table_exports.functions.telemetry import count, logger, metrics
from table_exports.functions.tracing import trace_handler


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return on_messages_redriven(event, the_cloud())


def on_messages_redriven(event: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Redeliver each message. Returns Lambda's partial batch response: the messages that stay in the queue."""
    failed = [message["messageId"] for message in event["Records"] if not try_redeliver(message, cloud)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def try_redeliver(message: dict[str, Any], cloud: Cloud) -> bool:
    """Redeliver a message. Returns whether that succeeded, so that a failure does not affect the others."""
    logger.append_keys(message_id=message["messageId"])
    try:
        redeliver(parse_dead_letter(message), cloud)
    except CannotRedeliver as problem:
        logger.error("Message not redelivered", extra={"reason": str(problem)})
        return False
    except Exception:
        logger.exception("Message not redelivered: it will be retried")
        return False
    count("RedeliveredEvents")
    return True


def redeliver(task: Task, cloud: Cloud) -> None:
    """Redeliver what a dead letter contains. Raises CannotRedeliver."""
    match task:
        case Invocation(function, payload):
            cloud.functions.invoke(function, payload)
            logger.info("Event redelivered", extra={"function": function})
        case Request(detail):
            cloud.bus.publish([PublicEvent("Export Requested", detail)])
            logger.info("Request published again", extra={"pipeline": detail["pipeline"]})
        case StreamBatch(function):
            changes = [record for record in cloud.streams.records(task) if of_an_export(record)]
            if changes:
                cloud.functions.invoke(function, {"Records": changes})
            logger.info("Changes read again and redelivered", extra={"function": function, "changes": len(changes)})
        case Superseded():
            logger.info("Nothing to redeliver: the schedule of the reconciler has run it again since")


def of_an_export(record: StreamRecord) -> bool:
    """Return whether the filter of on_export_changed's event source matches the record."""
    return record["eventName"] == "MODIFY" and record["dynamodb"]["Keys"]["record"]["S"].startswith("export#")
