"""Replays of the archives: what one would do, and doing it. EventBridge user guide, "Archiving and replaying"."""

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

from table_exports.domain.export import Export
from table_exports.domain.facts import SOURCE
from table_exports.domain.pipeline import Pipeline
from table_exports_cli.problems import AWS_SAID_NO, INTERRUPTED, USAGE, Problem, in_words
from table_exports_cli.system import NAME, System

TIMES = ["%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]
REQUESTS, AWS_EVENTS = f"{NAME}-requests", f"{NAME}-aws-events"  # archives
ARCHIVES_LAG = timedelta(minutes=10)
POLL_SECONDS = 2.0
AT_ONCE = 8  # queries
AT_ITS_END = {"COMPLETED", "CANCELLED", "FAILED"}


@dataclass(frozen=True, slots=True)
class Plan:
    begin: datetime
    end: datetime
    pipeline: Pipeline | None  # None: all
    aws_events: bool
    begun: Sequence[Export]  # exports that were begun in the window, as far as their records are kept
    lags: bool  # the archive may not have all of the window yet

    def in_words(self) -> list[str]:
        window = f"from {self.begin:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC"
        lag = ["Archives may lag ten minutes behind: the newest events may be missing."] if self.lags else []
        if self.aws_events:
            return [
                f"Tells our functions again what AWS said of job runs, crawls, queries and table exports {window}.",
                "An export that still waits for one of them moves on; all others are left as they are.",
                *lag,
            ]
        whose = f"of {self.pipeline.pipeline}" if self.pipeline else "of all pipelines"
        names = sorted({export.pipeline for export in self.begun})
        return [
            f"Requests again what was requested {window}, {whose}.",
            f"Known of that time: {len(self.begun)} exports, of {', '.join(names) or 'no pipeline'}; "
            "requests that were skipped or refused have left no record, and are told again too.",
            "Each pipeline exports its table once, as it is now; further requests of it are skipped.",
            *lag,
        ]

    def as_data(self) -> dict[str, Any]:
        return {
            "from": self.begin.isoformat(),
            "to": self.end.isoformat(),
            "pipeline": self.pipeline.pipeline if self.pipeline else None,
            "archive": AWS_EVENTS if self.aws_events else REQUESTS,
            "may_be_incomplete": self.lags,
            "exports_begun_then": [
                {"pipeline": export.pipeline, "export_id": export.export_id} for export in self.begun
            ],
        }


def plan(
    system: System, begin: datetime, end: datetime, pipeline: Pipeline | None, aws_events: bool, now: datetime
) -> Plan:
    """Raises Problem for a window that is none."""
    begin, end = begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    if begin >= end:
        raise Problem("--from must be before --to", USAGE)
    if end > now:
        raise Problem("--to is in the future: what has not happened cannot be told again", USAGE)
    pipelines = [] if aws_events else [pipeline] if pipeline else system.pipelines()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda one: system.records.begun_between(one.pipeline, begin, end), pipelines)
        begun = [export for exports in found for export in exports]
    return Plan(begin, end, pipeline, aws_events, begun, lags=end > now - ARCHIVES_LAG)


def carry_out(system: System, planned: Plan) -> str:
    """Until the replay is complete. Its name. Raises Problem if it is not completed."""
    events = system.client("events")
    bus = events.describe_event_bus(Name="default" if planned.aws_events else NAME)["Arn"]
    name = f"{NAME}-{uuid.uuid4().hex[:12]}"
    if planned.aws_events:
        rules = events.get_paginator("list_rules").paginate(NamePrefix=f"{NAME}-on_")
        ours = [rule["Arn"] for page in rules for rule in page["Rules"]]
        return _replay(events, name, bus, ours, planned)
    if planned.pipeline is None:
        return _replay(events, name, bus, [], planned)
    # A name that start_export lets in: infra/common.yaml, StartExportFromReplays.
    with _rule_for(system, events, f"{NAME}-replay-{name[-12:]}", planned.pipeline) as rule:
        return _replay(events, name, bus, [rule], planned)


def _replay(events: Any, name: str, bus: str, rules: list[str], planned: Plan) -> str:
    """`rules` are told and no others; with none, all of the bus are."""
    archive = AWS_EVENTS if planned.aws_events else REQUESTS
    events.start_replay(
        ReplayName=name,
        EventSourceArn=f"{bus.rpartition(':event-bus/')[0]}:archive/{archive}",
        EventStartTime=planned.begin,
        EventEndTime=planned.end,
        Destination={"Arn": bus} | ({"FilterArns": rules} if rules else {}),
    )
    try:
        while (found := events.describe_replay(ReplayName=name))["State"] not in AT_ITS_END:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise Problem(f"Interrupted. {_stopped(events, name)}", INTERRUPTED) from None
    except (BotoCoreError, ClientError) as error:
        raise Problem(f"{in_words(error)}. {_stopped(events, name)}", AWS_SAID_NO) from error
    if found["State"] != "COMPLETED":
        raise Problem(f"Replay {name} ended {found['State']}: {found.get('StateReason', 'no reason was given')}")
    return name


def _stopped(events: Any, name: str) -> str:
    """Nobody would see how it ends, and a rule of ours may go before it does."""
    try:
        events.cancel_replay(ReplayName=name)
        return f"Replay {name} is stopped; what it told by then is told"
    except (BotoCoreError, ClientError):
        return f"Replay {name} may go on: aws events cancel-replay --replay-name {name}"


@contextmanager
def _rule_for(system: System, events: Any, rule: str, pipeline: Pipeline) -> Iterator[str]:
    """The ARN of a rule that lets the replayed requests of one pipeline through, for as long as the context lasts."""
    pattern = {
        "source": [SOURCE],
        "detail-type": ["Export Requested"],
        "replay-name": [{"exists": True}],
        "detail": {"pipeline": [pipeline.pipeline]},
    }
    function = system.client("lambda").get_function_configuration(FunctionName=f"{NAME}-start_export")["FunctionArn"]
    arn = events.put_rule(Name=rule, EventBusName=NAME, EventPattern=json.dumps(pattern))["RuleArn"]
    try:
        to_start = {"Id": "start_export", "Arn": function, "DeadLetterConfig": {"Arn": _undelivered(function)}}
        events.put_targets(Rule=rule, EventBusName=NAME, Targets=[to_start])
        yield arn
    finally:
        events.remove_targets(Rule=rule, EventBusName=NAME, Ids=["start_export"])
        events.delete_rule(Name=rule, EventBusName=NAME)


def _undelivered(function: str) -> str:
    """The ARN of the queue of events that could not be delivered, beside a function of the same stack."""
    partition, region, account = (function.split(":")[n] for n in (1, 3, 4))
    return f"arn:{partition}:sqs:{region}:{account}:{NAME}-undelivered-events"
