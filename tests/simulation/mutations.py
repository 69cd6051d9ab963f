"""Small ways to break the services, each of which the simulation must find: `make mutate`.

A mutation is a file, a text that it has exactly once, and another text. To add one, add a line and run it by name.
"""

from dataclasses import dataclass

OPERATIONS = "table_exports/aws/operations.py"
RECORDS, GLUE = "table_exports/aws/records.py", "table_exports/aws/glue.py"
EXPORT, HANDLING = "table_exports/domain/export.py", "table_exports/functions/event_handling.py"
RETENTION, SNAPSHOTS = "table_exports/domain/retention.py", "table_exports/aws/snapshots.py"
EVENTS, INTERRUPTED = "table_exports/domain/aws_events.py", "table_exports/aws/interrupted.py"
START, JOB, CRAWL, VIEW = (
    f"services/{name}/handler.py"
    for name in ("start_export", "on_glue_complete", "on_crawler_complete", "on_view_complete")
)
ENTITIES = "table_exports/functions/entities.py"
SUCCEEDED = "services/on_export_succeeded/handler.py"
TABLE, RECONCILE = (f"services/{name}/handler.py" for name in ("on_table_exported", "reconcile_exports"))


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str


MUTATIONS = [
    # The records: each condition, each attribute that a transition must change.
    Mutation("the lock is taken though held", RECORDS, '{IS_REGISTERED} AND {LOCK_IS_FREE}"', '{IS_REGISTERED}"'),
    Mutation("an end leaves the lock", RECORDS, 'known, removed={"export_in_flight"})', "known)"),
    Mutation(
        "a move looks at nothing",
        RECORDS,
        'FENCE = ("waiting_on", "waiting_since", "claimed_at", "ended_at")',
        "FENCE = ()",
    ),
    Mutation(
        "a move does not look at the claim",
        RECORDS,
        '"waiting_since", "claimed_at", "ended_at")',
        '"waiting_since", "ended_at")',
    ),
    Mutation("a resumed record still expires", RECORDS, 'removed |= {"expires_at"}', "pass"),
    Mutation(
        "an end does not note what is published", RECORDS, '{"published_snapshot": export.snapshot_timestamp, ', "{"
    ),
    # Starting what must not be started twice.
    Mutation("nobody looks for a run first", GLUE, 'if _is_of(export, run.get("Arguments", {})):', "if False:"),
    Mutation(
        "a run of another attempt is taken for this one's",
        GLUE,
        'return (arguments.get("--export_id"), attempt) == (export.export_id, str(export.attempt))',
        'return arguments.get("--export_id") == export.export_id',
    ),
    Mutation(
        "StartJobRun is repeated by the client", GLUE, "once = self._connect_without_retries()", "once = self._client"
    ),
    Mutation(
        "a start that died is started again without a look", START, "find_run_first=True)", "find_run_first=False)"
    ),
    Mutation(
        "a claim is not written",
        HANDLING,
        "claimed is None or not cloud.records.move(export, claimed)",
        "claimed is None",
    ),
    Mutation(
        "another's claim is passed over", HANDLING, "None if export.is_claimed(now) else known.claim", "known.claim"
    ),
    Mutation(
        "a table export is not looked at before its job runs",
        TABLE,
        "cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export)",
        "cloud.glue.start_job_run(export)",
    ),
    Mutation(
        "a failed job run is repeated without a look",
        JOB,
        "cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export)",
        "cloud.glue.start_job_run(export)",
    ),
    Mutation("a claim lasts for five seconds", EXPORT, "CLAIM = timedelta(seconds=60)", "CLAIM = timedelta(seconds=5)"),
    Mutation(
        "a step is taken without a claim",
        HANDLING,
        "if claimed := claim(export, cloud, now, learn=learn):",
        "if claimed := (learn(export) if learn else export):",
    ),
    # Attempts.
    Mutation("attempts have no limit", EXPORT, "return self.attempts_made < ", "return True or "),
    Mutation("attempts are not counted", EXPORT, "replace(self, attempt=self.attempt + 1, ", "replace(self, "),
    Mutation("there is one attempt", EXPORT, "return self.attempts_made < ", "return False and "),
    Mutation(
        "what a person stopped runs again", EVENTS, 'FAILED_RUNS = {"FAILED",', 'FAILED_RUNS = {"STOPPED", "FAILED",'
    ),
    Mutation("an expired run is no end", EVENTS, '"EXPIRED", "DELETED"}', '"DELETED"}'),
    Mutation(
        "a cancelled query is no end",
        EVENTS,
        'ENDS_OF_QUERIES = {"SUCCEEDED", "FAILED", "CANCELLED"}',
        'ENDS_OF_QUERIES = {"SUCCEEDED", "FAILED"}',
    ),
    Mutation(
        "a crawl's failure ends the next crawl, too",
        EVENTS,
        "return max(now, min(self.ended, now + SKEW) + timedelta(seconds=1))",
        "return now",
    ),
    # What AWS says.
    Mutation(
        "busy is taken for a refusal",
        HANDLING,
        'count("StepsDeferred")\n            after = claimed.defer(str(error))',
        'count("StepsDeferred")\n            after = claimed.fail(str(error), now)',
    ),
    Mutation(
        "half a batch of events is taken for all",
        "table_exports/aws/bus.py",
        'if answer["FailedEntryCount"]:',
        "if False:",
    ),
    # The catalog and the view.
    Mutation(
        "the partition is not put into the catalog",
        "table_exports/functions/publishing.py",
        "    cloud.glue.ensure_partition(export, manifest)\n",
        "",
    ),
    Mutation("a crawl has the last word on types", CRAWL, "    cloud.glue.ensure_table(export, manifest)\n", ""),
    # Resuming.
    Mutation(
        "an older snapshot is resumed", START, "if reason := pipeline.why_not_resume(export):", 'if reason := "":'
    ),
    Mutation(
        "a resumed export does not take the lock",
        RECORDS,
        '{"Update": self._change(before, after)}, {"Update": self._take_lock(after)}',
        '{"Update": self._change(before, after)}',
    ),
    Mutation(
        "a resumed export pays the job again",
        START,
        "    if export.glue_job_run_id:\n",
        "    if False:\n",
    ),
    Mutation(
        "an attempt is used again when resumed",
        EXPORT,
        "            attempt=self.attempt + 1,\n            max_attempts",
        "            max_attempts",
    ),
    Mutation(
        "each query is a new one",
        "table_exports/domain/view_sql.py",
        'f"{export.export_id}\\n',
        'f"{object()}{export.export_id}\\n',
    ),
    Mutation("another attempt is the same query", "table_exports/domain/view_sql.py", "{export.attempt}\\n", ""),
    Mutation(
        "another attempt is the same table export",
        "table_exports/aws/tables.py",
        "export.export_id if export.attempt == 1 else",
        "export.export_id if export.attempt else",
    ),
    # What an interrupted step may have started.
    Mutation(
        "an export ends without a look", HANDLING, "settle(claimed, cloud.glue, cloud.records, now)", "claimed, []"
    ),
    Mutation(
        "a look forgets the next attempt",
        INTERRUPTED,
        "export.retry() if export.stage == Stage.EXPORTING",
        "export if True",
    ),
    Mutation("a run that was found is left to run", INTERRUPTED, "glue.stop_job_run(known, run_id)", "pass"),
    Mutation(
        "a claim forgets the one before",
        EXPORT,
        "claimed_at=now, interrupted_at=self.claimed_at or self.interrupted_at)",
        "claimed_at=now)",
    ),
    # Public events.
    Mutation(
        "a failure has no event",
        "table_exports/domain/stages.py",
        'return ["Export Failed"] if before != Stage.FAILED else []',
        "return []",
    ),
    Mutation(
        "a request's identity is its event's",
        "table_exports/domain/request.py",
        "identity = given if any(given) else",
        "identity =",
    ),
    Mutation("a replay is the same request", "table_exports/domain/request.py", ', event.get("replay-name")])', "])"),
    # The reconciler.
    Mutation(
        "the reconciler speaks as we do",
        "table_exports/aws/bus.py",
        "self._entry(RECONCILER_SOURCE, ",
        "self._entry(SOURCE, ",
    ),
    Mutation("nobody asks about starts", RECONCILE, "return ResumeRequest(export)", "return None"),
    Mutation(
        "nobody asks about table exports",
        RECONCILE,
        "return cloud.tables.export_end(export, export.awaited_id, pipeline.table_role_arn)",
        "return None",
    ),
    Mutation(
        "nobody asks about job runs",
        OPERATIONS,
        "return services.glue.job_run_end(export, export.awaited_id)",
        "return None",
    ),
    Mutation("nobody asks about crawls", OPERATIONS, "return services.glue.crawl_end(export, now)", "return None"),
    Mutation(
        "nobody asks about queries", OPERATIONS, "return services.athena.query_end(export.awaited_id)", "return None"
    ),
    Mutation(
        "an overdue job run is not stopped", OPERATIONS, "services.glue.stop_job_run(export, export.awaited_id)", "pass"
    ),
    # What is removed.
    Mutation("nothing is removed", SUCCEEDED, "remove_superseded(succeeded.pipeline, cloud)", "pass"),
    Mutation(
        "one snapshot less is kept", RETENTION, "(existing & published)[-keep:]", "(existing & published)[1 - keep :]"
    ),
    Mutation(
        "unpublished snapshots count", RETENTION, "kept = sorted(existing & published)", "kept = sorted(existing)"
    ),
    Mutation("what is newer than the view is removed", RETENTION, "< name < latest", "< name != latest"),
    Mutation(
        "a removal leaves the partition",
        SNAPSHOTS,
        "            self._remove_partition(table, snapshot)\n",
        "            pass\n",
    ),
    Mutation(
        "a removal leaves the manifest",
        SNAPSHOTS,
        "self._remove_objects(naming.manifest_uri(pipeline.output_prefix, snapshot))",
        "pass",
    ),
    # Entities.
    Mutation(
        "an export does not wait for the other queries",
        VIEW,
        "if running := [query_id for query_id in export.queries_together if query_id not in ends]:",
        "if running := []:",
    ),
    Mutation(
        "the next views are forgotten",
        VIEW,
        "if export.views_left else succeed(export, cloud, now)",
        "if False else succeed(export, cloud, now)",
    ),
    Mutation(
        "the failure of another query is overlooked", VIEW, "max(ends.values(), key=severity)", "ends[query.query_id]"
    ),
    Mutation(
        "another attempt leaves out the query that failed",
        EXPORT,
        "attempt=self.attempt + 1, queries=self.queries[: self._first_together])",
        "attempt=self.attempt + 1)",
    ),
    Mutation(
        "an entity is published without its name",
        ENTITIES,
        "    pipeline = claims.claim_entities(export, names, pipeline, cloud)\n",
        "",
    ),
    Mutation(
        "an entity's partition is not put into the catalog",
        ENTITIES,
        "        cloud.glue.ensure_partition(dataset, its_manifest)\n",
        "",
    ),
    Mutation(
        "an entity's table does not follow the manifest",
        ENTITIES,
        "cloud.glue.ensure_cataloged(dataset, its_manifest, pipeline.published_snapshot)",
        "cloud.glue.has_schema(dataset, its_manifest)",
    ),
    Mutation(
        "a name that an entity holds is given to another pipeline",
        RECORDS,
        '"attribute_not_exists(pipeline) OR (stack_id',
        '"attribute_exists(pipeline) OR attribute_not_exists(pipeline) OR (stack_id',
    ),
    Mutation(
        "released names stay held",
        RECORDS,
        '[{"Delete": _if_equal(_claim(name), holder)} for name in held]',
        "[]",
    ),
    Mutation(
        "a deleted stack keeps the names of its entities",
        RECORDS,
        "            self._delete(_claim(entity), stack_id=stack_id, held_by=name)\n",
        "            pass\n",
    ),
    Mutation(
        "a head does not list the names",
        RECORDS,
        'for name in names), {"Update": head})',
        "for name in names))",
    ),
    Mutation(
        "an entity whose claim was interrupted never appears",
        ENTITIES,
        "for dataset in entities]\n",
        "for dataset in entities]\n    pipeline = replace(pipeline, new_entities=())\n",
    ),
    Mutation(
        "no entity appears", "table_exports/domain/public_events.py", "if entity.name in export.appeared", "if False"
    ),
    Mutation(
        "a removal leaves the files of entities",
        SNAPSHOTS,
        "for table in [pipeline, *self._entities(pipeline)]:\n            files",
        "for table in [pipeline]:\n            files",
    ),
    Mutation(
        "nothing is given up", RECONCILE, "if export.is_given_up(now) and not is_published(export, cloud):", "if False:"
    ),
    Mutation(
        "the first page of exports is all",
        RECORDS,
        'for page in pages for item in page["Items"])',
        'for page in [next(iter(pages))] for item in page["Items"])',
    ),
]
