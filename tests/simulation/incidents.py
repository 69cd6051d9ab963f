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
