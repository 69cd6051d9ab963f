"""Events were sent back from a dead-letter queue: hand each to the function that could not be reached or handle it.

What cannot be handed over stays in the queue, and after a few tries is back in a dead-letter queue.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from redeliver_events.cloud import Cloud, StreamRecord, the_cloud
from redeliver_events.messages import CannotBeSent, Invocation, Request, StreamBatch, errand
from table_exports.domain.facts import Fact
from table_exports.telemetry import count, logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return on_events_sent_back(event, the_cloud())


def on_events_sent_back(event: dict[str, Any], cloud: Cloud) -> dict[str, Any]:
    """Lambda's partial batch response: the messages that stay in the queue."""
    staying = [message["messageId"] for message in event["Records"] if not handed_over(message, cloud)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in staying]}


def handed_over(message: dict[str, Any], cloud: Cloud) -> bool:
    """Whether it was. One that cannot be holds up no other."""
    logger.append_keys(message_id=message["messageId"])
    try:
        hand_over(errand(message), cloud)
    except CannotBeSent as problem:
        logger.error("Message not sent back", extra={"reason": str(problem)})
        return False
    except Exception:
        logger.exception("Message not sent back: it will be tried again")
        return False
    count("RedeliveredEvents")
    return True


def hand_over(task: Invocation | Request | StreamBatch, cloud: Cloud) -> None:
    """Raises CannotBeSent."""
    match task:
        case Invocation(function, payload):
            cloud.functions.invoke(function, payload)
            logger.info("Event sent back", extra={"function": function})
        case Request(detail):
            cloud.bus.publish([Fact("Export Requested", detail)])
            logger.info("Request put on the bus again", extra={"pipeline": detail["pipeline"]})
        case StreamBatch(function):
            changes = [record for record in cloud.streams.records(task) if of_an_export(record)]
            if changes:
                cloud.functions.invoke(function, {"Records": changes})
            logger.info("Changes read again and sent back", extra={"function": function, "changes": len(changes)})


def of_an_export(record: StreamRecord) -> bool:
    """What the filter of on_export_changed's event source lets through."""
    return record["eventName"] == "MODIFY" and record["dynamodb"]["Keys"]["record"]["S"].startswith("export#")
