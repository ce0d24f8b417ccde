"""What clients and health checks saw of one row, as numbers and as a table."""

COMMITS = ("committed", "published")


def longest(times, begun, ended):
    """The longest time without one of them, as (from, to)."""
    times = [begun, *sorted(one for one in times if begun < one < ended), ended]
    return max(zip(times, times[1:]), key=lambda pair: pair[1] - pair[0])


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def measure(answers, health, begun, marked, healed, ended):
    """answers: (at, ack or status, seconds); health: (at, node, ready, why). Seconds throughout.

    without: the longest time without a commit from the fault on, and `gaps` the same by each ack;
    said_from, said_to: when, from the fault on, a node first and last said that it is not ready;
    back: when the first commit came after that gap; slowest: the longest that one answer of success
    took, which the gap does not show where others were answered meanwhile."""
    def gap(acks):
        times = [at for at, what, _ in answers if what in acks]
        return longest([*times, marked], marked - 1, max(ended, marked))
    first, last = gap(COMMITS)
    gaps = {ack: gap((ack,)) for ack in (*COMMITS, "queued")}
    # Whom the gap held up has waited for it; the others tell how it is otherwise.
    usual = [taken for at, what, taken in answers
             if what == "committed" and (at < first or at - taken > last)]
    said = [at - marked for at, _, ready, why in health
            if not ready and marked <= at and not why.startswith(("ConnectionRefused", "Connection"))]
    codes = [what for _, what, _ in answers]
    return {
        "without": last - first, "back": last - marked, "healed": healed - marked,
        "gaps": {ack: to - since for ack, (since, to) in gaps.items()},
        "said_from": min(said, default=None), "said_to": max(said, default=None),
        "p50": percentile(usual, 0.5), "p99": percentile(usual, 0.99),
        "503": codes.count(503), "504": codes.count(504),
        "slowest": max((taken for _, what, taken in answers if isinstance(what, str)), default=0.0),
        "answered": sum(1 for what in codes if isinstance(what, str)), "load": ended - begun,
    }


def table(results):
    """Markdown."""
    lines = ["| what | without commits, s | without `queued`, s | slowest answer, s | not ready, s | p50, p99, ms | "
             "answered | 503 | 504 | broken |", "|---|---|---|---|---|---|---|---|---|---|"]
    for one in results:
        said = "no" if one["said_from"] is None else f"{one['said_from']:.1f} to {one['said_to']:.1f}"
        queued = f"{one['gaps']['queued']:.1f}" if one["row"] != "alone-killed" else ""
        lines.append(
            f"| {one['what']} | {one['without']:.1f} | {queued} | {one['slowest']:.1f} | {said} | {one['p50'] * 1000:.0f}, "
            f"{one['p99'] * 1000:.0f} | {one['answered']} | {one['503']} | {one['504']} | "
            f"{one['unknown'] - one['504']} |")
    return "\n".join(lines)
