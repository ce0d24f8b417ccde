"""The problems: for each slug a request that gets it, and its neighbour that does not."""
import gzip
import json
import resource
import select
import uuid
from concurrent.futures import ThreadPoolExecutor

from . import zstd
from .cases import bad, equal, expect, good, until
from .halted import Halted
from .server import JSON, LINES, parsed, read_all
from .tokens import issued, issuer, issuer_is_down

SECTION = "Errors: "
ENTRY = b'{"action":"problem.tried"}'


def both(slug, taken, refused):
    """A good case and a bad one of a slug's row."""
    good(SECTION + slug)(taken)
    bad(SECTION + slug)(refused)


def head(server, *fields, method="POST", path="/logs/", host="Host: a\r\n"):
    lines = "".join(field + "\r\n" for field in fields)
    return (f"{method} {path} HTTP/1.1\r\n{host}Authorization: Bearer {server.token()}\r\n"
            f"Content-Type: {JSON}\r\n{lines}\r\n").encode()


def kept(world, ask):
    """That nothing is stored by what is asked."""
    size = world.plain.size()
    answer = ask(world.plain)
    equal(world.plain.size(), size, "entries in the log")
    return answer


def chunked(world):
    body = b"1a\r\n" + ENTRY + b"\r\n0\r\n\r\n"
    data = head(world.plain, "Transfer-Encoding: chunked", "Connection: close") + body
    expect(b"HTTP/1.1 201 " in world.plain.raw(data))


def framed_in_two_ways(world):
    server, length = world.plain, f"Content-Length: {len(ENTRY)}"
    for fields, host in [(("Transfer-Encoding: chunked", length), "Host: a\r\n"),
                         ((length, length), "Host: a\r\n"),
                         ((length,), ""), ((length,), "Host: a\r\nHost: b\r\n")]:
        data = head(server, *fields, host=host) + ENTRY
        kept(world, lambda server: parsed(server.raw(data)).problem(400, "malformed-request"))


both("malformed-request", chunked, framed_in_two_ways)


def sound(world):
    world.plain.post(ENTRY).ok(201)


both("invalid-entry", sound, lambda world: kept(
    world, lambda server: server.post(b"{}").problem(400, "invalid-entry", "#/action")))
both("invalid-parameter",
     lambda world: world.plain.get("/logs/list/", action="a", page_size="1").ok(),
     lambda world: world.plain.get("/logs/list/", page_size="many").parameter("page_size"))


def headers_that_can_be_used(world):
    server = world.plain
    server.post(ENTRY, headers={"Idempotency-Key": "a key of 1 to 255 ~"}).ok(201)
    with server.stream(last=-1) as stream:
        expect(stream.entries(1)[0]["index"] == 0)


def headers_that_cannot(world):
    def ask(server):
        for key in ["", "k" * 256, "schlüssel", "a\tb"]:
            server.post(ENTRY, headers={"Idempotency-Key": key}).problem(400, "invalid-header")
        data = head(server, "Idempotency-Key: a", "Idempotency-Key: a", "Connection: close",
                    f"Content-Length: {len(ENTRY)}") + ENTRY
        parsed(server.raw(data)).problem(400, "invalid-header")
        key = {"Idempotency-Key": "of a batch"}
        server.post([{"action": "a"}], headers=key).problem(400, "invalid-header")
        entry = {"action": "a", "id": str(uuid.uuid4())}
        server.post(entry, headers=key).problem(400, "invalid-entry", "#/id")
        server.stream(last="x").response.problem(400, "invalid-header")
    kept(world, ask)


both("invalid-header", headers_that_can_be_used, headers_that_cannot)


def in_parts(world):
    server = world.plain
    with server.connect() as connection:
        connection.sendall(head(server, f"Content-Length: {len(ENTRY)}", "Connection: close"))
        connection.sendall(ENTRY[:9])
        connection.sendall(ENTRY[9:])
        expect(b"HTTP/1.1 201 " in read_all(connection))


def broken_off(world):
    def ask(server):
        data = head(server, f"Content-Length: {len(ENTRY) + 1}") + ENTRY
        # The end of the stream, before the end of the body.
        came = server.raw(data, shut=True)
        if came:
            parsed(came).problem(400, "incomplete-body")
    kept(world, ask)
    # With a bound of its own, a pause is enough.
    server = world.server(settings={"AUDITTRAIL_BODY_TIMEOUT": "200ms"})
    data = head(server, f"Content-Length: {len(ENTRY) + 1}") + ENTRY
    parsed(server.raw(data)).problem(400, "incomplete-body")
    equal(server.size(), 0)
    world.discard(server)


both("incomplete-body", in_parts, broken_off)


def encoded(world):
    server = world.plain
    server.post(gzip.compress(ENTRY), headers={"Content-Encoding": "gzip"}).ok(201)
    server.post(zstd.frame(ENTRY), headers={"Content-Encoding": "zstd"}).ok(201)


def not_what_it_says(world):
    def ask(server):
        for coding, body in [("gzip", gzip.compress(ENTRY)[:-1]), ("gzip", ENTRY),
                             ("gzip", gzip.compress(ENTRY) + b"x"), ("zstd", ENTRY),
                             ("zstd", zstd.frame(ENTRY)[:-1]), ("gzip", b""),
                             ("zstd", zstd.frame(ENTRY) + b"xxxx")]:
            server.post(body, headers={"Content-Encoding": coding}).problem(400, "invalid-encoding")
        damaged = bytearray(gzip.compress(ENTRY))
        damaged[-6] ^= 1  # Of the checksum.
        answer = server.post(bytes(damaged), headers={"Content-Encoding": "gzip"})
        answer.problem(400, "invalid-encoding")
    kept(world, ask)


both("invalid-encoding", encoded, not_what_it_says)
both("unauthenticated", lambda world: world.plain.get("/logs/list/").ok(),
     lambda world: world.plain.get("/logs/list/", "x").problem(401, "unauthenticated"))


def lacks_a_scope(world):
    answer = world.plain.get("/logs/export/", world.plain.token(roles="reader"))
    equal(answer.problem(403, "forbidden").json()["scope"], "logs:export")


both("forbidden",
     lambda world: world.plain.get("/logs/list/", world.plain.token(roles="reader")).ok(),
     lacks_a_scope)


def found(world):
    answer = world.plain.post(ENTRY).ok(201)
    world.plain.get(answer.headers["Location"]).ok()


both("not-found", found,
     lambda world: world.plain.get(f"/logs/{uuid.uuid4()}/").problem(404, "not-found"))


def wrong_method(world):
    answer = world.plain.call("DELETE", "/logs/list/").problem(405, "method-not-allowed")
    equal({one.strip() for one in answer.headers["Allow"].split(",")}, {"GET", "HEAD"})


both("method-not-allowed", lambda world: world.plain.get("/logs/list/").ok(), wrong_method)


def accepted(world):
    for accept in ["application/json", "text/csv, application/*;q=0.1", "*/*", "APPLICATION/JSON"]:
        world.plain.get("/logs/list/", headers={"Accept": accept}).ok()


both("not-acceptable", accepted, lambda world: world.plain.get(
    "/logs/list/", headers={"Accept": "text/html"}).problem(406, "not-acceptable"))


def the_same_again(world):
    entry = {"action": "same", "id": str(uuid.uuid4())}
    equal(world.plain.post(entry).ok(201).json(), world.plain.post(entry).ok(201).json())


def another_under_that_id(world):
    server, entry = world.plain, {"action": "first", "id": str(uuid.uuid4())}
    server.post(entry).ok(201)
    size = server.size()
    answer = server.post([{"action": "a"}, entry | {"action": "second"}])
    answer.problem(409, "id-conflict")
    equal([one["pointer"] for one in answer.json()["errors"]], ["#/1/id"])
    server.post([{"action": "a", "id": entry["id"]}] * 2).problem(409, "id-conflict")
    equal(server.size(), size)


both("id-conflict", the_same_again, another_under_that_id)


def in_the_bounds(world):
    packed = zstd.frame(ENTRY) + zstd.repeated(b" ", 900)
    world.plain.post(packed, headers={"Content-Encoding": "zstd"}).ok(201)


def beyond_the_bounds(world):
    def ask(server):
        packed = zstd.repeated(b" ", 1_025)
        server.post(packed, headers={"Content-Encoding": "zstd"}).problem(413, "body-too-large")
        data = head(server, f"Content-Length: {33 << 20}")
        parsed(server.raw(data)).problem(413, "body-too-large")
    kept(world, ask)


both("body-too-large", in_the_bounds, beyond_the_bounds)
SPACE = 16 << 10
both("uri-too-long",
     lambda world: world.plain.get("/logs/list/?q=" + "a" * (SPACE - len("/logs/list/?q="))).ok(),
     lambda world: world.plain.get(
         "/logs/list/?q=" + "a" * (SPACE - len("/logs/list/?q=") + 1)).problem(414, "uri-too-long"))
both("unsupported-media-type",
     lambda world: world.plain.post(ENTRY, kind="application/json;charset=utf-8").ok(201),
     lambda world: kept(world, lambda server: server.post(ENTRY, kind="text/json").problem(
         415, "unsupported-media-type")))


def key_and_entry_again(world):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    equal(world.plain.post(ENTRY, headers=key).ok(201).json(),
          world.plain.post(b' {"action": "problem.tried"}', headers=key).ok(201).json())


def key_with_another_entry(world):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    world.plain.post(ENTRY, headers=key).ok(201)
    kept(world, lambda server: server.post({"action": "another"}, headers=key).problem(
        422, "idempotency-key-reused"))


both("idempotency-key-reused", key_and_entry_again, key_with_another_entry)


@good(SECTION + "rate-limited")
def other_callers(world):
    world.limited = server = world.server(settings={"AUDITTRAIL_RATE_LIMIT": "3/h"})
    for sub in ["alice", "bob"]:
        for _ in range(3):
            server.get("/logs/list/", server.token(sub)).ok()


@bad(SECTION + "rate-limited")
def too_often(world):
    server = world.limited
    answer = server.get("/logs/list/", server.token("alice")).problem(429, "rate-limited")
    expect(int(answer.headers["Retry-After"]) > 600, answer.headers["Retry-After"])
    # Without a token it is the address.
    for _ in range(3):
        server.get("/logs/list/", "x").problem(401, "unauthenticated")
    server.get("/logs/list/", "x").problem(429, "rate-limited")
    for _ in range(5):
        server.get("/health/ready", None).ok()


@good(SECTION + "too-many-streams")
def an_eighth(world):
    world.narrow = server = world.server(settings={"AUDITTRAIL_MAX_STREAMS": "16"})
    with server.stream() as one, server.stream() as other:
        equal([one.event(), other.event()], [(None, None)] * 2)


@bad(SECTION + "too-many-streams")
def one_more_than_an_eighth(world):
    server = world.narrow
    until(lambda: server.metrics()[0]["audittrail_streams"] == 0, "the end of the streams")
    with server.stream(), server.stream():
        server.stream().response.problem(429, "too-many-streams")
    until(lambda: server.stream().response is None, "a place that is free again")


@good(SECTION + "streams-full")
def as_many_as_may_be(world):
    server = world.narrow
    until(lambda: server.metrics()[0]["audittrail_streams"] == 0, "the end of the streams")
    world.open = [server.stream(server.token(f"caller {number // 2}")) for number in range(16)]
    for stream in world.open:
        equal(stream.event(), (None, None))


@bad(SECTION + "streams-full")
def one_more(world):
    server = world.narrow
    answer = server.stream(server.token("another")).response.problem(503, "streams-full")
    expect(int(answer.headers["Retry-After"]) >= 1)
    for stream in world.open:
        stream.close()
    until(lambda: server.stream(server.token("another")).response is None, "a place")
    world.discard(server)


BODIES = "intake-full"


def held(server):
    """A body of 127 MiB when it is decoded, of which a last block is to come."""
    connection = server.connect()
    body = zstd.repeated(b" ", 1_016, end=False)
    connection.sendall(head(server, "Content-Encoding: zstd", "Connection: close",
                            f"Content-Length: {len(body) + 4}") + body)
    return connection


@bad(SECTION + BODIES)
def more_bodies_than_memory(world):
    """256 MiB is for all bodies: of three of 127 MiB that wait for their end one is refused."""
    world.full = server = world.server(settings={"AUDITTRAIL_BODY_TIMEOUT": "5m"})
    connections = [held(server) for _ in range(3)]
    ready, _, _ = select.select(connections, [], [], 60)
    expect(len(ready) == 1, len(ready), "answers")
    answer = parsed(read_all(ready[0])).problem(503, "intake-full")
    expect(int(answer.headers["Retry-After"]) >= 1)
    equal(server.size(), 0, "entries in the log")
    for connection in connections:
        connection.close()


@good(SECTION + BODIES)
def when_there_is_room_again(world):
    def taken():
        answer = world.full.post(zstd.frame(ENTRY) + zstd.repeated(b" ", 1_000),
                                 headers={"Content-Encoding": "zstd"})
        return answer.status == 201 or answer.problem(503, "intake-full") is None
    until(taken, "room")
    world.discard(world.full)


@good(SECTION + "unavailable")
def room_on_the_disk(world):
    world.cramped = server = cramped(world)
    server.post(ENTRY).ok(201)


@bad(SECTION + "unavailable")
def no_room_on_the_disk(world):
    """Refused as a whole; what fits is taken again, and the log is sound."""
    server = world.cramped
    large = {"action": "too.much", "details": {"x": "x" * LIMIT}}
    answer = server.post([{"action": "small"}, large]).problem(503, "unavailable")
    expect(int(answer.headers["Retry-After"]) >= 1)
    equal(server.size(), 1, "entries in the log")
    server.post(ENTRY).ok(201)
    world.discard(server)
    equal(world.run("fsck", "--data", server.data).returncode, 0, "fsck")


LIMIT = 200_000


def cramped(world):
    """A limit on the size of files is a disk that is full."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))  # noqa: E731
    return world.server(before=limit)


both("keys-unavailable",
     lambda world: world.shared("issuer", issuer).get(
         "/logs/list/", issued()["forever"]["rsa"]).ok(),
     lambda world: world.shared("down", issuer_is_down).get(
         "/logs/list/", issued()["forever"]["rsa"]).problem(503, "keys-unavailable"))

# The threads of the sequencer and the search index.
SEQUENCER = "audittrail"


@bad(SECTION + "outcome-unknown")
def a_commit_that_does_not_come(world):
    world.slow = server = world.server(settings={"AUDITTRAIL_REQUEST_TIMEOUT": "1s"})
    world.entries = [{"action": "slow.sent", "resource": str(number)} for number in range(3)]
    with Halted(server, SEQUENCER):
        answer = server.post(world.entries).problem(504, "outcome-unknown")
    world.ids = answer.json()["ids"]
    equal(len(world.ids), 3)


@good(SECTION + "outcome-unknown")
def sent_again_with_its_ids(world):
    """Nothing is stored twice, whatever became of it."""
    server = world.slow
    entries = [entry | {"id": one} for entry, one in zip(world.entries, world.ids)]

    def answered():
        answer = server.post(entries)
        return answer if answer.status == 201 else answer.problem(504, "outcome-unknown") and None
    receipt = until(answered, "an answer").json()
    equal([one["id"] for one in receipt["results"]], world.ids)
    page = server.list(order="index")
    equal([one["id"] for one in page["results"]], world.ids)


@bad(SECTION + "not-ready")
def as_many_entries_wait_as_may(world):
    """Commits are late, and over 16,384 entries wait for theirs: nothing more is taken, and said so."""
    server, batches = world.slow, [b'{"action":"wait"}\n' * 4_000] * 4
    with Halted(server, SEQUENCER), ThreadPoolExecutor(4) as senders:
        def not_ready():
            for answer in senders.map(lambda body: server.post(body, kind=LINES), batches):
                answer.problem(*((503, "intake-full") if answer.status == 503 else (504, "outcome-unknown")))
            answer = server.get("/health/ready", None)
            return answer if answer.status != 200 else None
        answer = until(not_ready, "that it is not ready").problem(503, "not-ready")
        expect(int(answer.headers["Retry-After"]) >= 1)
        server.post(ENTRY).problem(503, "intake-full")
        server.get("/health/live", None).ok()
        asked = world.run("health", "--url", server.url)
        equal((asked.returncode, asked.stdout), (1, ""), "audittrail health")


@good(SECTION + "not-ready")
def ready_again(world):
    server = world.slow
    until(lambda: server.get("/health/ready", None).status == 200, "that it is ready")
    world.discard(server, kill=True)
