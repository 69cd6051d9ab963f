"""The commands: `make simulate` and `make mutate`.

python -m simulation simulate [--histories 100000] [--seed 1] [--skip 50000]
python -m simulation mutate [NAME ...]
"""

import argparse
import gc
import json
import multiprocessing
import os
import random
import sys
import time

os.environ |= {
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "simulation",
    "POWERTOOLS_METRICS_NAMESPACE": "simulation",
    "POWERTOOLS_TRACE_DISABLED": "true",
}

CHUNK = 50  # histories that one process plays at a time
CHUNKS_OF_A_PROCESS = 100  # then another takes over, so that memory is bounded whatever a library keeps
PROGRESS_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    simulate = commands.add_parser("simulate", help="play many histories on all cores, and say what they covered")
    simulate.add_argument("--histories", type=int, default=2000)
    simulate.add_argument("--seed", type=int, default=None)
    simulate.add_argument("--skip", type=int, default=0, help="go on after so many histories of the seed")
    simulate.add_argument("--processes", type=int, default=os.cpu_count())
    simulate.set_defaults(run=run_simulate)
    find = commands.add_parser("find", help="play until a promise is broken; the answer is JSON")
    find.add_argument("--histories", type=int, default=1000)
    find.add_argument("--seed", type=int, default=1)
    find.set_defaults(run=run_find)
    mutate = commands.add_parser("mutate", help="break the code in small ways, and see that it is found out")
    mutate.add_argument("names", nargs="*")
    mutate.add_argument("--histories", type=int, default=3000)
    mutate.set_defaults(run=run_mutate)
    asked = parser.parse_args()
    return asked.run(asked)


def run_simulate(asked: argparse.Namespace) -> int:
    number = random.randrange(10**6) if asked.seed is None else asked.seed
    if asked.skip % CHUNK:
        print(f"--skip is {asked.skip}: use a multiple of {CHUNK}", file=sys.stderr)
        return 2
    skipped = f" after the first {asked.skip}" if asked.skip else ""
    print(f"{asked.histories} histories{skipped}, SEED={number}", flush=True)
    chunks = chunks_of(number, asked.skip, asked.histories)
    from simulation.search import Coverage, play_incidents

    if broken := play_incidents():
        print(broken)
        return 1
    gc.collect()
    gc.freeze()  # the garbage collector would look through all modules again and again
    covered, began = Coverage(), time.monotonic()
    said = began
    with multiprocessing.Pool(asked.processes, maxtasksperchild=CHUNKS_OF_A_PROCESS) as pool:
        for coverage, broken in pool.imap_unordered(_play, chunks):
            covered += coverage
            if broken:
                print(broken)
                return 1
            if time.monotonic() - said >= PROGRESS_SECONDS:
                said = time.monotonic()
                print(progress(covered, asked.histories, said - began), flush=True)
    _tell(covered, time.monotonic() - began)
    return 0


def chunks_of(seed: int, skip: int, histories: int) -> list[tuple[int, int]]:
    """How many histories, and the seed of the first. The same after a skip as in one run."""
    return [(min(CHUNK, histories - begun), seed * 1_000_000 + skip + begun) for begun in range(0, histories, CHUNK)]


def _play(chunk: tuple[int, int]) -> tuple:
    from simulation.search import search

    coverage, broken = search(*chunk)
    return coverage, str(broken) if broken else None


def progress(covered, histories: int, seconds: float) -> str:
    """A line for who waits: what was played, at which rate, what it covered, and how long the rest takes."""
    rate = covered.histories / seconds
    left = max(0, histories - covered.histories) / rate
    faults = f"{len(covered.befell)} kinds of faults in {len(covered.places)} places"
    return f"{covered.histories} histories, {rate:.1f} a second, {faults}, {left / 60:.0f} min left"


def _tell(covered, seconds: float) -> None:
    rate = f"{covered.histories / seconds:.0f} a second"
    print(f"{covered.histories} histories ({rate}), {covered.steps} steps, {covered.days:.0f} days")
    print("No promise was broken")
    print("\nExports ended")
    for name, count in covered.exports.most_common():
        print(f"{count:>9}  {name}")
    for kind, heading in {
        "call: ": "Calls of AWS that went wrong",
        "event: ": "Events",
        "job run: ": "Job runs",
        "crawl: ": "Crawls",
        "query: ": "Queries",
        "table export: ": "Table exports",
        "act: ": "What people and the world did",
        "failed: ": "Invocations that failed",
    }.items():
        print(f"\n{heading}")
        for name, count in covered.befell.most_common():
            if name.startswith(kind):
                print(f"{count:>9}  {name.removeprefix(kind)}")
    print(f"\n{len(covered.places)} places where a call went wrong: function, operation and fault")


def run_find(asked: argparse.Namespace) -> int:
    from simulation.search import Coverage, play_incidents, search

    coverage, broken = Coverage(), play_incidents()
    if not broken:
        coverage, broken = search(asked.histories, asked.seed, shrink=False)
    found = {"promise": broken.promise, "what": broken.short} if broken else None
    print(json.dumps({"histories": coverage.histories, "broken": found}))
    return 0


def run_mutate(asked: argparse.Namespace) -> int:
    from simulation.mutate import mutate

    return mutate(asked.names, asked.histories)


if __name__ == "__main__":
    sys.exit(main())
