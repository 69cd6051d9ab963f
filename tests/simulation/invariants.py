"""What is promised, whatever happens: watched while it happens, and checked when all is quiet."""

import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from simulation.aws.athena import Query
from simulation.aws.events import Event
from simulation.aws.glue import Run
from simulation.aws.state_table import Image, Key
from simulation.world import HOUR, START, VIEWS_AT_ONCE, Violation
from table_exports.domain import naming, request

if TYPE_CHECKING:
    from simulation.history import History

IN_FLIGHT = {"STARTING", "STAGING", "EXPORTING", "CATALOGING", "PUBLISHING"}
MAY_BECOME = {
    None: {"STARTING"},
    "STARTING": {"STARTING", "STAGING", "EXPORTING", "FAILED"},
    "STAGING": {"STAGING", "EXPORTING", "FAILED"},
    "EXPORTING": {"EXPORTING", "CATALOGING", "PUBLISHING", "FAILED"},
    "CATALOGING": {"CATALOGING", "PUBLISHING", "FAILED"},
    "PUBLISHING": {"PUBLISHING", "SUCCEEDED", "FAILED"},
    "SUCCEEDED": {"SUCCEEDED"},
    "FAILED": {"FAILED", "STARTING"},
}
EVENTS = {  # to publish when a stage follows another
    ("STARTING", "STAGING"): ["Export Started"],
    ("STARTING", "EXPORTING"): ["Export Started"],
    ("EXPORTING", "CATALOGING"): ["Snapshot Written"],
    ("EXPORTING", "PUBLISHING"): ["Snapshot Written", "Snapshot Cataloged"],
    ("CATALOGING", "PUBLISHING"): ["Snapshot Cataloged"],
    ("PUBLISHING", "SUCCEEDED"): ["Export Succeeded"],
}
NOTICED_WITHIN = 2 * HOUR  # the end of what an export waits for, by an event or by the reconciler


def value(image: Image, name: str) -> Any:
    return next(iter(image[name].values())) if name in image else None


def _is_deferred(record: Image) -> bool:
    """Whether AWS was busy at the next step. The reconciler's note on an operation that it stopped does not count."""
    return not (value(record, "held_up_by") or "stopped").startswith("stopped")


def _waits(record: Image) -> list[int]:
    """The attempt of each wait of the export in its stage since it was requested or last resumed.

    The views of entities are published a few at a time. Each of these turns has its own attempts.
    """
    steps = [step["M"] for step in value(record, "steps")]
    queries = [f"athena-query/{query['S']}" for query in value(record, "queries") or []]
    earlier_turns = queries[: (len(queries) - 1) // VIEWS_AT_ONCE * VIEWS_AT_ONCE] if queries else []
    starts = [n for n, step in enumerate(steps) if value(step, "stage") == "STARTING"]
    turns = [n + 1 for n, step in enumerate(steps) if value(step, "waiting_on") in earlier_turns]
    since = steps[max([starts[-1], *turns]) :]
    return [int(value(step, "attempt")) for step in since if value(step, "stage") == value(record, "stage")]


def _attempts_made(record: Image) -> int:
    return len(set(_waits(record)))


class Watcher:
    def __init__(self, history: "History") -> None:
        self._history = history
        self._world = history.world
        self.ended: Counter[str] = Counter()  # by stage and class of reason
        self._awaited: set[str] = set()
        self._unmatched: set[str] = set()
        self._reported: set[str] = set()  # job runs that a failure's reason names, as `waiting_on` would
        self._maybe_started: set[str] = set()  # exports that failed, and say that they may have started a job run
        self._never_looked: set[str] = set()  # exports that failed when their job was gone, and do not say that
        self._in_flight: dict[Key, str] = {}
        self._changes: dict[str, list[tuple[float, str | None, str]]] = defaultdict(list)  # by export: from, to
        self._announced: dict[str, set[str]] = defaultdict(set)  # by pipeline: the entities of its latest success
        self._requests: dict[tuple, tuple[float, Event]] = {}
        self._deliveries: Counter[tuple] = Counter()
        self._deleted: dict[str, list[float]] = defaultdict(list)
        self._shown: dict[str, str] = {}
        self._before_start_over: dict[str, str] = {}  # what views showed that someone deleted
        self._published: dict[str, set[str]] = defaultdict(set)  # all that a view ever showed, or that has succeeded
        self._views: dict[str, set[str]] = defaultdict(set)  # of a pipeline's entities, by its catalog name
        self._appeared: dict[str, list[int]] = defaultdict(list)  # by export: how many entities, at each success
        self._exports: dict[str, set[str]] = defaultdict(set)
        self._lock_held: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._resumed: dict[str, float] = defaultdict(float)  # when last
        self._found: list[Violation] = []

    def in_flight(self) -> list[str]:
        return list(self._in_flight.values())

    def raise_what_was_found(self) -> None:
        if self._found:
            raise self._found[0]

    def _promise(self, promise: str, holds: bool, what: str) -> None:
        """Noted, not raised: a service would take it for AWS's error."""
        if not holds:
            self._world.note("PROMISE BROKEN", f"{promise}: {what}")
            self._found.append(Violation(promise, what))
            self._world.undisturbed_until = 0.0  # so that it is raised before the function goes on

    # ------------------------------------------------------------------------------------------------ while it happens
    def record_changed(self, key: Key, old: Image | None, new: Image | None) -> None:
        if key[1] == "claim" and old and new:
            holders = (value(old, "held_by"), value(new, "held_by"))
            self._promise("a name has one holder", holders[0] == holders[1], f"{key[0]}: {holders}")
        if not key[1].startswith("export#"):
            return
        self._promise("records are kept", new is not None, f"{key} was deleted")
        export_id = value(new, "export_id")
        before, after = value(old, "stage") if old else None, value(new, "stage")
        self._promise("stages follow each other", after in MAY_BECOME[before], f"{export_id}: {before} -> {after}")
        if before != after:
            self._changes[export_id].append((self._world.seconds, before, after))
        if after in IN_FLIGHT:
            self._promise("what is in flight does not expire", "expires_at" not in new, export_id)
            self._promise(
                "in flight it waits", {"waiting_on", "waiting_since"} <= new.keys(), f"{export_id} for nothing"
            )
            if after == "STAGING" and before != after:
                new_one = value(new, "waiting_on") not in self._awaited
                self._promise("another attempt is another try", new_one, f"{export_id} waits for the same")
            self._awaited.add(value(new, "waiting_on"))
            if key not in self._in_flight:
                others = [found for found in self._in_flight if found[0] == key[0]]
                others = [found for found in others if not self._lost_its_stack(found)]
                self._promise("one export in flight per pipeline", not others, f"{export_id} beside {others}")
                self._in_flight[key] = export_id
                self._exports[key[0]].add(export_id)
        else:
            self._promise("ended it waits for nothing", "waiting_on" not in new, export_id)
            self._promise("what has ended expires", "expires_at" in new, export_id)
            self._in_flight.pop(key, None)
        if before is not None:
            attempts = (int(value(old, "attempt")), int(value(new, "attempt")))
            self._promise("attempts are counted", attempts[0] <= attempts[1], f"{export_id}: {attempts}")
            made, waits, allowed = _attempts_made(new), len(_waits(new)), int(value(new, "max_attempts"))
            self._promise("attempts are limited", made <= allowed, f"{export_id}: {made} of {allowed} in {after}")
            limited = after != "PUBLISHING" or waits <= allowed * VIEWS_AT_ONCE  # others may have run a crawler
            self._promise("waits are limited", limited, f"{export_id}: {waits} in {after}")
            again = before == after and attempts[0] < attempts[1] and before in ("STAGING", "EXPORTING", "PUBLISHING")
            other = value(old, "waiting_on") != value(new, "waiting_on")
            self._promise("another attempt is another try", other or not again, f"{export_id} waits for the same")
            if other:
                self._noticed_in_time(old)
            snapshots = (value(old, "snapshot_timestamp"), value(new, "snapshot_timestamp"))
            self._promise("one snapshot per export", snapshots[0] == snapshots[1], f"{export_id}: {snapshots}")
        if after == "SUCCEEDED" and before != after:
            self._succeeded(new)
        if before == "FAILED" and after == "STARTING":
            self._resumed[export_id] = self._world.seconds
            shown, snapshot = self._shown_by(value(new, "catalog_name")), value(new, "snapshot_timestamp")
            newer = snapshot > shown or (snapshot == shown and self._has_entities(value(new, "catalog_name")))
            self._promise("only a newer snapshot is resumed", newer, f"{export_id}, the view shows {shown}")
        if after == "FAILED" and before != after:
            self._failed(old, new)

    def _noticed_in_time(self, before: Image) -> None:
        """Now that it waits for something else."""
        kind, _, thing = (value(before, "waiting_on") or "").partition("/")
        ended = None
        if kind == "glue-job-run":
            ended = next(run.ended for run in self._history.glue.all_runs if run.run_id == thing)
        elif kind == "athena-query":
            ended = self._history.athena.queries[thing].ended
        since = datetime.fromisoformat(value(before, "waiting_since")) if ended else None
        late = ended and (self._world.now - max(ended, since)).total_seconds() > NOTICED_WITHIN
        self._promise("ends are noticed", _is_deferred(before) or not late, f"{thing} ended at {ended}")

    def run_starts(self, run: Run) -> None:
        """Before it is among Glue's."""
        if run.export_id is None:
            return
        attempt = run.arguments["--attempt"]
        glue = self._history.glue
        runs = glue.jobs[run.job].runs  # of one that was deleted nobody can know
        earlier = [known for known in runs if known.export_id == run.export_id]
        alive = [known.run_id for known in earlier if known.alive]
        self._promise("one live job run per export", not alive, f"{run.export_id} has {alive} and starts another")
        same = [known.run_id for known in earlier if known.arguments["--attempt"] == attempt]
        self._promise("one job run per attempt", not same, f"attempt {attempt} of {run.export_id}: {same} and another")
        done = [known.run_id for known in earlier if known.state == "SUCCEEDED"]
        self._promise("a written snapshot is not paid again", not done, f"{run.export_id}: {done} wrote it")
        since = START + timedelta(seconds=self._resumed[run.export_id])
        stopped = [known for known in earlier if known.state == "STOPPED"]
        stopped = [known.run_id for known in stopped if (known.stopping_since or known.ended) >= since]
        self._promise("what was stopped stays stopped", not stopped, f"{run.export_id} runs again after {stopped}")
        flying = run.export_id in self._in_flight.values()
        self._promise("no job run for an export that has ended", flying, f"{run.export_id}, by {run.began_by}")

    def view_shows(self, query: Query) -> None:
        """A query has succeeded: the view shows its snapshot from now on."""
        glue, table = self._history.glue, f"snapshots_{query.view}"
        written, of_entity = self._written(query)
        self._promise("the view shows complete snapshots", bool(written), f"{query.snapshot} has no manifest")
        partition = glue.partitions.get(table, {}).get(query.snapshot)
        self._promise("the view shows cataloged snapshots", partition is not None, f"{query.snapshot} has no partition")
        if written and partition and table in glue.catalog:
            columns = [(column["name"], column["type"]) for column in written[0]["columns"]]
            known = [(column["Name"], column["Type"]) for column in partition["StorageDescriptor"]["Columns"]]
            self._promise("the catalog follows the manifest", columns == known, f"{columns}, cataloged as {known}")
            found = glue.catalog[table]["StorageDescriptor"]["Columns"]
            known = {(column["Name"], column["Type"]) for column in found}
            self._promise(
                "the catalog follows the manifest", set(columns) <= known, f"{columns}, the table has {known}"
            )
        shown = self._shown.get(query.view, "")
        self._promise("the view never goes backwards", query.snapshot >= shown, f"from {shown} to {query.snapshot}")
        self._shown[query.view] = query.snapshot
        if of_entity:
            self._views[of_entity].add(query.view)
            holder = self._history.state.items.get((f"catalog-name/{query.view}", "claim"))
            pipeline = f"{of_entity}-parquet"
            held = value(holder, "held_by") == pipeline if holder else False
            self._promise("a view is of who holds its name", held or self._lost_its_stack((pipeline, "")), query.view)
        elif not self._has_entities(query.view):
            self._published[query.view].add(query.snapshot)

    def _written(self, query: Query) -> tuple[list[dict[str, Any]], str]:
        """The sections or the manifest of the view's snapshot, and the pipeline whose entity it is."""
        ends = f"/snapshot_timestamp={query.snapshot}/"
        own, of_entity = f"/snapshots_{query.view}{ends}", re.compile(rf".*/entities_(\w+)/{query.view}{ends}")
        found = {place: made for place, made in self._history.glue.written.items() if place.endswith(own)}
        claim = self._history.state.items.get((f"catalog-name/{query.view}", "claim"))
        if found and claim and value(claim, "held_by") == f"{query.view}-parquet":
            return list(found.values()), ""
        matched = [(of_entity.fullmatch(place), made) for place, made in self._history.glue.written.items()]
        return next((([made], place[1]) for place, made in matched if place), (list(found.values()), ""))

    def _has_entities(self, catalog_name: str) -> bool:
        return self._history.config_of(catalog_name).entities > 0

    def _shown_by(self, catalog_name: str) -> str:
        """The newest snapshot that a view of the pipeline shows."""
        return max(self._shown.get(view, "") for view in (catalog_name, *self._views[catalog_name]))

    def object_removed(self, key: str) -> None:
        """An object of our bucket is deleted: a file of a snapshot, or a manifest."""
        if found := re.fullmatch(r"exports/(?:snapshots_|entities_\w+/)(\w+)/snapshot_timestamp=([^/]+)/.+", key):
            self.snapshot_removed(f"snapshots_{found[1]}", found[2])

    def snapshot_removed(self, table: str, snapshot: str) -> None:
        """A partition or a file of a snapshot is deleted."""
        view = table.removeprefix("snapshots_")
        catalog_name = next((name for name, views in self._views.items() if view in views), view)
        catalog_name = catalog_name if self._is_pipeline(catalog_name) else view.rpartition("_")[0]
        shown = self._shown.get(view, "") or self._shown_by(catalog_name)  # of a table that was never published
        shown = shown or self._before_start_over.get(catalog_name, "")
        what = f"{snapshot} of {view}"
        self._promise("what the view shows is kept", snapshot != shown, what)
        self._promise("only what is superseded is removed", snapshot < shown, f"{what}, the view shows {shown}")
        kept = self._newest_published(catalog_name)
        self._promise("the newest published snapshots are kept", snapshot not in kept, f"{what}, of {kept}")
        running = [
            export_id
            for key, export_id in self._in_flight.items()
            if value(self._history.state.items[key], "catalog_name") == catalog_name
            and value(self._history.state.items[key], "snapshot_timestamp") == snapshot
            and not self._lost_its_stack(key)
        ]
        self._promise("the snapshot of a running export is kept", not running, f"{what}, of {running}")

    def _is_pipeline(self, catalog_name: str) -> bool:
        return f"{catalog_name}-parquet" in self._history.deployed

    def _newest_published(self, catalog_name: str) -> list[str]:
        """The snapshots that must be there, whatever was removed."""
        keep = self._history.config_of(catalog_name).keep_snapshots
        return sorted(self._published[catalog_name])[-keep:]

    def requested(self, event: Event) -> None:
        """An Export Requested of a schedule or a person is on its way to start_export."""
        self._requests.setdefault(_identity(event), (self._world.seconds, event))

    def delivered(self, event: Event) -> None:
        """The same, to the function; perhaps not for the first time."""
        self._deliveries[_identity(event)] += 1

    def deleted(self, pipeline: str) -> None:
        self._deleted[pipeline].append(self._world.seconds)

    def started_over(self, catalog_name: str) -> None:
        """Someone deleted the pipeline's snapshots and views."""
        self._before_start_over[catalog_name] = self._shown_by(catalog_name)
        self._published.pop(catalog_name, None)
        for view in (catalog_name, *self._views.pop(catalog_name, ())):
            self._shown.pop(view, None)

    def logged(self, message: str, waiting_on: str | None) -> None:
        if message == "No export waits for this event" and waiting_on:
            self._unmatched.add(waiting_on)

    # ------------------------------------------------------------------------------------------------ how exports end
    def _succeeded(self, record: Image) -> None:
        self.ended["SUCCEEDED"] += 1
        snapshot, catalog_name = value(record, "snapshot_timestamp"), value(record, "catalog_name")
        views = [catalog_name]
        if self._has_entities(catalog_name):
            entities = [value(entity["M"], "name") for entity in value(record, "entities")]
            views = entities + [catalog_name] * value(record, "wide")
            written = json.loads(self._history.s3.objects[self._manifest_of(record)])
            listed = sorted(section["name"] for section in written["entities"])
            self._promise("every entity is published", sorted(views) == listed, f"{views} of {listed}")
            self._published[catalog_name].add(snapshot)
            appeared = {name["S"] for name in value(record, "appeared") or []}
            pipeline = value(record, "pipeline")
            new = set(entities) - self._announced[pipeline]
            as_promised = appeared == new or self._deleted[pipeline]
            self._promise("each new entity appears", as_promised, f"{sorted(appeared)} of {sorted(new)}")
            self._announced[pipeline] = set(entities)  # a name that it does not have is free, and may appear again
            self._appeared[value(record, "export_id")].append(len(appeared))
        for view in views:
            shown = self._shown.get(view, "")
            self._promise("what succeeded is shown", shown == snapshot, f"{snapshot} succeeded, {view} shows {shown}")

    @staticmethod
    def _manifest_of(record: Image) -> tuple[str, str]:
        uri = naming.manifest_uri(value(record, "output_prefix"), value(record, "snapshot_timestamp"))
        return urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")

    def _failed(self, before: Image, record: Image) -> None:
        reason, stage = value(record, "reason"), value(record, "failed_stage")
        known = next((name for name, form in REASONS.items() if re.match(form, reason)), None)
        self.ended[f"FAILED in {stage}: {known or 'a reason unknown here'}"] += 1
        going_on = [
            run.run_id
            for run in self._history.glue.all_runs
            if run.export_id == value(record, "export_id") and run.alive and run.state != "STOPPING"
        ]
        self._promise("no job run outlives its export", not going_on, f"{going_on} run, and the export has failed")
        self._reported |= {f"glue-job-run/{run_id}" for run_id in re.findall(r"started Glue job run (\w+)", reason)}
        if "may have started a run of Glue job" in reason:
            self._maybe_started.add(value(record, "export_id"))
        elif value(record, "glue_job_name") not in self._history.glue.jobs:
            self._never_looked.add(value(record, "export_id"))
        self._promise("reasons are understood", known is not None, f"nobody here knows of: {reason}")
        if known:
            found = re.match(REASONS[known], reason).groupdict()
            true = getattr(self, f"_is_true_that_{known.replace(' ', '_')}")(before, found)
            self._promise("reasons are true", true, f"{value(record, 'export_id')} in {stage}: {reason}")

    def _is_true_that_its_job_run_failed(self, before: Image, found: dict[str, str]) -> bool:
        run = next((run for run in self._history.glue.all_runs if run.run_id == found["thing"]), None)
        tried = _attempts_made(before) == int(value(before, "max_attempts")) or found["state"] in ("STOPPED", "TIMEOUT")
        if run is None or not tried:
            return False
        job = self._history.glue.jobs.get(run.job)
        return job is None or run not in job.runs if found["state"] == "DELETED" else run.state == found["state"]

    def _is_true_that_its_job_run_failed_and_no_other_could_start(self, before: Image, found: dict[str, str]) -> bool:
        gone = re.match(REASONS["its stack is gone"], found["refusal"])
        return gone is not None and self._is_true_that_its_stack_is_gone(before, {})

    def _is_true_that_its_crawl_failed(self, before: Image, found: dict[str, str]) -> bool:
        name = value(before, "crawler_name")
        if self._lost_its_stack((value(before, "pipeline"), "")):
            return True
        since = datetime.fromisoformat(value(before, "waiting_since"))
        # A crawl that someone began later is not to be told from its own: a failure's event has no start.
        crawls = [crawl for crawl in self._history.glue.crawlers[name].crawls if crawl.ended]
        crawls = [crawl for crawl in crawls if crawl.own or crawl.began > since]
        own = [crawl for crawl in crawls if crawl.ended > since and crawl.status == found["state"].upper()]
        tried = _attempts_made(before) == int(value(before, "max_attempts")) or found["state"] == "Cancelled"
        return bool(own) and tried

    def _is_true_that_its_query_failed(self, before: Image, found: dict[str, str]) -> bool:
        query = self._history.athena.queries.get(found["thing"])
        if query is None or query.state != found["state"]:
            return False
        tried = _attempts_made(before) == int(value(before, "max_attempts"))
        return tried or not (query.error or {}).get("retryable")

    def _is_true_that_its_table_export_failed(self, before: Image, found: dict[str, str]) -> bool:
        arn = value(before, "waiting_on").partition("/")[2]
        return self._history.tables.exports[arn].status == "FAILED"

    def _is_true_that_it_still_waits(self, before: Image, found: dict[str, str]) -> bool:
        kind, _, thing = found["thing"].partition("/")
        history = self._history
        if _is_deferred(before):  # then that is a part of the reason
            return True
        match kind:
            case "glue-job-run":
                ended = [run.ended for run in history.glue.all_runs if run.run_id == thing]
            case "athena-query":
                ended = [history.athena.queries[thing].ended]
            case "glue-crawler":
                if thing not in history.glue.crawlers:
                    return True
                crawls = history.glue.crawlers[thing].crawls
                ended = [crawls[-1].ended]
            case "table-export":
                seconds = history.tables.exports[thing].ended
                return seconds is None or self._world.seconds - seconds < NOTICED_WITHIN
            case _:
                return self._lost_its_stack((value(before, "pipeline"), ""))  # or the reconciler has it started again
        return all(end is None or (self._world.now - end).total_seconds() < NOTICED_WITHIN for end in ended)

    def _is_true_that_it_was_cancelled(self, before: Image, found: dict[str, str]) -> bool:
        return self._history.faults.befell["act: cancel the latest export"] > 0 and found["who"].endswith("user/ann")

    def _is_true_that_recovery_is_off(self, before: Image, found: dict[str, str]) -> bool:
        return self._history.faults.befell["act: switch recovery off"] > 0

    def _is_true_that_its_stack_is_gone(self, before: Image, found: dict[str, str]) -> bool:
        return bool(self._deleted[value(before, "pipeline")])

    def _is_true_that_another_took_over(self, before: Image, found: dict[str, str]) -> bool:
        return bool(self._deleted[value(before, "pipeline")])

    def _is_true_that_the_view_is_newer(self, before: Image, found: dict[str, str]) -> bool:
        return self._shown_by(value(before, "catalog_name")) >= value(before, "snapshot_timestamp")

    def _is_true_that_a_name_is_taken(self, before: Image, found: dict[str, str]) -> bool:
        holder = self._history.state.items.get((f"catalog-name/{found['name']}", "claim"))
        return holder is not None and value(holder, "held_by") == found["holder"] != value(before, "pipeline")

    def _is_true_that_its_manifest_is_gone(self, before: Image, found: dict[str, str]) -> bool:
        return value(before, "catalog_name") in self._before_start_over

    def _is_true_that_a_table_of_another_has_the_name(self, before: Image, found: dict[str, str]) -> bool:
        location = self._history.glue.catalog[found["name"]]["StorageDescriptor"]["Location"]
        return location == found["location"] and f"/entities_{value(before, 'catalog_name')}/" not in location

    def _lost_its_stack(self, key: Key) -> bool:
        return bool(self._deleted[key[0]])

    # ------------------------------------------------------------------------------------------------ when all is quiet
    def check_the_end(self) -> None:
        for check in (
            self._check_locks,
            self._check_views,
            self._check_names,
            self._check_snapshots,
            self._check_runs,
            self._check_requests,
            self._check_events,
        ):
            check()
        self.raise_what_was_found()

    def _check_locks(self) -> None:
        for (pipeline, record), item in self._history.state.items.items():
            if record == "pipeline":
                holder = value(item, "export_in_flight")
                self._promise("the lock is free when nothing is in flight", holder is None, f"{pipeline}: {holder}")

    def _check_views(self) -> None:
        """The head and the view tell of the same snapshot, unless its stack was deleted, and the head with it."""
        for name, pipeline in self._history.deployed.items():
            if self._deleted[name]:
                continue
            head = self._history.state.items[name, "pipeline"]
            published = value(head, "published_snapshot")
            if self._has_entities(pipeline.catalog_name):
                # After failures, some views may show newer snapshots than the last one that was published.
                newest = value(head, "asked_to_show") or ""
                new = {value({"name": each}, "name") for each in value(head, "new_entities") or []}
                for view in self._views[pipeline.catalog_name]:
                    shown = self._shown.get(view)
                    known = (published or "") <= shown <= newest if shown else view in new
                    what = f"{view}: {shown}, not {published} to {newest}"
                    self._promise("the head knows what the view shows", known, what)
                continue
            shown = self._shown.get(pipeline.catalog_name)
            self._promise("the head knows what the view shows", published == shown, f"{published}, not {shown}")

    def _check_names(self) -> None:
        """A head lists the names that its pipeline holds for entities, and a pipeline that is gone holds none."""
        items = self._history.state.items
        listed = {
            (next(iter(entity.values())), key[0])
            for key, head in items.items()
            if key[1] == "pipeline"
            for entity in value(head, "entities") or []
        }
        held = {
            (key[0].removeprefix("catalog-name/"), value(claim, "held_by"))
            for key, claim in items.items()
            if key[1] == "claim"
        }
        held_for_entities = {(name, holder) for name, holder in held if f"{name}-parquet" != holder}
        self._promise("names are held with the head", listed == held_for_entities, f"{listed}, {held_for_entities}")
        gone = {holder for _, holder in held} - self._history.deployed.keys()
        self._promise("a deleted stack holds no names", not gone, f"{gone}")

    def _check_snapshots(self) -> None:
        """The last success removes what is superseded, when its event arrives at last."""
        for name, pipeline in self._history.deployed.items():
            catalog_name = pipeline.catalog_name
            kept = self._newest_published(catalog_name)
            self._history.deliver_last_success(name)
            pipeline = self._history.cloud.records.pipeline(name) or pipeline
            existing = self._history.cloud.snapshots.of(pipeline)
            for entity in pipeline.entities:
                existing |= self._history.glue.partitions.get(f"snapshots_{entity}", {}).keys()
            lost = [snapshot for snapshot in kept if snapshot not in existing]
            self._promise("the newest published snapshots are kept", not lost, f"{lost} of {catalog_name} are gone")
            if pipeline.keep_snapshots and kept and not self._deleted[name]:
                # While fewer were published than are kept, what is older than they may have been published as well.
                known_from = kept[0] if len(kept) < pipeline.keep_snapshots else ""
                left = [snapshot for snapshot in existing if known_from < snapshot < kept[-1] and snapshot not in kept]
                self._promise("what is superseded is removed", not left, f"{left} of {catalog_name}, beside {kept}")

    def _check_runs(self) -> None:
        for run in self._history.glue.all_runs:
            thing = f"glue-job-run/{run.run_id}"
            known = run.export_id is not None and run.state != "DELETED"
            noticed = not known or thing in self._awaited | self._unmatched | self._reported
            if run.forgotten and not noticed:  # its job was deleted. Who ended the export meanwhile had to say so
                noticed = run.export_id in self._maybe_started or run.export_id not in self._never_looked
            self._promise("no job run goes unnoticed", noticed, f"{run.run_id} ({run.state}), begun by {run.began_by}")
            over = run.export_id is None or not run.alive
            self._promise("no job run outlives its export", over, f"{run.run_id}, begun by {run.began_by}")

    def _check_requests(self) -> None:
        skipped = {event["detail"]["export_id"] for _, event in self._events("Export Skipped")}
        refused = Counter(
            event["detail"].get("pipeline")
            for _, event in self._events("Export Failed")
            if "export_id" not in event["detail"]
        )
        queued = [event for function, event in self._history.functions.unhandled if function == "start_export"]
        asked = defaultdict(set)
        self._resumptions = Counter(event["detail"].get("resume_export_id") for _, event in self._requests.values())
        known_as: dict[str, tuple] = {}
        for identity, (_, event) in self._requests.items():
            detail = event["detail"]
            name = detail["pipeline"]
            if "resume_export_id" in detail:
                continue
            asked[name].add(identity)
            export_id = request.request_identity(event)
            first = known_as.setdefault(export_id, identity)
            self._promise("another request is another export", first == identity, f"{first} and {identity}")
            begun = export_id in self._exports[name]
            outcomes = [begun, export_id in skipped, not begun and export_id not in skipped and refused[name] > 0]
            again = self._deliveries[identity] > 1 or self._resumptions[export_id]
            one = again or not (begun and export_id in skipped)
            self._promise("a request has one outcome", one, f"{export_id} was skipped, and exported")
            in_queue = any(_identity(kept) == identity for kept in queued)
            self._promise("every request has an outcome", any(outcomes) or in_queue, f"{detail} was forgotten")
        for name, exports in self._exports.items():
            found, wanted = len(exports), len(asked[name])
            self._promise("no export without a request", found <= wanted, f"{found} exports for {wanted} requests")

    def _check_events(self) -> None:
        published: dict[tuple[str, str], list[float]] = defaultdict(list)
        for seconds, event in self._events():
            if "snapshot_timestamp" in event["detail"]:
                published[event["detail"]["export_id"], event["detail-type"]].append(seconds)
        due: dict[tuple[str, str], list[float]] = defaultdict(list)
        for export_id, changes in self._changes.items():
            for seconds, before, after in changes:
                for kind in ["Export Failed"] if after == "FAILED" else EVENTS.get((before, after), []):
                    due[export_id, kind].append(seconds)
                if after == "SUCCEEDED":
                    due[export_id, "Entity Appeared"] += [seconds] * sum(self._appeared[export_id])
        due = {place: times for place, times in due.items() if times}
        for (export_id, kind), times in due.items():
            count = len(published.get((export_id, kind), []))
            self._promise("due events are published", count >= len(times), f"{kind} of {export_id}: {count} times")
        for (export_id, kind), times in published.items():
            first = min(due.get((export_id, kind), [float("inf")]))
            self._promise("published events are due", first <= min(times), f"{kind} of {export_id}")

    def _events(self, kind: str | None = None) -> list[tuple[float, Event]]:
        return [
            (seconds, event)
            for seconds, event in self._history.buses.sent
            if event["source"] == "table-exports"
            and event["detail-type"] != "Export Requested"
            and (kind is None or event["detail-type"] == kind)
        ]


REASONS = {  # class -> form; the first that fits
    "it was cancelled": r"Cancelled by (?P<who>\S+) while it waited for ",
    "its job run failed and no other could start": r"Glue job run .* Another attempt could not start: (?P<refusal>.*)",
    "its job run failed": r"Glue job run (?P<thing>\S+) ended (?P<state>\w+): ",
    "its crawl failed": r"Crawler (?P<thing>\S+) ended (?P<state>\w+): ",
    "its query failed": r"Athena query (?P<thing>\S+) ended (?P<state>\w+): ",
    "its table export failed": r"DynamoDB's export of the table failed: (The bucket|S3)",
    "it still waits": r"Waited for (?P<thing>\S+) since",
    "its manifest is gone": r"The job run left no manifest at",
    "recovery is off": r"ReadMode is export, but point-in-time|.*PointInTimeRecoveryUnavailableException",
    "its stack is gone": (
        r"The table stack was deleted|DynamoDB's export of the table failed: Its table stack|"
        r"The table stack's role \S+ cannot be assumed|Glue job \S+ cannot be|The runs of Glue job \S+ could not|"
        r"Crawler \S+ cannot be"
    ),
    "another took over": r"Another export took over",
    "the view is newer": r"The view was already asked to show a newer snapshot",
    "a table of another has the name": r"Table (?P<name>\w+) is of (?P<location>\S+), not of \S+: another dataset",
    "a name is taken": r"(?P<name>\w+), the name of an entity, is taken by the pipeline (?P<holder>\S+) in stack",
}


def _identity(event: Event) -> tuple:
    """Of a request, as the product promises it: the same for each delivery, another for each replay."""
    detail = event["detail"]
    given = detail.get("scheduled_time") or detail.get("request_id") or event["id"]
    return detail["pipeline"], given, detail.get("resume_export_id"), event.get("replay-name")
