"""Bounds on connections, and what stands before the server: each setting's effect and its refusal."""
import select
import socket

from .cases import add, bad, equal, expect, good, until
from .problems import ENTRY, head
from .server import parsed, read_all

SECTION, PROXY = "Connections: ", "Behind a proxy: "
TIMES = ["", "5", "s", "0s", "-1s", "1.5s", "1d", "fast"]
# What cannot be used: the server does not start, and names the setting.
UNUSABLE = {
    SECTION + "AUDITTRAIL_MAX_CONNECTIONS": ["0", "1000001", "-1", "many", ""],
    SECTION + "AUDITTRAIL_MAX_STREAMS": ["-1", "many", ""],
    SECTION + "AUDITTRAIL_HEAD_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_BODY_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_REQUEST_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_IDLE_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_WRITE_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_SHUTDOWN_TIMEOUT": TIMES,
    SECTION + "AUDITTRAIL_RATE_LIMIT": ["", "50", "0/s", "50/d", "-1/s", "x/s"],
    PROXY + "AUDITTRAIL_PUBLIC_URL": ["", "audit.test", "ftp://audit.test", "http://", "http://a/?b"],
    PROXY + "AUDITTRAIL_BASE_PATH": ["audit", "/a//b", "/a b", "/{a}", "/a?b"],
    PROXY + "AUDITTRAIL_TRUSTED_PROXIES": ["localhost", "10.0.0.0/33", "10.0.0.1;10.0.0.2"],
}


def unusable(variable, values):
    def check(world):
        for value in values:
            run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                            "--data", world.home + "/none", settings={variable: value})
            expect(run.returncode == 2, variable, repr(value), "ends with", run.returncode, run.stderr)
            name = variable.removeprefix("AUDITTRAIL_").lower().replace("_", "-")
            expect(name in run.stderr, "it does not name", name, ":", run.stderr)
            equal(run.stdout, "")
    return check


for row, values in UNUSABLE.items():
    add(row, False, "values that cannot be used", unusable(row.split(": ")[1], values))


def closed(connection, seconds=60):
    """That the server closes it."""
    connection.settimeout(seconds)
    try:
        return read_all(connection)
    except ConnectionResetError:
        return b""


@good(SECTION + "AUDITTRAIL_MAX_CONNECTIONS")
def one_waits_until_another_ends(world):
    server = world.server(settings={"AUDITTRAIL_MAX_CONNECTIONS": "2"})
    request = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.connect() as one, server.connect() as two, server.connect() as three:
        for connection in (one, two):
            connection.sendall(request)
            expect(connection.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
        three.sendall(request)
        # Nothing comes, however long one waits; a moment is enough to see it come.
        equal(select.select([three], [], [], 0.3)[0], [], "the third is served at once")
        one.close()
        expect(three.recv(1 << 16).startswith(b"HTTP/1.1 200 "), "the third is not served")
    world.discard(server)


@good(SECTION + "AUDITTRAIL_MAX_STREAMS")
def places_of_one_caller(world):
    server = world.server(settings={"AUDITTRAIL_MAX_STREAMS": "24"})
    streams = [server.stream() for _ in range(3)]
    equal([stream.event() for stream in streams], [(None, None)] * 3)
    server.stream().response.problem(429, "too-many-streams")
    for stream in streams:
        stream.close()
    world.discard(server)


OVERDUE = 'audittrail_http_connections_overdue_total{reason="%s"}'


def slow_head(world):
    """One that arrives in its time is answered; one that does not is cut off."""
    server = world.shared("hasty", hasty)
    server.get("/logs/list/").ok()
    with server.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n")
        came = closed(connection)
        expect(not came or b" 408 " in came.split(b"\r\n")[0], came)
    until(lambda: server.metrics()[0].get(OVERDUE % "no request came in time"), "it is counted")


def slow_body(world):
    server = world.shared("hasty", hasty)
    server.post(ENTRY).ok(201)
    with server.connect() as connection:
        connection.sendall(head(server, f"Content-Length: {len(ENTRY) + 1}") + ENTRY)
        parsed(closed(connection)).problem(400, "incomplete-body")


def idle(world):
    server = world.shared("hasty", hasty)
    with server.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        came = closed(connection)
        expect(came.startswith(b"HTTP/1.1 200 ") and b"connection: close" not in came.lower(), came)


def deaf_client(world):
    """It asks for more than sockets hold, and takes nothing."""
    server = world.shared("hasty", hasty)
    large = [{"action": "large.sent", "details": {"x": "x" * 200_000}}] * 100
    server.post(large).ok(201)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = server.address.split(":")
        connection.connect((host, int(port)))
        connection.sendall(head(server, method="GET", path="/logs/export/?format=ndjson"))
        until(lambda: server.metrics()[0].get(OVERDUE % "the client no longer reads"), "the end")
    # Who takes it gets all of it.
    lines = server.get("/logs/export/", format="ndjson", action="large.sent").ok().body
    equal(lines.count(b"\n"), 100)


def hasty(world):
    return world.server(settings={
        "AUDITTRAIL_HEAD_TIMEOUT": "2s", "AUDITTRAIL_BODY_TIMEOUT": "300ms",
        "AUDITTRAIL_IDLE_TIMEOUT": "300ms", "AUDITTRAIL_WRITE_TIMEOUT": "500ms"})


good(SECTION + "AUDITTRAIL_HEAD_TIMEOUT")(slow_head)
good(SECTION + "AUDITTRAIL_BODY_TIMEOUT")(slow_body)
good(SECTION + "AUDITTRAIL_IDLE_TIMEOUT")(idle)
good(SECTION + "AUDITTRAIL_WRITE_TIMEOUT")(deaf_client)


@good(SECTION + "AUDITTRAIL_REQUEST_TIMEOUT")
def a_whole_body_in_its_time(world):
    """Each part comes in time, all of them do not."""
    server = world.server(settings={"AUDITTRAIL_REQUEST_TIMEOUT": "1s"})
    server.post(ENTRY).ok(201)
    with server.connect() as connection:
        connection.sendall(head(server, f"Content-Length: {1 << 20}"))
        while not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(b" ")
        parsed(closed(connection)).problem(400, "incomplete-body")
    equal(server.size(), 1)
    world.discard(server)


@good(SECTION + "AUDITTRAIL_SHUTDOWN_TIMEOUT")
def requests_under_way(world):
    """One that ends in the time is finished; one that does not is given up."""
    server = world.server(settings={"AUDITTRAIL_SHUTDOWN_TIMEOUT": "60s"})
    with server.connect() as connection:
        connection.sendall(head(server, f"Content-Length: {len(ENTRY)}") + ENTRY[:5])
        server.post(ENTRY).ok(201)  # By now the other has been accepted.
        server.process.terminate()
        until(lambda: refused(server), "an end of accepting")
        connection.sendall(ENTRY[5:])
        answer = parsed(closed(connection)).ok(201)
    equal(server.process.wait(60), 0)
    server.start()
    server.get(answer.headers["Location"]).ok()
    server.stop()
    server.settings["AUDITTRAIL_SHUTDOWN_TIMEOUT"] = "200ms"
    server.start()
    with server.connect() as connection:
        connection.sendall(head(server, f"Content-Length: {len(ENTRY)}") + ENTRY[:5])
        server.post(ENTRY).ok(201)
        server.process.terminate()
        server.process.wait(60)
        equal(b"201" in closed(connection), False)
    server.start()
    equal(server.size(), 3, "entries in the log")
    world.discard(server)


def refused(server):
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@good(SECTION + "AUDITTRAIL_RATE_LIMIT")
def all_at_once(world):
    server = world.server(settings={"AUDITTRAIL_RATE_LIMIT": "5/h"})
    statuses = [server.get("/logs/list/").status for _ in range(6)]
    equal(statuses, [200] * 5 + [429])
    world.discard(server)


def behind(world):
    return world.server(settings={"AUDITTRAIL_TRUSTED_PROXIES": "127.0.0.0/8, ::1",
                                  "AUDITTRAIL_RATE_LIMIT": "1000/h"})


@good(PROXY + "AUDITTRAIL_PUBLIC_URL")
def links_begin_with_it(world):
    server = world.server(settings={"AUDITTRAIL_PUBLIC_URL": "https://audit.test/log/"})
    answer = server.post({"action": "a"}).ok(201)
    equal(answer.headers["Location"], f"https://audit.test/log/logs/{answer.json()['id']}/")
    server.post({"action": "b"}).ok(201)
    page = server.list(page_size="1", order="index")
    for name in ["next", "resume"]:
        expect(page[name].startswith("https://audit.test/log/logs/list/?"), page[name])
    document = server.get("/openapi.json", None).ok().json()
    equal(document["servers"][0]["url"].rstrip("/"), "https://audit.test/log")
    world.discard(server)


@good(PROXY + "AUDITTRAIL_BASE_PATH")
def every_path_is_below_it(world):
    server = world.server(settings={"AUDITTRAIL_BASE_PATH": "/audit/log"})
    answer = server.post({"action": "a"}, path="/audit/log/logs/").ok(201)
    equal(answer.headers["Location"], f"/audit/log/logs/{answer.json()['id']}/")
    server.get(answer.headers["Location"]).ok()
    server.post({"action": "b"}, path="/audit/log/logs/create").ok(201)
    page = server.get("/audit/log/logs/list/", page_size="1").ok().json()
    expect(page["next"].startswith(server.url + "/audit/log/logs/list/?"), page["next"])
    equal(len(server.follow(page["next"])["results"]), 1)
    server.get("/logs/list/").problem(404, "not-found")
    for path in ["/health/ready", "/audit/log/health/ready"]:
        server.get(path, None).ok()
    world.discard(server)


def next_link(server, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    page = server.get("/logs/list/", headers=headers, page_size="1").ok().json()
    return page["next"].split("/logs/")[0]


@good(PROXY + "AUDITTRAIL_TRUSTED_PROXIES")
def what_a_trusted_one_says(world):
    server = world.shared("behind", behind)
    server.post([{"action": "a"}] * 2).ok(201)
    own = "http://" + server.address
    equal(next_link(server), own)
    equal(next_link(server, X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https",
                    X_Forwarded_Host="a.test"), "https://a.test")
    equal(next_link(server, Forwarded="for=192.0.2.1;proto=https;host=b.test"), "https://b.test")
    # The rightmost that is no trusted proxy.
    equal(next_link(server, Forwarded="for=192.0.2.9;host=evil.test, for=192.0.2.1;host=c.test, "
                                      "for=127.0.0.2;host=d.test"), "http://c.test")


@bad(PROXY + "AUDITTRAIL_TRUSTED_PROXIES")
def what_others_say(world):
    server = world.plain
    server.post([{"action": "a"}] * 2).ok(201)
    equal(next_link(server, X_Forwarded_For="192.0.2.1", X_Forwarded_Host="evil.test",
                    Forwarded="for=192.0.2.1;host=evil.test"), "http://" + server.address)
    # Both, of different clients: neither is believed.
    server = world.shared("behind", behind)
    server.post([{"action": "a"}] * 2).ok(201)
    equal(next_link(server, X_Forwarded_For="192.0.2.1", X_Forwarded_Host="evil.test",
                    Forwarded="for=192.0.2.2;host=evil.test"), "http://" + server.address)
