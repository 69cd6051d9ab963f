"""Plans and starts replays of the archives. EventBridge user guide, "Archiving and replaying"."""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from table_exports.aws.overviews import readable
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.public_events import SOURCE
from table_exports_cli.problems import AWS_ERROR, INTERRUPTED, USAGE, CommandError, in_words
from table_exports_cli.system import NAME, System

TIMES = ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]
REQUESTS, AWS_EVENTS = f"{NAME}-requests", f"{NAME}-aws-events"  # archives
RULE_PREFIX = f"{NAME}-replay-"  # of a replay of one pipeline's requests
ARCHIVES_LAG = timedelta(minutes=10)
POLL_SECONDS = 2.0
AT_ONCE = 8  # concurrent queries
ENDED = {"COMPLETED", "CANCELLED", "FAILED"}


@dataclass(frozen=True, slots=True)
class Plan:
    begin: datetime
    end: datetime
    pipeline: Pipeline | None  # None: all
    aws_events: bool
    begun: Sequence[Export]  # the exports that began in the window and still have a record
    lags: bool  # whether the archive may lack the newest events

    def description(self) -> list[str]:
        window = f"from {self.begin:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC"
        lag = ["Archives can lag ten minutes behind: the newest events may be missing."] if self.lags else []
        if self.aws_events:
            return [
                f"Replays AWS's events about job runs, crawls, queries and table exports {window}.",
                "An export that still waits for one of them continues. All others stay as they are.",
                *lag,
            ]
        scope = self.pipeline.pipeline if self.pipeline else "all pipelines"
        names = sorted({export.pipeline for export in self.begun})
        return [
            f"Replays the requests {window} of {scope}.",
            f"Exports that began in this window: {len(self.begun)}, of {', '.join(names) or 'no pipeline'}. "
            "Requests that were skipped or refused have no record, but are replayed too.",
            "Each pipeline exports its table once, as it is now. Its further requests are skipped.",
            *lag,
        ]

    def as_data(self) -> dict[str, Any]:
        return {
            "from": self.begin.isoformat(),
            "to": self.end.isoformat(),
            "pipeline": self.pipeline.pipeline if self.pipeline else None,
            "archive": AWS_EVENTS if self.aws_events else REQUESTS,
            "may_be_incomplete": self.lags,
            "exports_in_window": [
                {"pipeline": export.pipeline, "export_id": export.export_id} for export in self.begun
            ],
        }


def plan(
    system: System, begin: datetime, end: datetime, pipeline: Pipeline | None, aws_events: bool, now: datetime
) -> Plan:
    """Return the plan of a replay. Raises CommandError for an invalid window."""
    begin, end = begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    if begin >= end:
        raise CommandError("--from must be before --to", USAGE)
    if end > now:
        raise CommandError("--to is in the future: choose a time in the past", USAGE)
    pipelines = [] if aws_events else [pipeline] if pipeline else system.pipelines()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda one: readable(system.records.begun_between(one.pipeline, begin, end))[0], pipelines)
        begun = [export for exports in found for export in exports]
    return Plan(begin, end, pipeline, aws_events, begun, lags=end > now - ARCHIVES_LAG)


def carry_out(system: System, planned: Plan) -> str:
    """Start the replay, wait until it is complete, and return its name. Raises CommandError if it does not complete."""
    events = system.client("events")
    bus = events.describe_event_bus(Name="default" if planned.aws_events else NAME)["Arn"]
    name = f"{NAME}-{uuid.uuid4().hex[:12]}"
    if planned.aws_events:
        rules = events.get_paginator("list_rules").paginate(NamePrefix=f"{NAME}-on_")
        ours = [rule["Arn"] for page in rules for rule in page["Rules"]]
        return _replay(events, name, bus, ours, planned)
    if planned.pipeline is None:
        return _replay(events, name, bus, [], planned)
    # start_export permits rules of this name: infra/common.yaml, StartExportFromReplays.
    with _rule_for(system, events, f"{RULE_PREFIX}{name[-12:]}", planned.pipeline) as rule:
        return _replay(events, name, bus, [rule], planned)


def _replay(events: Any, name: str, bus: str, rules: list[str], planned: Plan) -> str:
    """Replay to `rules`, or to all rules of the bus if there are none."""
    archive = AWS_EVENTS if planned.aws_events else REQUESTS
    events.start_replay(
        ReplayName=name,
        EventSourceArn=f"{bus.rpartition(':event-bus/')[0]}:archive/{archive}",
        EventStartTime=planned.begin,
        EventEndTime=planned.end,
        Destination={"Arn": bus} | ({"FilterArns": rules} if rules else {}),
    )
    try:
        while (found := events.describe_replay(ReplayName=name))["State"] not in ENDED:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise CommandError(f"Interrupted. {_stopped(events, name)}", INTERRUPTED) from None
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{in_words(error)}. {_stopped(events, name)}", AWS_ERROR) from error
    if found["State"] != "COMPLETED":
        raise CommandError(f"Replay {name} ended {found['State']}: {found.get('StateReason', 'no reason was given')}")
    return name


def _stopped(events: Any, name: str) -> str:
    """Cancel a replay that nobody waits for any more. Its rule may be removed before it ends."""
    try:
        events.cancel_replay(ReplayName=name)
        return f"Replay {name} is cancelled. Events that it has sent by now take effect"
    except (BotoCoreError, ClientError):
        return f"Replay {name} may continue. To cancel it: aws events cancel-replay --replay-name {name}"


@contextmanager
def _rule_for(system: System, events: Any, rule: str, pipeline: Pipeline) -> Iterator[str]:
    """Create a rule for the replayed requests of one pipeline, and remove it afterwards. Yields its ARN."""
    pattern = {
        "source": [SOURCE],
        "detail-type": ["Export Requested"],
        "replay-name": [{"exists": True}],
        "detail": {"pipeline": [pipeline.pipeline]},
    }
    _remove_left_rules(events)
    function = system.client("lambda").get_function_configuration(FunctionName=f"{NAME}-start_export")["FunctionArn"]
    arn = events.put_rule(Name=rule, EventBusName=NAME, EventPattern=json.dumps(pattern))["RuleArn"]
    try:
        to_start = {"Id": "start_export", "Arn": function, "DeadLetterConfig": {"Arn": _undelivered(function)}}
        events.put_targets(Rule=rule, EventBusName=NAME, Targets=[to_start])
        yield arn
    finally:
        _remove_rule(events, rule)


def _remove_rule(events: Any, rule: str) -> None:
    events.remove_targets(Rule=rule, EventBusName=NAME, Ids=["start_export"])
    events.delete_rule(Name=rule, EventBusName=NAME)


def _remove_left_rules(events: Any) -> None:
    """Remove the rules of replays that have ended. A command that was killed could not remove its rule."""
    pages = events.get_paginator("list_rules").paginate(EventBusName=NAME, NamePrefix=RULE_PREFIX)
    for name in [rule["Name"] for page in pages for rule in page["Rules"]]:
        try:
            state = events.describe_replay(ReplayName=f"{NAME}-{name.removeprefix(RULE_PREFIX)}")["State"]
        except events.exceptions.ResourceNotFoundException:
            continue  # it may begin a moment later
        if state in ENDED:
            _remove_rule(events, name)


def _undelivered(function: str) -> str:
    """Return the ARN of the stack's queue for events that could not be delivered."""
    partition, region, account = (function.split(":")[n] for n in (1, 3, 4))
    return f"arn:{partition}:sqs:{region}:{account}:{NAME}-undelivered-events"
