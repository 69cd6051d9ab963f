"""Histories that once broke a guarantee, or that a random search meets too rarely. Each is played before any search."""

from simulation.faults import HOUR, MINUTE, Act, CallFault, EventFault, Fate
from simulation.history import Config, Plan

KEEPS_FAILING = 200  # times: longer than an export waits
LATE = Act(12 * HOUR, "add an attribute")  # faults end two hours after the last act

INCIDENTS = {
    "a start is killed, its run ends unnoticed, and the stack is deleted before the request is delivered again": Plan(
        acts=(
            Act(MINUTE, "request"),
            Act(MINUTE + 5.0, "functions out of order"),
            Act(4 * MINUTE, "delete the stack"),
        ),
        calls=(CallFault("start_export", "StartJobRun", 0, "crash after"),),
        events=(EventFault("Glue Job State Change", 0, "dropped"),),
    ),
    "a start is killed, the export is cancelled, and nothing is heard of its run": Plan(
        acts=(Act(MINUTE, "request"), Act(3 * MINUTE, "cancel the latest export")),
        calls=(
            CallFault("start_export", "TransactWriteItems", 0, "crash before"),
            CallFault("start_export", "StartJobRun", 0, "crash after"),
        ),
        events=(EventFault("Glue Job State Change", 0, "dropped"),),
    ),
    "a start is killed, the stack is deleted, and the request is delivered again at once": Plan(
        acts=(Act(MINUTE, "request"), Act(MINUTE + 5.0, "delete the stack"), Act(MINUTE + 8.0, "request again")),
        calls=(CallFault("start_export", "StartJobRun", 0, "crash after"),),
        events=(EventFault("Glue Job State Change", 0, "dropped"),),
    ),
    "a start is killed, its run ends unnoticed, and nobody can look for it until the export is given up": Plan(
        acts=(Act(MINUTE, "request"), LATE),
        calls=(
            CallFault("start_export", "StartJobRun", 0, "crash after"),
            CallFault("start_export", "GetJobRuns", 0, "throttled", times=KEEPS_FAILING),
        ),
        events=(EventFault("Glue Job State Change", 0, "dropped"),),
    ),
    "a second attempt's start is killed, and nobody can look for its run until the export is given up": Plan(
        acts=(Act(MINUTE, "request"), LATE),
        calls=(
            CallFault("on_glue_complete", "StartJobRun", 0, "crash after"),
            CallFault("on_glue_complete", "GetJobRuns", 2, "throttled", times=KEEPS_FAILING),
        ),
        events=tuple(EventFault("Glue Job State Change", nth, "dropped") for nth in (1, 2)),
        fates=(Fate("job run", 0, "FAILED"),),
    ),
    "a run is running that nobody noticed when its export is given up, and the export is resumed": Plan(
        pipelines=(Config(timeout_minutes=24 * 60),),
        acts=(Act(MINUTE, "request"), Act(3 * HOUR, "resume the last failure"), LATE),
        calls=(
            CallFault("start_export", "StartJobRun", 0, "crash after"),
            CallFault("start_export", "GetJobRuns", 0, "throttled", times=KEEPS_FAILING),
        ),
        fates=(Fate("job run", 0, "slow"),),
    ),
    "a query has published the view, nobody noticed, and the export is cancelled": Plan(
        acts=(Act(MINUTE, "request"), Act(45 * MINUTE, "cancel the latest export")),
        calls=(CallFault("on_crawler_complete", "StartQueryExecution", 0, "crash after", times=3),),
        weather="no event of AWS comes",
    ),
    "an export is cancelled while its job runs, resumed, and cancelled again": Plan(
        acts=(
            Act(MINUTE, "request"),
            Act(6 * MINUTE, "cancel the latest export"),
            Act(20 * MINUTE, "resume the last failure"),
            Act(30 * MINUTE, "cancel the latest export"),
            Act(2 * HOUR, "request"),
            LATE,
        ),
        fates=(Fate("job run", 0, "slow"), Fate("job run", 1, "slow")),
    ),
    "an export is cancelled and resumed before its job run has stopped": Plan(
        acts=(
            Act(MINUTE, "request"),
            Act(2 * MINUTE, "cancel the latest export"),
            Act(2 * MINUTE + 1, "resume the last failure"),
            LATE,
        ),
    ),
    "an export dies after it has claimed the names of entities, whose appearance is published all the same": Plan(
        pipelines=(Config(entities=3),),
        acts=(Act(MINUTE, "request"), Act(2 * HOUR, "a type appears"), Act(3 * HOUR, "request"), LATE),
        calls=tuple(CallFault("on_glue_complete", "TransactWriteItems", nth, "crash after") for nth in (0, 2)),
    ),
    "the second of three queries fails for good, and the export is resumed": Plan(
        pipelines=(Config(entities=3, wide=True, keep_snapshots=1),),
        acts=(
            Act(MINUTE, "request"),
            Act(2 * HOUR, "request"),
            Act(4 * HOUR, "resume the last failure"),
            Act(6 * HOUR, "request"),
            LATE,
        ),
        fates=(Fate("query", 5, "FAILED"),),
    ),
    "the last query is repeated, the events of the others are lost, and a function dies between two turns": Plan(
        pipelines=(Config(entities=3, max_attempts=3),),
        acts=(Act(MINUTE, "request"), Act(2 * HOUR, "request"), LATE),
        calls=(CallFault("on_view_complete", "StartQueryExecution", 0, "crash after"),),
        events=tuple(EventFault("Athena Query State Change", nth, "dropped") for nth in (0, 2)),
        fates=(Fate("query", 2, "FAILED, retryable"),),
    ),
    "a query of each of two turns is repeated, each with its own attempts": Plan(
        pipelines=(Config(entities=3, wide=True, max_attempts=2),),
        acts=(Act(MINUTE, "request"), LATE),
        fates=(Fate("query", 0, "FAILED, retryable"), Fate("query", 5, "FAILED, retryable")),
    ),
    "an entity takes the name of a pipeline whose stack was deleted, and the stack is deployed again": Plan(
        pipelines=(Config(entities=3), Config(), Config()),
        acts=(
            Act(MINUTE, "request"),
            Act(HOUR, "delete the stack", 2),
            Act(2 * HOUR, "a type appears"),
            Act(3 * HOUR, "request"),
            Act(5 * HOUR, "deploy the stack", 2),
            Act(6 * HOUR, "request", 2),
            Act(8 * HOUR, "delete the stack"),
            Act(9 * HOUR, "deploy the stack", 2),
            Act(10 * HOUR, "deploy the stack"),
            Act(11 * HOUR, "request"),
            LATE,
        ),
    ),
    "an export of entities is cancelled between two turns, and another follows": Plan(
        pipelines=(Config(entities=3, wide=True, keep_snapshots=1),),
        acts=(
            Act(MINUTE, "request"),
            Act(10 * MINUTE, "cancel the latest export"),
            Act(2 * HOUR, "request"),
            Act(4 * HOUR, "a type disappears"),
            Act(5 * HOUR, "request"),
            LATE,
        ),
        fates=(Fate("query", 2, "slow"),),
    ),
    "exports are cancelled while a crawl and while a query runs, whose event is lost": Plan(
        acts=(
            Act(MINUTE, "request"),
            Act(3.5 * MINUTE, "cancel the latest export"),
            Act(HOUR, "request"),
            Act(HOUR + 10 * MINUTE, "cancel the latest export"),
            Act(3 * HOUR, "request"),
            LATE,
        ),
        events=(EventFault("Athena Query State Change", 0, "dropped"),),
        fates=(Fate("crawl", 0, "slow"), Fate("query", 0, "slow")),
    ),
}
