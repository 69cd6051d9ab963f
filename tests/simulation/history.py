"""One history: pipelines, what people and the world do to them, and the services' real code in between."""

import importlib
import logging
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from templates import resource, resources

from simulation import reuse
from simulation.aws.athena import Athena
from simulation.aws.client import AwsError, Client
from simulation.aws.dynamodb import Sts, Table, Tables
from simulation.aws.events import ACCOUNT, BUCKET, OUR_BUS, REGION, Buses, Pattern
from simulation.aws.glue import Crawler, Glue, Job
from simulation.aws.s3 import S3
from simulation.aws.state_table import Image, Key, StateTable
from simulation.faults import WEATHER, Act, CallFault, EventFault, Fate, Faults
from simulation.functions import Functions
from simulation.invariants import Watcher
from simulation.people import Commands, on_its_clock
from simulation.world import DAY, HOUR, MINUTE, VIEWS_AT_ONCE, Violation, World
from table_exports.aws.athena import Athena as AthenaCalls
from table_exports.aws.bus import Bus
from table_exports.aws.glue import Glue as GlueCalls
from table_exports.aws.manifests import Manifests
from table_exports.aws.records import Records
from table_exports.aws.snapshots import Snapshots
from table_exports.aws.tables import Summaries
from table_exports.aws.tables import Tables as TableCalls
from table_exports.domain import export
from table_exports.domain.pipeline import Pipeline
from table_exports.functions import telemetry

DATABASE, WORKGROUP = "dynamodb_exports", "table-exports"
RECONCILED_EVERY = 5 * MINUTE
QUIET_AFTER = 2 * HOUR  # from the last thing that anyone does
LONGEST_QUIET = 6 * DAY
STREAM_BATCH = 10
OUT_OF_ORDER = 15 * MINUTE
TYPES = "abcdefgh"  # of items, in the order in which they appear


@dataclass(frozen=True)
class Config:
    """What a table stack says."""

    read_mode: str = "scan"
    catalog_update: str = "on-schema-change"
    max_attempts: int = 2
    queueing: bool = True
    timeout_minutes: int = 30
    keep_snapshots: int = 0
    entities: int = 0  # how many types of items its table has at first. 0: it has no entities
    wide: bool = False  # with entities: whether the table of all items is published, too


@dataclass(frozen=True)
class Plan:
    """All that is drawn of a history. An empty one is a pipeline without a request."""

    pipelines: tuple[Config, ...] = (Config(),)
    acts: tuple[Act, ...] = ()
    calls: tuple[CallFault, ...] = ()
    events: tuple[EventFault, ...] = ()
    fates: tuple[Fate, ...] = ()
    weather: str = WEATHER[0]
    index_lag: float = 0.0
    jitter: int = 0

    def with_pipelines(self, **changes: Any) -> "Plan":
        """The same, with all its pipelines configured so."""
        return replace(self, pipelines=tuple(replace(config, **changes) for config in self.pipelines))

    def __str__(self) -> str:
        lines = [f"pipeline {n + 1}: {config}" for n, config in enumerate(self.pipelines)]
        lines += [str(it) for group in (self.acts, self.fates, self.events, self.calls) for it in group]
        lines += [self.weather] * (self.weather != WEATHER[0])
        lines += [f"the indexes lag by {self.index_lag:.0f} s"] * bool(self.index_lag)
        lines += [f"times vary (jitter {self.jitter})"] * bool(self.jitter)
        return "\n".join(lines)


class Broken(Violation):
    """With the history that broke the promise."""

    def __init__(self, violation: Violation, plan: Plan, world: World) -> None:
        super().__init__(violation.promise, f"{violation.what}\n\n{plan}\n\n{world.told()}")
        self.short = violation.what


@cache
def _broken(promise: str) -> type[Broken]:
    """A class of its own for each promise: so Hypothesis shrinks to a history that breaks this one, and no other."""
    return type("Broken", (Broken,), {"__doc__": promise})


@cache
def services() -> dict[str, Any]:
    names = (
        "start_export",
        "on_table_exported",
        "on_glue_complete",
        "on_crawler_complete",
        "on_view_complete",
        "on_export_changed",
        "on_export_succeeded",
        "reconcile_exports",
    )
    return {name: importlib.import_module(f"{name}.handler") for name in names}


class History:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = World(plan.jitter)
        self.faults = Faults(list(plan.calls), list(plan.events), list(plan.fates), plan.weather)
        self.functions = Functions(self.world, self.faults)
        self.s3 = S3()
        self.buses = Buses(self.world, self.faults, self.functions.invoke)
        self.tables = Tables(self.world, self.faults, self.buses, self.s3)
        self.glue = Glue(self.world, self.faults, self.buses, self.s3, self.tables)
        self.athena = Athena(self.world, self.faults, self.buses)
        self.state = StateTable(self.world, resource("common", "StateTable")["Properties"], plan.index_lag)
        self.sts = Sts(self._has_stack)
        self.deployed: dict[str, Pipeline] = {}
        self.requests: dict[str, dict[str, Any]] = {}  # the last detail of each pipeline
        self.stream = _Stream(self.world, self.functions)
        self.cloud = self._cloud()
        self.watcher = Watcher(self)
        self._stacks = 0
        self._replays = 0

    # ------------------------------------------------------------------------------------------------ the run
    def run(self) -> None:
        """Raises Broken if a promise was."""
        _capture_telemetry(self)
        self._connect()
        try:
            with reuse.parsed_records(), on_its_clock(self), patch.object(export, "VIEWS_AT_ONCE", VIEWS_AT_ONCE):
                self._play()
            self.watcher.check_the_end()
        except Violation as violation:
            raise _broken(violation.promise)(violation, self.plan, self.world) from None

    def _play(self) -> None:
        for n, config in enumerate(self.plan.pipelines):
            types = dict.fromkeys(TYPES[: config.entities], 3)
            self.tables.tables[_table(n)] = Table(_table(n), ["asin", "stars"], types)
            self._deploy(n, config)
        for act in self.plan.acts:
            self.world.after(act.at, partial(self._do, act))
        quiet_from = max((act.at for act in self.plan.acts), default=0.0) + QUIET_AFTER
        next_pass = RECONCILED_EVERY
        while True:
            self.faults.over = self.world.seconds >= quiet_from
            if self.faults.over and self._is_over():
                return
            if self.world.seconds > quiet_from + LONGEST_QUIET:
                raise Violation(
                    "every export ends", f"{self.watcher.in_flight()} are in flight, days after the last fault"
                )
            if next_pass < self.world.idle_until:
                self.world.seconds = max(next_pass, self.world.seconds)
                if self.watcher.in_flight():  # or a pass would find nothing to ask about
                    self.functions.invoke("reconcile_exports", {})
                since = self.world.seconds - quiet_from
                next_pass += RECONCILED_EVERY if since < 4 * HOUR else 30 * MINUTE
            else:
                is_next = quiet_from + LONGEST_QUIET if self.faults.over else quiet_from
                self.world.undisturbed_until = min(next_pass, is_next)
                self.world.step()
                self.watcher.raise_what_was_found()

    def _is_over(self) -> bool:
        return not self.watcher.in_flight() and not self.world.pending

    # ------------------------------------------------------------------------------------------------ what is done
    def _do(self, act: Act) -> None:
        n = act.pipeline % len(self.plan.pipelines)
        name = _pipeline_name(n)
        self.world.note("people", f"{act.what} (pipeline {n + 1})")
        self.faults.befell[f"act: {act.what}"] += 1
        match act.what:
            case "request":
                scheduled = self.world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
                self._request(name, _detail(n, self.plan.pipelines[n]) | {"scheduled_time": scheduled})
            case "request again" if name in self.requests:
                self._request(name, self.requests[name])
            case "bad request":
                bad = {"read_percentage": 1.5, "request_id": f"bad-{self.world.seconds:.0f}"}
                self._put(_detail(n, self.plan.pipelines[n]) | bad)
            case "resume the last failure":
                failed = [item for item in self._exports(name) if item["stage"]["S"] == "FAILED"]
                self._resume(name, failed[-1:])
            case "resume the first export":
                self._resume(name, self._exports(name)[:1])
            case "cancel the latest export" if exports := self._exports(name):
                key = exports[-1]["pipeline"]["S"], exports[-1]["record"]["S"]
                self.functions.run("cancel", key, lambda failure: None)
            case "replay requests":
                self._replays += 1
                self.buses.replay("table-exports-requests", f"replay-{self._replays}")
            case "replay AWS events":
                self._replays += 1
                self.buses.replay("table-exports-aws-events", f"replay-{self._replays}")
            case "send unhandled events back":
                for function, event in self.functions.unhandled:
                    self.functions.invoke(function, event)
                self.functions.unhandled.clear()
            case "delete the stack" if name in self.deployed:
                self._delete(n)
            case "deploy the stack" if name not in self.deployed:
                self._deploy(n, self.plan.pipelines[n])
            case "run the job by hand" if name in self.deployed:
                try:
                    self.glue.start_job_run(self.deployed[name].glue_job_name, {})
                except AwsError as error:
                    self.world.note("people", str(error))
            case "run the crawler by hand" if name in self.deployed:
                crawler = self.glue.crawlers.get(self.deployed[name].crawler_name)
                if crawler and crawler.state == "READY":
                    self.glue.crawl(crawler, own=False)
            case "add an attribute":
                attributes = self.tables.tables[_table(n)].attributes
                attributes.append(f"attribute_{len(attributes)}")
            case "a type appears" if self.plan.pipelines[n].entities:
                types = self.tables.tables[_table(n)].types
                types |= dict.fromkeys(TYPES[len(types) : len(types) + 1], 1)
            case "a type disappears" if self.plan.pipelines[n].entities:
                types = self.tables.tables[_table(n)].types
                types[next((kind for kind, items in types.items() if items), TYPES[0])] = 0
            case "start over" if self._is_idle(n) and self.plan.pipelines[n].entities:
                self._start_over(n)
            case "switch recovery off" | "switch recovery on":
                self.tables.tables[_table(n)].recovery = act.what.endswith("on")
            case "functions out of order":
                self.functions.out_of_order_until = self.world.seconds + OUT_OF_ORDER

    def _request(self, name: str, detail: dict[str, Any]) -> None:
        self.requests[name] = detail
        self._put(detail)

    def _resume(self, name: str, exports: list[Image]) -> None:
        for item in exports:
            self._put({"pipeline": name, "resume_export_id": item["export_id"]["S"]})

    def _put(self, detail: dict[str, Any]) -> None:
        self.buses.send(OUR_BUS, "table-exports", "Export Requested", detail)

    def _exports(self, name: str) -> list[Image]:
        items = sorted(self.state.items.items())
        return [item for key, item in items if key[0] == name and key[1].startswith("export#")]

    def _deploy(self, n: int, config: Config) -> None:
        self._stacks += 1
        detail = _detail(n, config)
        pipeline = Pipeline(
            pipeline=detail["pipeline"],
            stack_id=f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/table-{n}/{self._stacks}",
            table_name=detail["table_name"],
            catalog_name=_catalog_name(n),
            output_format=detail["output_format"],
            output_prefix=detail["output_prefix"],
            glue_job_name=detail["glue_job_name"],
            crawler_name=detail["crawler_name"],
            timeout_minutes=config.timeout_minutes,
            read_mode=config.read_mode,
            catalog_update=config.catalog_update,
            max_attempts=config.max_attempts,
            keep_snapshots=config.keep_snapshots,
            table_role_arn=f"arn:aws:iam::{ACCOUNT}:role/table-exports/{detail['pipeline']}",
        )
        if not self.cloud.records.register(pipeline):
            holder = self.cloud.records.holder(pipeline.catalog_name)
            assert holder is not None
            assert holder[0] != pipeline.pipeline, "only the name of an entity is refused"
            return self.world.note("people", f"{pipeline.catalog_name} is held by {holder[0]}")
        job = Job(pipeline.glue_job_name, pipeline.table_name, config.timeout_minutes, config.queueing)
        job.entities, job.wide = config.entities > 0, config.wide
        self.glue.jobs[pipeline.glue_job_name] = job
        if not job.entities:
            snapshots = f"snapshots_{pipeline.catalog_name}"
            crawler = Crawler(pipeline.crawler_name, snapshots, pipeline.output_prefix)
            self.glue.crawlers[pipeline.crawler_name] = crawler
        self.deployed[pipeline.pipeline] = pipeline

    def _delete(self, n: int) -> None:
        pipeline = self.deployed.pop(_pipeline_name(n))
        self.watcher.deleted(pipeline.pipeline)
        self.cloud.records.unregister(pipeline.pipeline, pipeline.stack_id)
        self.glue.delete_job(pipeline.glue_job_name)
        crawler = self.glue.crawlers.pop(pipeline.crawler_name, None)
        for crawl in crawler.crawls if crawler else []:
            crawl.ended = crawl.ended or self.world.now

    def _is_idle(self, n: int) -> bool:
        """Whether no export of the pipeline is running, and no query that an earlier one left."""
        head = self.state.items.get((_pipeline_name(n), "pipeline"))
        views = _views(n)
        running = [query for query in self.athena.queries.values() if query.view in views and not query.ended]
        return head is not None and "export_in_flight" not in head and not running

    def _start_over(self, n: int) -> None:
        """As docs/schema.md says. From now on, the table has no items of one type."""
        catalog_name, types = _catalog_name(n), self.tables.tables[_table(n)].types
        types[next((kind for kind, items in types.items() if items), TYPES[0])] = 0
        for kind in ("snapshots", "entities", "manifests"):
            self.s3.forget(BUCKET, f"exports/{kind}_{catalog_name}/")
        self.glue.forget(f"s3://{BUCKET}/exports/snapshots_{catalog_name}")
        for view in _views(n):
            self.athena.drop(view)
            self.glue.catalog.pop(f"snapshots_{view}", None)
            self.glue.partitions.pop(f"snapshots_{view}", None)
        self.watcher.started_over(catalog_name)

    def config_of(self, catalog_name: str) -> Config:
        return next(each for n, each in enumerate(self.plan.pipelines) if _catalog_name(n) == catalog_name)

    def _is_gone(self, stack_id: str) -> bool:
        return stack_id not in {pipeline.stack_id for pipeline in self.deployed.values()}

    def deliver_last_success(self, pipeline: str) -> None:
        """Again, after everything else: its event may have been lost."""
        events = [event for _, event in self.buses.sent if event["detail-type"] == "Export Succeeded"]
        for event in [event for event in events if event["detail"]["pipeline"] == pipeline][-1:]:
            self.functions.handlers["on_export_succeeded"](event)

    def _has_stack(self, role_arn: str) -> bool:
        return any(pipeline.table_role_arn == role_arn for pipeline in self.deployed.values())

    # ------------------------------------------------------------------------------------------------ how it is wired
    def _cloud(self) -> Any:
        """The product's own classes, around clients of the simulated AWS."""

        def client(service: str, model: Any, retries: bool = True) -> Client:
            return Client(service, model, self.functions.call, retries)

        s3, glue = client("s3", self.s3), client("glue", self.glue)
        starter = client("glue", self.glue, retries=False)
        tables = client("dynamodb", self.tables)
        return SimpleNamespace(
            account=ACCOUNT,
            region=REGION,
            late_after=timedelta(minutes=10),
            measures_each_pipeline=True,
            records=Records(client("dynamodb", self.state), "table-exports", 90),
            glue=GlueCalls(glue, lambda: starter, DATABASE),
            tables=TableCalls(client("sts", self.sts), lambda **credentials: tables),
            summaries=Summaries(s3),
            manifests=Manifests(s3),
            snapshots=Snapshots(s3, glue, DATABASE),
            athena=AthenaCalls(client("athena", self.athena), WORKGROUP, DATABASE),
            bus=Bus(client("events", self.buses), OUR_BUS),
            stacks=SimpleNamespace(is_gone=self._is_gone),
        )

    def _connect(self) -> None:
        found, cloud, world = services(), self.cloud, self.world
        self.functions.handlers = {
            "start_export": self._start_export,
            "on_table_exported": lambda event: found["on_table_exported"].on_table_export_ended(
                event, cloud, world.now
            ),
            "on_glue_complete": lambda event: found["on_glue_complete"].on_job_run_ended(event, cloud, world.now),
            "on_crawler_complete": lambda event: found["on_crawler_complete"].on_crawl_ended(event, cloud, world.now),
            "on_view_complete": lambda event: found["on_view_complete"].on_query_ended(event, cloud, world.now),
            "on_export_changed": lambda event: found["on_export_changed"].on_export_changed(event["Records"], cloud),
            "on_export_succeeded": lambda event: found["on_export_succeeded"].on_export_succeeded(event, cloud),
            "reconcile_exports": lambda event: found["reconcile_exports"].reconcile(cloud, world.now),
            "cancel": Commands(self, DATABASE).cancel,
        }
        self.state.changed = self._changed
        self.glue.starting = self.watcher.run_starts
        self.glue.who = lambda: self.functions.running
        self.athena.shown = self.watcher.view_shows
        self.glue.view = self.athena.view
        self.glue.views = lambda: self.athena.views
        self.glue.removing = self.watcher.snapshot_removed
        self.s3.removing = self.watcher.object_removed
        self.buses.on_request = self.watcher.requested

    def _start_export(self, event: dict[str, Any]) -> None:
        self.watcher.delivered(event)
        services()["start_export"].on_export_requested(event, self.cloud, self.world.now)

    def _changed(self, key: Key, old: Image | None, new: Image | None) -> None:
        self.watcher.record_changed(key, old, new)
        self.stream.add(key, old, new)


@dataclass
class _Stream:
    """The state table's, with its one reader: in order, a batch again and again until it succeeds."""

    world: World
    functions: Functions
    waiting: list[dict[str, Any]] = field(default_factory=list)
    busy: bool = False

    def add(self, key: Key, old: Image | None, new: Image | None) -> None:
        name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        images = {"OldImage": old, "NewImage": new}
        change = {"Keys": {"pipeline": {"S": key[0]}, "record": {"S": key[1]}}}
        change |= {image: value for image, value in images.items() if value is not None}
        event = {"eventName": name, "dynamodb": change}
        if _filter().matches(event):
            self.waiting.append(event)
            self._read_on(0.3)

    def _read_on(self, seconds: float) -> None:
        if not self.busy and self.waiting:
            self.busy = True
            self.world.after(seconds, self._read)

    def _read(self) -> None:
        batch = self.waiting[:STREAM_BATCH]
        self.functions.run("on_export_changed", {"Records": batch}, partial(self._was_read, len(batch)))

    def _was_read(self, count: int, failure: str | None) -> None:
        self.busy = False
        if failure is None:
            del self.waiting[:count]
        self._read_on(0.3 if failure is None else 2.0)


@cache
def _filter() -> Pattern:
    """As the template has it."""
    for mapping in resources("common", "AWS::Lambda::EventSourceMapping").values():
        ((pattern,),) = [[found["Pattern"] for found in mapping["Properties"]["FilterCriteria"]["Filters"]]]
        return Pattern(pattern)
    raise LookupError("The template reads no stream")


class _Log(logging.Handler):
    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history

    def emit(self, record: logging.LogRecord) -> None:
        known = ("waiting_on", "became", "attempt", "reason", "held_up_by", "field")
        more = " ".join(f"{name}={getattr(record, name)}" for name in known if hasattr(record, name))
        history = self.history
        history.world.note(history.functions.running, f"log: {record.getMessage()} {more}")
        history.watcher.logged(record.getMessage(), getattr(record, "waiting_on", None))
        if record.exc_info:
            error = record.exc_info[1]
            history.world.note(history.functions.running, f"log: {type(error).__name__}: {error}")


class _Nowhere:
    """Where metrics go."""

    def __init__(self, **settings: Any) -> None:
        self.add_dimension = self.add_metric = lambda *metric: None
        self.flush_metrics = lambda: None


def _capture_telemetry(history: History) -> None:
    """The services' log goes into the history's trace, and their metrics and traces nowhere."""
    log = logging.getLogger(telemetry.logger.name)
    log.handlers[:] = [_Log(history)]
    log.propagate = False
    telemetry.metrics.add_metric = lambda *metric, **more: None
    telemetry.EphemeralMetrics = _Nowhere
    telemetry.annotated = lambda name, annotations: nullcontext()
    telemetry.logger.append_context_keys = lambda **keys: nullcontext()


def _table(n: int) -> str:
    return f"Table{n + 1}"


def _catalog_name(n: int) -> str:
    """The third one is also what a fourth type of the first table would be called."""
    return f"table1_{TYPES[3]}" if n == 2 else f"table{n + 1}"


def _views(n: int) -> list[str]:
    """The names of the view of all items and of those of all entities, without the name of another pipeline."""
    names = (_catalog_name(n), *(f"{_catalog_name(n)}_{kind}" for kind in TYPES))
    return [name for name in names if n == 2 or name != _catalog_name(2)]


def _pipeline_name(n: int) -> str:
    return f"{_catalog_name(n)}-parquet"


def _detail(n: int, config: Config) -> dict[str, Any]:
    return {
        "pipeline": _pipeline_name(n),
        "table_name": _table(n),
        "read_percentage": 0.25,
        "output_prefix": f"s3://{BUCKET}/exports/snapshots_{_catalog_name(n)}",
        "output_format": "parquet",
        "glue_job_name": f"table-exports-{_pipeline_name(n)}",
        "crawler_name": f"table-exports-{_pipeline_name(n)}",
    }
