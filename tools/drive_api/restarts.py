"""What holds across a restart, and across kill -9: receipts, cursors, links, streams."""
import os
import uuid

from .cases import equal, expect, good
from .endpoints import CREATE, EXPORT, GET, LIST, STREAM
from .lists import CURSOR

ENDS = {"a stop": False, "kill -9": True}


def across(row, function):
    for end, crash in ENDS.items():
        def check(world, crash=crash):
            server = world.server()
            function(server, lambda: server.restart(crash))
            server.stop()
            directory = server.data
            if server.pairing:
                directory, settings = os.path.join(server.home, "copy"), server.environment()
                done = world.run("copy", "--from", settings["AUDITTRAIL_STORE"], "--to", directory,
                                 settings={"LOG_SIGNING_KEY": settings["LOG_SIGNING_KEY"]})
                equal(done.returncode, 0, "copy", done.stdout, done.stderr)
                shown = world.run("keys", "--data", server.data).stdout.strip()
                done = world.run("fsck", "--data", directory, "--key", shown,
                                 settings={"LOG_SIGNING_KEY": settings["LOG_SIGNING_KEY"]})
            else:
                done = world.run("fsck", "--data", directory)
            equal(done.returncode, 0, "fsck", done.stdout, done.stderr)
            world.servers.remove(server)
        check.__name__ = f"{function.__name__}_{end}"
        good(row)(check)


def sent_again(server, restart):
    """Every acknowledged entry is there, and comes again with the same receipt."""
    entry = {"action": "again.sent", "id": str(uuid.uuid4()), "timestamp": "2026-01-02T03:04:05Z"}
    late = {"action": "again.late", "id": str(uuid.uuid4())}
    key = {"Idempotency-Key": "across a restart"}
    batch = [{"action": "batch.sent", "id": str(uuid.uuid4())} for _ in range(100)]
    first = [server.post(entry).ok(201).json(), server.post(late).ok(201).json(),
             server.post({"action": "key.sent"}, headers=key).ok(201).json(),
             server.post(batch).ok(201).json()]
    restart()
    again = [server.post(entry).ok(201).json(), server.post(late).ok(201).json(),
             server.post({"action": "key.sent"}, headers=key).ok(201).json(),
             server.post(batch).ok(201).json()]
    equal(again, first, "receipts")
    equal(server.size(), 103, "entries in the log")
    server.post(entry | {"action": "other"}).problem(409, "id-conflict")
    server.post({"action": "other"}, headers=key).problem(422, "idempotency-key-reused")


def cursors(server, restart):
    """Pages before and after are of the same list; the origin of links is the new server's."""
    server.post([{"action": "turn.tried", "resource": str(n)} for n in range(30)]).ok(201)
    page = server.list(page_size="10", action="turn.tried")
    seen = page["results"]
    links = [page["next"].removeprefix(server.url)]
    restart()
    server.post([{"action": "turn.tried"}] * 5).ok(201)
    for _ in range(2):
        page = server.get(links[-1]).ok().json()
        equal(page["count"], 30)
        seen += page["results"]
        links.append((page["next"] or "").removeprefix(server.url))
    equal(links[-1], "")
    equal(sorted(int(one["resource"]) for one in seen), list(range(30)))


def resumed(server, restart):
    """Neither gap nor repeat."""
    with server.stream(action__prefix="live.") as stream:
        server.post([{"action": "live.a"}, {"action": "dead"}, {"action": "live.b"}]).ok(201)
        seen = [one["index"] for one in stream.entries(2)]
        last = stream.last
    server.post([{"action": "live.c"}, {"action": "dead"}, {"action": "live.d"}]).ok(201)
    restart()
    with server.stream(last=last, action__prefix="live.") as stream:
        server.post({"action": "live.e"}).ok(201)
        seen += [one["index"] for one in stream.entries(3)]
    equal(seen, [0, 2, 3, 5, 6])


def read_and_listed(server, restart):
    receipt = server.post({"action": "kept", "details": {"n": [1, "ä"]}}).ok(201).json()
    path = f"/logs/{receipt['id']}/"
    entry, listed = server.get(path).ok().json(), server.list()["results"]
    restart()
    equal(server.get(path).ok().json(), entry)
    equal(server.list()["results"], listed)


def exported(server, restart):
    server.post([{"action": "kept"}] * 20).ok(201)
    before = server.get("/logs/export/", format="ndjson").ok().body
    restart()
    answer = server.get("/logs/export/", format="ndjson").ok()
    equal(answer.headers["X-AuditTrail-Tree-Size"], "21")
    expect(answer.body.startswith(before), "what was exported before")
    expect(b'"audittrail.export"' in answer.body.removeprefix(before), "the record of it")


across(CREATE, sent_again)
across(CURSOR, cursors)
across(STREAM, resumed)
across(GET, read_and_listed)
across(LIST, read_and_listed)
across(EXPORT, exported)
