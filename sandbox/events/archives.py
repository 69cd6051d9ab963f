"""Archives and replays. Those of the emulator miss the events of S3 and of the sandbox, and replay to every rule.

As on AWS, an archive is a rule `Events-Archive-NAME` on its bus, which ignores replayed events. Its target here is a
queue. The emulator stores the settings of archives and checks requests, and its own archives stay empty.
"""

import json
import logging
import threading
import time
from datetime import datetime
from typing import Any

from sandbox.cloud import Cloud
from sandbox.events.delivery import AwsEvents, Event
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes

logger = logging.getLogger(__name__)

NOTHING = json.dumps({"source": ["kept by a rule of the sandbox"]})  # the pattern of every archive in the emulator
REPLAYED = {"replay-name": [{"exists": False}]}


class Archive:
    def __init__(self, name: str, bus: str, pattern: str | None) -> None:
        self.name, self.bus, self.pattern = name, bus, pattern
        self.rule = f"Events-Archive-{name}"
        self.queue = f"sandbox-archive-{name.replace('.', '-')}"
        self.events: list[Event] = []

    def shown(self) -> dict[str, Any]:
        size = sum(len(json.dumps(event)) for event in self.events)
        pattern = {"EventPattern": self.pattern} if self.pattern else {}
        return {"EventCount": len(self.events), "SizeBytes": size, **pattern}


class Replay:
    def __init__(self, request: dict[str, Any], arn: str, archive: Archive) -> None:
        self.name, self.arn, self.archive = request["ReplayName"], arn, archive
        self.source, self.rules = request["EventSourceArn"], request["Destination"].get("FilterArns")
        self.first, self.last = request["EventStartTime"], request["EventEndTime"]  # of the events
        self.state = "STARTING"
        self.started = time.time()
        self.ended: float | None = None
        self.last_replayed: float | None = None
        self.cancelled = threading.Event()

    def shown(self) -> dict[str, Any]:
        times = {
            "ReplayStartTime": self.started,
            "ReplayEndTime": self.ended,
            "EventLastReplayedTime": self.last_replayed,
        }
        return {"State": self.state, **{name: moment for name, moment in times.items() if moment}}

    def listed(self) -> dict[str, Any]:
        return {"ReplayName": self.name, "ReplayArn": self.arn, "EventSourceArn": self.source, **self.shown()}


class Archives:
    def __init__(self, cloud: Cloud, emulator: Cloud, events: AwsEvents) -> None:
        """`emulator` calls the emulator directly, to change an archive without calling these routes."""
        self._cloud, self._emulator, self._events = cloud, emulator, events
        self._archives: dict[str, Archive] = {}
        self._replays: dict[str, Replay] = {}
        self._lock = threading.Lock()

    def routes(self) -> Routes:
        return Routes(
            handlers={
                ("events", "CreateArchive"): self.create,
                ("events", "UpdateArchive"): self.update,
                ("events", "DeleteArchive"): self.delete,
                ("events", "DescribeArchive"): self.describe,
                ("events", "ListArchives"): self.list_all,
                ("events", "StartReplay"): self.start_replay,
                ("events", "DescribeReplay"): self.describe_replay,
                ("events", "ListReplays"): self.list_replays,
                ("events", "CancelReplay"): self.cancel_replay,
            }
        )

    # ------------------------------------------------------------------------------------------------ archives

    def create(self, call: Call, response: Response) -> Response:
        if response.ok:
            request = call.json
            bus = request["EventSourceArn"].rpartition("/")[2]
            archive = Archive(request["ArchiveName"], bus, request.get("EventPattern"))
            self._keep(archive)
            self._archives[archive.name] = archive
        return response

    def update(self, call: Call, response: Response) -> Response:
        archive = self._archives.get(call.json.get("ArchiveName", ""))
        if response.ok and archive and "EventPattern" in call.json:
            archive.pattern = call.json["EventPattern"]
            self._keep(archive)
        return response

    def delete(self, call: Call, response: Response) -> Response:
        archive = self._archives.pop(call.json.get("ArchiveName", ""), None) if response.ok else None
        if archive:
            events, sqs = self._cloud.client("events"), self._cloud.client("sqs")
            events.remove_targets(Rule=archive.rule, EventBusName=archive.bus, Ids=["archive"])
            events.delete_rule(Name=archive.rule, EventBusName=archive.bus)
            sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=archive.queue)["QueueUrl"])
        return response

    def describe(self, call: Call, response: Response) -> Response | dict[str, Any]:
        return self._completed(response.json) if response.ok else response

    def list_all(self, call: Call, response: Response) -> Response | dict[str, Any]:
        return (
            {"Archives": [self._completed(found) for found in response.json["Archives"]]} if response.ok else response
        )

    def _keep(self, archive: Archive) -> None:
        """Sends all matching events to the archive's queue."""
        events, sqs = self._cloud.client("events"), self._cloud.client("sqs")
        url = sqs.create_queue(QueueName=archive.queue)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps(json.loads(archive.pattern or "{}") | REPLAYED)
        events.put_rule(Name=archive.rule, EventBusName=archive.bus, EventPattern=pattern)
        events.put_targets(Rule=archive.rule, EventBusName=archive.bus, Targets=[{"Id": "archive", "Arn": arn}])
        self._emulator.client("events").update_archive(ArchiveName=archive.name, EventPattern=NOTHING)

    def _completed(self, described: dict[str, Any]) -> dict[str, Any]:
        described.pop("Events", None)  # AWS does not return it
        archive = self._archives.get(described["ArchiveName"])
        if archive is None:
            return described
        self._collect(archive)
        shown = archive.shown()
        if "EventPattern" not in described:  # a list does not contain it
            shown.pop("EventPattern", None)
        elif archive.pattern is None:
            described.pop("EventPattern")
        return described | shown

    def _collect(self, archive: Archive) -> list[Event]:
        """Returns all events of the archive, oldest first, after receiving new ones from its queue."""
        with self._lock:
            sqs = self._cloud.client("sqs")
            url = sqs.get_queue_url(QueueName=archive.queue)["QueueUrl"]
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                archive.events += [json.loads(message["Body"]) for message in messages]
                entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            archive.events.sort(key=time_of)
            return list(archive.events)

    # ------------------------------------------------------------------------------------------------ replays

    def start_replay(self, call: Call, response: Response) -> Response:
        archive = self._archives.get(call.json.get("EventSourceArn", "").rpartition("/")[2])
        if response.ok and archive:
            replay = Replay(call.json, response.json["ReplayArn"], archive)
            self._replays[replay.name] = replay
            threading.Thread(target=self._run, args=[replay], name=f"replay {replay.name}", daemon=True).start()
        return response

    def describe_replay(self, call: Call, response: Response) -> Response | dict[str, Any]:
        replay = self._replays.get(call.json.get("ReplayName", ""))
        return response.json | replay.shown() if response.ok and replay else response

    def list_replays(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Lists the replays with the sandbox's states. The emulator's list is filtered by its own states."""
        if not response.ok:
            return response
        found = [replay.listed() for name, replay in sorted(self._replays.items())]
        exact = {name: wanted for name, wanted in call.json.items() if name in ("State", "EventSourceArn")}
        prefix = call.json.get("NamePrefix", "")
        return {"Replays": [r for r in found if r["ReplayName"].startswith(prefix) and exact.items() <= r.items()]}

    def cancel_replay(self, call: Call, response: Response) -> Response | dict[str, Any]:
        replay = self._replays.get(call.json.get("ReplayName", ""))
        if response.denied or replay is None:
            return response
        if replay.ended:
            raise AwsError(
                "IllegalStatusException", f"Replay {replay.name} is not in a valid state for this operation."
            )
        replay.cancelled.set()
        return {"ReplayArn": replay.arn, "State": "CANCELLING"}

    def _run(self, replay: Replay) -> None:
        replay.state = "RUNNING"
        try:
            for event in self._collect(replay.archive):
                if replay.cancelled.is_set():
                    break
                if replay.first <= time_of(event) <= replay.last:
                    self._events.deliver(event | {"replay-name": replay.name}, replay.archive.bus, replay.rules)
                    replay.last_replayed = time_of(event)
            replay.state = "CANCELLED" if replay.cancelled.is_set() else "COMPLETED"
        except Exception:
            logger.exception("Replay %s failed in the sandbox", replay.name)
            replay.state = "FAILED"
        replay.ended = time.time()


def time_of(event: Event) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()
