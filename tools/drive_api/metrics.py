"""Metrics: each is there with its type, moves with what it counts, and with nothing else."""
import re

from . import tables
from .cases import add, bad, equal, expect, good, until
from .commands import tampered
from .edge import OVERDUE, hasty
from .tokens import issuer, issuer_is_down

SECTION = "Metrics: "


def row(*names):
    return SECTION + ", ".join("audittrail_" + name for name in names)


def value(server, name):
    return server.metrics()[0].get("audittrail_" + name, 0)


def moves(name, act, by, rest=None):
    """Doing `act` moves it by so much (a function says whether it is enough); `rest` does not."""
    def moved(world):
        before = value(world.plain, name)
        act(world.plain)
        until(lambda: by(value(world.plain, name) - before), f"{name} moves")
    add(row(name.split("{")[0].removesuffix("_count")), True, "moves", moved)
    if rest:
        def stays(world):
            before = value(world.plain, name)
            rest(world.plain)
            equal(value(world.plain, name), before, name)
        add(row(name.split("{")[0].removesuffix("_count")), False, "stays", stays)


def three(server):
    server.post([{"action": "metric.tried"}] * 3, ack="published").ok(201)


def none(server):
    server.post([{"action": "a"}, {"action": ""}]).problem(400, "invalid-entry")


def by(number):
    return lambda moved: moved == number


def up(moved):
    return moved > 0


def listed(server):
    server.list(page_size="2", order="index")


def unlisted(server):
    server.get("/logs/list/", page_size="0").parameter("page_size")


def streamed(server):
    with server.stream(action="metric.tried") as stream:
        server.post([{"action": "metric.tried"}] * 2 + [{"action": "other"}]).ok(201)
        stream.entries(2)


moves("entries_committed_total", three, by(3), none)
moves("entries_refused_total", none, by(1), three)
moves("entries_read_total", listed, by(2), unlisted)
moves("stream_entries_total", streamed, by(2), three)
moves("search_duration_seconds_count", listed, up, unlisted)
COMMITS = ("commit_duration_seconds", "commit_entries")


def commits(world):
    for name in COMMITS:
        before = value(world.plain, name + "_count")
        three(world.plain)
        equal(value(world.plain, name + "_count"), before + 1, name)


@good(row(*COMMITS))
def one_for_a_batch(world):
    commits(world)
    before = value(world.plain, "commit_entries_sum")
    three(world.plain)
    equal(value(world.plain, "commit_entries_sum"), before + 3)


@bad(row(*COMMITS))
def none_for_what_is_refused(world):
    before = value(world.plain, "commit_duration_seconds_count")
    none(world.plain)
    equal(value(world.plain, "commit_duration_seconds_count"), before)


SIZES = row("log_entries", "checkpoint_entries")


@good(SIZES)
def the_size_of_the_log(world):
    before = value(world.plain, "log_entries")
    three(world.plain)
    equal(value(world.plain, "log_entries"), before + 3)
    until(lambda: value(world.plain, "checkpoint_entries") == before + 3, "the checkpoint")


@bad(SIZES)
def not_of_what_is_refused(world):
    before = value(world.plain, "log_entries")
    none(world.plain)
    equal(value(world.plain, "log_entries"), before)


FAILURES, FAILED = row("verification_failures_total"), row("failed_entries")


@good(FAILURES)
def each_time_one_is_read(world):
    server = world.shared("changed", tampered)
    before = value(server, "verification_failures_total")
    for _ in range(2):
        server.list()
    expect(value(server, "verification_failures_total") >= before + 2)


@good(FAILED)
def those_that_are_known(world):
    server = world.shared("changed", tampered)
    server.list()
    equal(value(server, "failed_entries"), 1)


def sound(world):
    listed(world.plain)
    for name in ["verification_failures_total", "failed_entries"]:
        found, _ = world.plain.metrics()
        equal(found["audittrail_" + name], 0, name)


bad(FAILURES)(sound)
bad(FAILED)(sound)


@good(row("streams"))
def open_ones(world):
    until(lambda: value(world.plain, "streams") == 0, "no stream is open")
    with world.plain.stream() as one, world.plain.stream() as two:
        equal([one.event(), two.event()], [(None, None)] * 2)
        equal(value(world.plain, "streams"), 2)
    # The server notices the end with what it sends next.
    until(lambda: three(world.plain) or value(world.plain, "streams") == 0, "their end")


@bad(row("streams"))
def refused_ones(world):
    world.plain.stream(last="x").response.problem(400, "invalid-header")
    until(lambda: value(world.plain, "streams") == 0, "no stream is open")


@good(row("commit_failures_total"))
def on_a_disk_that_is_full(world):
    from .problems import LIMIT, cramped
    server = cramped(world)
    large = {"action": "a", "details": {"x": "x" * LIMIT}}
    server.post(large).problem(503, "unavailable")
    equal(value(server, 'commit_failures_total{kind="refused"}'), 1)
    equal(value(server, "entries_committed_total"), 0)
    world.discard(server)


@bad(row("commit_failures_total"))
def not_what_is_refused_before(world):
    none(world.plain)
    found = [name for name in world.plain.metrics()[0] if "commit_failures" in name]
    equal(found, [])


@good(row("index_entries"))
def in_files_after_a_restart(world):
    # More than are kept beside the files: world.large has 100,001.
    until(lambda: 0 < value(world.large, "index_entries") <= 100_001, "files of the index")


@bad(row("index_entries"))
def never_more_than_the_log(world):
    expect(value(world.plain, "index_entries") <= value(world.plain, "log_entries"))


@good(row("index_whole"))
def every_entry_is_found(world):
    until(lambda: value(world.plain, "index_whole") == 1, "the index")


@bad(row("index_whole"))
def one_or_zero(world):
    expect(value(world.large, "index_whole") in (0, 1))


@good(row("http_connections"))
def open_connections(world):
    before = value(world.plain, "http_connections")
    connections = [world.plain.connect() for _ in range(3)]
    until(lambda: value(world.plain, "http_connections") >= before + 3, "three more")
    for connection in connections:
        connection.close()
    until(lambda: value(world.plain, "http_connections") <= before, "as many as before")


@bad(row("http_connections"))
def not_those_that_ended(world):
    for _ in range(20):
        world.plain.get("/health/live", None).ok()
    until(lambda: value(world.plain, "http_connections") < 10, "few connections")


@good(row("http_connections_overdue_total"))
def by_reason(world):
    server = world.shared("hasty", hasty)
    name = OVERDUE % "no request came in time"
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        until(lambda: server.metrics()[0].get(name, 0) > 0, "it is counted")


@bad(row("http_connections_overdue_total"))
def not_those_in_time(world):
    world.plain.get("/logs/list/").ok()
    equal([name for name in world.plain.metrics()[0] if "no longer reads" in name], [])


def requests(server, method, path, status):
    labels = f'{{method="{method}",path="{path}",status="{status}"}}'
    return value(server, "http_request_duration_seconds_count" + labels)


@good(row("http_request_duration_seconds"))
def by_method_path_status(world):
    server = world.plain
    before = [requests(server, "GET", "/logs/list", 200), requests(server, "GET", "/logs/{id}", 404)]
    server.get("/logs/list/?action=secret").ok()
    server.get("/logs/secret/").problem(404, "not-found")
    after = [requests(server, "GET", "/logs/list", 200), requests(server, "GET", "/logs/{id}", 404)]
    equal(after, [before[0] + 1, before[1] + 1])


@bad(row("http_request_duration_seconds"))
def tells_nothing_of_what_was_asked(world):
    server = world.plain
    server.get("/nowhere/secret").problem(404, "not-found")
    server.call("BREW", "/logs/list/").problem(405, "method-not-allowed")
    names = server.metrics()[0]
    expect(requests(server, "other", "/logs/list", 405) >= 1)
    equal([name for name in names if "secret" in name or "BREW" in name], [])


SCRUB = row("scrubbed_entries_total", "scrub_rounds_total")


@good(SCRUB)
def a_round_after_a_start(world):
    server = world.server()
    server.post([{"action": "a"}] * 10).ok(201)
    server.restart()
    until(lambda: value(server, "scrub_rounds_total") >= 1, "a round")
    expect(value(server, "scrubbed_entries_total") >= 10)
    world.discard(server)


@bad(SCRUB)
def nothing_to_read(world):
    server = world.server()
    until(lambda: value(server, "scrub_rounds_total") >= 1, "a round")
    equal(value(server, "scrubbed_entries_total"), 0)
    world.discard(server)


@good(row("jwks_refresh_total"))
def readings(world):
    until(lambda: value(world.shared("issuer", issuer),
                        'jwks_refresh_total{outcome="success"}') >= 1, "a reading")


@bad(row("jwks_refresh_total"))
def readings_that_fail(world):
    server = world.shared("down", issuer_is_down)
    until(lambda: value(server, 'jwks_refresh_total{outcome="unreachable"}') >= 1, "a reading")
    equal(value(server, 'jwks_refresh_total{outcome="success"}'), 0)


@good(row("jwks_keys"))
def keys_in_use(world):
    until(lambda: value(world.shared("issuer", issuer), "jwks_keys") >= 3, "keys")


@bad(row("jwks_keys"))
def no_keys(world):
    equal(value(world.shared("down", issuer_is_down), "jwks_keys"), 0)


@good(row("build_info"))
def the_version(world):
    version = world.run("--version").stdout.split()[1]
    equal(value(world.plain, f'build_info{{version="{version}"}}'), 1)


@bad(row("build_info"))
def all_are_documented_with_their_type(world):
    """No metric that docs/api.md does not have, and none of another type."""
    kinds = tables.column(world.docs, "Metrics", 1)
    documented = {name: kind for names, kind in kinds.items() for name in names.split(", ")}
    for server in [world.plain, world.shared("issuer", issuer), world.shared("hasty", hasty)]:
        for name, kind in server.metrics()[1].items():
            equal(documented.get(name), kind, name)
            expect(re.fullmatch(r"audittrail_[a-z_]+", name), name)


