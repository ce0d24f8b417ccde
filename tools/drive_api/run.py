"""Carries out the cases and says what became of them, a line for each row of the tables."""
import os
import signal
import sys
import tempfile
import time

from . import pairings, tables
from .cases import CASES
from .server import Server
from .world import World

# In the order in which they are carried out.
from . import endpoints, sending, tokens, filters, lists, exports  # noqa: F401
from . import streams, restarts, problems, edge, configured, commands, metrics  # noqa: F401
from . import backups, copies, evidence, monitor, shared, packing, pending, stats, witnesses  # noqa: F401

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "api.md")


def main(binary, words="", pairing=None):
    with open(DOCS, encoding="utf-8") as file:
        text = file.read()
    rows = tables.rows(text)
    pending.forget(rows)
    pending.commands_of(text)
    chosen = [case for case in CASES if words in case.row]
    start = time.monotonic()
    # Whoever ends it: what it started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="drive-api-") as home:
        world = World(os.path.abspath(binary), home, text)
        try:
            if pairing:
                Server.pairing = pairings.Pairing(world, pairing)
                chosen = pairings.of_any_store(chosen)
            for case in chosen:
                case.carry_out(world)
            failures = report(rows, chosen, words)
            absent = pending.absent(world) if not words else ([], [])
        finally:
            world.close()
        panics = [server.home for server in world.servers if "panicked" in server.log()]
    for what in absent[0]:
        print(f"{'not built':>20}  {what}")
    failures += absent[1] + [f"a server panicked: {home}" for home in panics]
    for failure in failures:
        print("FAILED", failure)
    failed = len(failures)
    passed = sum(case.failure is None for case in chosen)
    slowest = sorted(chosen, key=lambda case: -case.seconds)[:5]
    print(f"{len(rows)} rows, {time.monotonic() - start:.0f} s, the longest "
          + ", ".join(f"{case.name} {case.seconds:.1f} s" for case in slowest))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def report(rows, chosen, words):
    failures = []
    for row in [row for row in rows if words in row]:
        mine = [case for case in chosen if case.row == row]
        counts = [sum(case.is_good == kind for case in mine) for kind in (True, False)]
        print(f"good {counts[0]:3}  bad {counts[1]:3}  {row}")
        if not all(counts) and not Server.pairing:
            failures.append(f"{row}: has no {'bad' if counts[0] else 'good'} case in tools/drive_api")
        failures += [f"{row}: {case.name}: {case.failure}" for case in mine if case.failure]
    for case in chosen:
        if case.row not in rows:
            failures.append(f"{case.row}: {case.name}: docs/api.md has no such row")
    return failures
