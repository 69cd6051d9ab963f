"""How histories are drawn. The first of every choice is the normal course, so that shrinking takes faults out."""

from hypothesis import strategies as st

from simulation.faults import (
    ACTS,
    CALL_FAULTS,
    DETAIL_TYPES,
    EVENT_FAULTS,
    FATES,
    LATE,
    READS,
    SLOW,
    STEPS,
    WEATHER,
    Act,
    CallFault,
    EventFault,
    Fate,
)
from simulation.history import Config, Plan
from simulation.world import MINUTE

MOST_PIPELINES = 3
WHEN = [float(minutes) * MINUTE for minutes in (1, 2, 3, 4, 6, 9, 20, 45, 60, 75, 120, 200, 300)]

configs = st.builds(
    Config,
    read_mode=st.sampled_from(["scan", "export"]),
    catalog_update=st.sampled_from(["on-schema-change", "always"]),
    max_attempts=st.sampled_from([2, 1, 3]),
    queueing=st.sampled_from([True, False]),
    keep_snapshots=st.sampled_from([0, 1, 2]),
    entities=st.sampled_from([0, 0, 3, 2]),
    wide=st.sampled_from([False, True]),
)
mostly_first = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5])


def _writes_first(operations: tuple[str, ...]) -> list[str]:
    """And more often: what is read may be read again."""
    writes = [operation for operation in operations if not operation.startswith(READS)]
    return [*writes * 3, *(operation for operation in operations if operation not in writes)]


operations = {function: st.sampled_from(_writes_first(found)) for function, found in STEPS.items()}


functions, call_fault_kinds = st.sampled_from(list(STEPS)), st.sampled_from(CALL_FAULTS)
times, slow = st.sampled_from([1, 1, 1, 2, 3, 6]), st.sampled_from(SLOW)


@st.composite
def call_faults(draw: st.DrawFn) -> CallFault:
    function = draw(functions)
    kind = draw(call_fault_kinds)
    operation = "TransactWriteItems" if kind == "conflict" else draw(operations[function])
    nth = draw(mostly_first)
    return CallFault(
        function, operation, nth, kind, times=draw(times), seconds=draw(slow) if kind.startswith("slow") else 0.0
    )


event_faults = st.builds(
    EventFault, st.sampled_from(DETAIL_TYPES), mostly_first, st.sampled_from(EVENT_FAULTS), st.sampled_from(LATE)
)
things = st.sampled_from(list(FATES))
fates_of = {thing: st.sampled_from(found) for thing, found in FATES.items()}


@st.composite
def fates(draw: st.DrawFn) -> Fate:
    thing = draw(things)
    return Fate(thing, draw(mostly_first), draw(fates_of[thing]))


acts = st.builds(
    Act,
    st.sampled_from(WHEN),
    st.sampled_from([*["request"] * len(ACTS), *ACTS[1:]]),
    st.sampled_from(range(MOST_PIPELINES)),
)


def plans(some: int = 10) -> st.SearchStrategy[Plan]:
    """With up to so many faults of each kind."""
    return st.builds(
        _plan,
        st.lists(configs, min_size=1, max_size=MOST_PIPELINES),
        st.lists(acts, max_size=some + 4),
        st.lists(call_faults(), max_size=some),
        st.lists(event_faults, max_size=some),
        st.lists(fates(), max_size=some - 2),
        st.sampled_from([WEATHER[0], *WEATHER]),
        st.sampled_from([0.0, 0.05, 2.0, 30.0]),
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7]),
    )


def _plan(pipelines, acts, calls, events, fates, weather, index_lag, jitter) -> Plan:
    first = Act(MINUTE, "request")  # or nothing would happen
    in_order = sorted([first, *acts], key=lambda act: act.at)
    return Plan(
        tuple(pipelines), tuple(in_order), tuple(calls), tuple(events), tuple(fates), weather, index_lag, jitter
    )
