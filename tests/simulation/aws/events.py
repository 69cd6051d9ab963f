"""EventBridge: the template's own rules and archives, replays, and deliveries that come twice, late or never."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from moto.events.models import EventPattern, EventPatternParser
from templates import resources

from simulation.faults import Faults
from simulation.world import World

ACCOUNT, REGION = "123456789012", "us-east-1"
OUR_BUS = "table-exports"
BUCKET = f"table-exports-{ACCOUNT}-{REGION}"
NAMED = {"WorkGroup": "table-exports", "Bucket": BUCKET, "AWS::AccountId": ACCOUNT, "AWS::Region": REGION}

MATCHES_KEPT = 10_000  # of a pattern
MISSING = object()

Event = dict[str, Any]


class Pattern:
    """Events are matched by moto, but only once if they have the same values in the fields that the pattern names."""

    def __init__(self, text: str) -> None:
        self.moto = EventPattern(text, EventPatternParser(text).parse())
        self._fields = list(_fields(self.moto.get_pattern()))
        self._known: dict[tuple, bool] = {}

    def matches(self, event: Event) -> bool:
        values = tuple(_value(event, field) for field in self._fields)
        if values not in self._known:
            if len(self._known) == MATCHES_KEPT:
                self._known.clear()
            self._known[values] = self.moto.matches_event(event)
        return self._known[values]


def _fields(pattern: dict[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The fields that a pattern names, each as its path."""
    for name, wanted in pattern.items():
        if name == "$or":
            for alternative in wanted:
                yield from _fields(alternative, parents)
        elif isinstance(wanted, dict):
            yield from _fields(wanted, (*parents, name))
        else:
            yield (*parents, name)


def _value(event: Any, field: tuple[str, ...]) -> Any:
    """The event's value in a field, as something that can be looked up."""
    for name in field:
        if not isinstance(event, dict) or name not in event:
            return MISSING
        event = event[name]
    return event if isinstance(event, str) else (json.dumps(event),)  # so that 1 is not "1"


@dataclass(frozen=True)
class Rule:
    """Or an archive, which is a rule that keeps what it lets through."""

    name: str
    bus: str
    pattern: Pattern
    detail_types: frozenset[str]  # that it can match; empty if any
    function: str | None

    def lets_through(self, event: Event) -> bool:
        return (not self.detail_types or event["detail-type"] in self.detail_types) and self.pattern.matches(event)


@cache
def rules_of_the_template() -> tuple[list[Rule], list[Rule]]:
    """The rules that invoke functions, and the archives."""
    functions = {
        name: found["Properties"]["FunctionName"].removeprefix("table-exports-")
        for name, found in resources("common", "AWS::Lambda::Function").items()
    }
    rules = []
    for rule in resources("common", "AWS::Events::Rule").values():
        found = rule["Properties"]
        if "EventPattern" not in found:
            continue
        (target,) = found["Targets"]
        bus = OUR_BUS if "EventBusName" in found else "default"
        rules.append(_rule(found["Name"], bus, found["EventPattern"], functions[target["Arn"]["Fn::GetAtt"][0]]))
    archives = []
    for archive in resources("common", "AWS::Events::Archive").values():
        found = archive["Properties"]
        bus = OUR_BUS if found["SourceArn"] == {"Fn::GetAtt": ["Bus", "Arn"]} else "default"
        archives.append(_rule(found["ArchiveName"], bus, found["EventPattern"], None))
    return rules, archives


def _rule(name: str, bus: str, pattern: dict[str, Any], function: str | None) -> Rule:
    parsed = Pattern(json.dumps(_filled_in(pattern)))
    return Rule(name, bus, parsed, frozenset(pattern.get("detail-type", ())), function)


def _filled_in(pattern: Any) -> Any:
    match pattern:
        case {"Ref": name}:
            return NAMED[name]
        case dict():
            return {key: _filled_in(value) for key, value in pattern.items()}
        case list():
            return [_filled_in(value) for value in pattern]
    return pattern


@dataclass
class Buses:
    world: World
    faults: Faults
    invoke: Callable[[str, Event], None]
    sent: list[tuple[float, Event]] = field(default_factory=list)  # on our bus
    archived: dict[str, list[Event]] = field(default_factory=dict)
    on_request: Callable[[Event], None] = lambda event: None
    _count: int = 0

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        """By a service, a schedule or a person: onto our bus."""
        for entry in Entries:
            assert entry["EventBusName"] == OUR_BUS
            self.send(OUR_BUS, entry["Source"], entry["DetailType"], json.loads(entry["Detail"]))
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(self._count)} for _ in Entries]}

    def send(self, bus: str, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        self._count += 1
        self._arrived(
            bus,
            {
                "version": "0",
                "id": f"00000000-0000-0000-0000-{self._count:012d}",
                "detail-type": detail_type,
                "source": source,
                "account": ACCOUNT,
                "time": self.world.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": REGION,
                "resources": [],
                "detail": detail,
            },
        )

    def replay(self, archive: str, name: str) -> None:
        """All that the archive holds, in another order than it came."""
        bus = next(found.bus for found in rules_of_the_template()[1] if found.name == archive)
        for event in reversed(self.archived.get(archive, [])):
            self._arrived(bus, copy.deepcopy(event) | {"replay-name": name})

    def _arrived(self, bus: str, event: Event) -> None:
        rules, archives = rules_of_the_template()
        if bus == OUR_BUS:
            self.sent.append((self.world.seconds, event))
        if "replay-name" not in event:
            for archive in archives:
                if archive.bus == bus and archive.lets_through(event):
                    self.archived.setdefault(archive.name, []).append(event)
        for rule in rules:
            if rule.bus == bus and rule.lets_through(event):
                self._deliver(rule, event)

    def _deliver(self, rule: Rule, event: Event) -> None:
        usual = self.world.varies(0.5, 0.1, 1.0, 3.0, 20.0)
        fault = self.faults.of_event(event["detail-type"], event["source"])
        kind = fault.kind if fault else ""
        asked = event["detail-type"] == "Export Requested"
        if kind == "dropped" and asked and "resume_export_id" not in event["detail"]:
            kind = "late"  # of our own buses' events none is lost; the reconciler's are told again
        if kind == "dropped":
            return self.world.note("EventBridge", f"loses {told(event)}")
        if asked and event["source"] == OUR_BUS:
            self.on_request(event)
        copies = {"twice": [usual, fault.seconds], "late": [usual + fault.seconds]}[kind] if kind else [usual]
        for seconds in copies:
            self.world.after(seconds, lambda: self._hand_over(rule, event))

    def _hand_over(self, rule: Rule, event: Event) -> None:
        self.world.note("EventBridge", f"{told(event)} -> {rule.function}")
        self.invoke(rule.function, json.loads(json.dumps(event)))


def told(event: Event) -> str:
    """In a line of the trace."""
    detail = event["detail"]
    wanted = (
        "jobRunId",
        "crawlerName",
        "queryExecutionId",
        "state",
        "currentState",
        "exportArn",
        "pipeline",
        "scheduled_time",
        "request_id",
        "resume_export_id",
    )
    shown = " ".join(str(detail[name]) for name in wanted if name in detail)
    replayed = f", replayed by {event['replay-name']}" if "replay-name" in event else ""
    return f"{event['detail-type']} {shown}{replayed} (of {event['source']})"
