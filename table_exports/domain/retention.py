"""Which snapshots a pipeline keeps. This is the only place that decides it:

- While `KeepSnapshots` is 0, or no snapshot was published yet, all snapshots are kept.
- The newest published snapshots are kept, as many as `KeepSnapshots` says. Only published snapshots count.
- An unpublished snapshot is kept until its export is superseded: until a newer snapshot is published. Then it is
  removed. Until then, its export may be resumed.
- The snapshot of the running export is kept, however old it is.
- If it is not known whether a snapshot was published, it is kept until `KeepSnapshots` newer ones were published.
"""

import re
from collections.abc import Container, Iterable

from table_exports.domain.pipeline import Pipeline

SNAPSHOT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z"
KNOWN_AT_LEAST = 15  # published snapshots that a head lists, so that a later change of KeepSnapshots knows them
KNOWN_AT_MOST = 5_000  # about 120 KB. A record can have 400 KB


def superseded(snapshots: Iterable[str], pipeline: Pipeline, unknown: Container[str] = ()) -> list[str]:
    """Return which of the existing `snapshots` the pipeline does not keep, the oldest first.

    `unknown`: snapshots whose export has no record, so that it is not known whether they were published. The head does
    not list them if someone restored an earlier state of it.
    """
    latest, keep = pipeline.published_snapshot, pipeline.keep_snapshots
    if not keep or latest is None:
        return []
    in_flight = (pipeline.export_in_flight or "").split("#")
    existing = {name for name in snapshots if re.fullmatch(SNAPSHOT, name)} | {latest}
    published = pipeline.published
    kept = sorted(existing & published)[-keep:]
    # From the oldest published snapshot that is known, all are known.
    known_from = min(published) if len(kept) < keep else ""
    removed = (name for name in existing if known_from < name < latest and name not in (*kept, *in_flight))
    enough_are_newer = kept[0] if len(kept) == keep else ""
    return sorted(name for name in removed if name < enough_are_newer or name not in unknown)


def depending_on_records(snapshots: Iterable[str], pipeline: Pipeline) -> list[str]:
    """Return which of the existing `snapshots` are superseded only if their exports have records."""
    existing = {*snapshots}
    return sorted({*superseded(existing, pipeline)} - {*superseded(existing, pipeline, unknown=existing)})


def published_among(snapshots: Iterable[str], pipeline: Pipeline, unpublished: Iterable[str]) -> list[str]:
    """Return which of the existing `snapshots` were published, the oldest first.

    `unpublished`: snapshots of exports whose records say that they have not succeeded. Those records expire, so a
    snapshot that is older than all known published ones, and of which nothing is known, counts as published.
    """
    published = pipeline.published
    known_from = min(published, default="")
    existing = {name for name in snapshots if re.fullmatch(SNAPSHOT, name)}
    older = {name for name in existing if name < known_from}
    return sorted((existing & published) | (older - {*unpublished}))


def published_to_list(published: Iterable[str], keep_snapshots: int) -> tuple[str, ...]:
    """Return the published snapshots that a head must list, so that `superseded` can count them."""
    listed = min(max(keep_snapshots, KNOWN_AT_LEAST), KNOWN_AT_MOST)
    return tuple(sorted(published)[-listed:])
