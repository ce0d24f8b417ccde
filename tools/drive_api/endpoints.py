"""The endpoints: paths, methods, scopes, media types, what an answer is made of."""
import base64
import gzip
import json
import uuid

from . import zstd
from .cases import bad, equal, expect, good
from .server import JSON

SECTION = "HTTP interface: "
CREATE = SECTION + "POST /logs/create/, /logs/"
LIST = SECTION + "GET /logs/list/"
GET = SECTION + "GET /logs/{id}/"
EXPORT = SECTION + "GET /logs/export/"
STREAM = SECTION + "GET /logs/stream/"
HEALTH = SECTION + "GET /health/live, /health/ready"
METRICS = SECTION + "GET /metrics"
OPENAPI = SECTION + "GET /openapi.json"
DOCS = SECTION + "GET /docs/"
READING = [LIST, GET, EXPORT, STREAM]


@good(CREATE)
def both_paths_with_and_without_a_slash(world):
    for path in ["/logs/create/", "/logs/create", "/logs/", "/logs"]:
        world.plain.post({"action": "path.tried"}, path=path).ok(201)


@good(LIST)
def with_and_without_a_slash(world):
    for path in ["/logs/list/", "/logs/list"]:
        answer = world.plain.get(path).ok()
        equal(answer.headers["Content-Type"], JSON)
        equal(set(answer.json()), {"count", "next", "previous", "results", "failed_entries"})


@good(GET)
def one_entry(world):
    sent = {"action": "one.sent", "user_id": "eve", "details": {"b": 1, "a": [None, True]}}
    receipt = world.plain.post(sent).ok(201).json()
    for path in [f"/logs/{receipt['id']}/", f"/logs/{receipt['id']}", f"/logs/{receipt['id'].upper()}/"]:
        entry = world.plain.get(path).ok().json()
        equal({name: entry[name] for name in sent}, sent)
        for name in ["id", "index", "timestamp", "received_at", "signature", "key_id"]:
            equal(entry[name], receipt[name], name)
        equal(entry["verified"], True)


@bad(GET)
def no_such_entry(world):
    server = world.plain
    for name in [str(uuid.uuid4()), "17", "x" * 36, str(uuid.UUID(int=0)), "%00"]:
        server.get(f"/logs/{name}/").problem(404, "not-found")
    receipt = server.post({"action": "another's"}).ok(201).json()
    path = f"/logs/{receipt['id']}/"
    server.get(path, server.token("nobody", "user")).problem(404, "not-found")
    server.get(path, server.token(tenant="other")).problem(404, "not-found")
    server.get(path, verbose="1").parameter("verbose")


@good(EXPORT)
def exported_and_recorded(world):
    server = world.plain
    for path in ["/logs/export/", "/logs/export"]:
        size = server.size()
        answer = server.get(path, server.token("exporter", "auditor"), outcome="denied").ok()
        equal(answer.headers["Content-Type"], JSON)
        equal(int(answer.headers["X-AuditTrail-Tree-Size"]), size)
        equal(answer.headers["Content-Disposition"], f'attachment; filename="audittrail-{size}.json"')
        equal(server.size(), size + 1, "what is recorded")
        record = server.list(order="-index", page_size="1")["results"][0]
        equal((record["action"], record["user_id"]), ("audittrail.export", "exporter"))
        equal(record["details"],
              {"filter": {"outcome": "denied"}, "format": "json", "tree_size": size})


@good(EXPORT)
def head_exports_nothing(world):
    size = world.plain.size()
    for path in ["/logs/export/", "/logs/export"]:
        answer, body = world.plain.call("HEAD", path, checked=False)
        equal((answer.status, body, answer.headers["X-AuditTrail-Tree-Size"]), (200, b"", str(size)))
    equal(world.plain.size(), size, "HEAD was recorded")


@good(STREAM)
def new_entries(world):
    for path in ["/logs/stream/", "/logs/stream"]:
        with world.plain.stream(action="stream.tried") as stream:
            equal(stream.answer.headers["Content-Type"], "text/event-stream")
            equal(stream.answer.headers["X-Accel-Buffering"], "no")
            expect("no-store" in stream.answer.headers["Cache-Control"])
            equal(stream.event(), (None, None), "the first event")
            receipt = world.plain.post({"action": "stream.tried", "resource": path}).ok(201).json()
            equal(stream.entries(1)[0]["index"], receipt["index"])


def path_of(row):
    return row.removeprefix(SECTION + "GET ").replace("{id}", str(uuid.uuid4()))


def reading_refusals(row):
    @bad(row)
    def not_acceptable(world):
        size = world.plain.size()
        for accept in ["image/png", "text/html, application/xml;q=0.9", "*/*;q=0"]:
            world.plain.get(path_of(row), headers={"Accept": accept}).problem(406, "not-acceptable")
        equal(world.plain.size(), size, "entries in the log")

    @bad(row)
    def methods(world):
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"]:
            answer = world.plain.call(method, path_of(row))
            answer.problem(405, "method-not-allowed")
            expect("GET" in answer.headers["Allow"], answer.headers["Allow"])

    @bad(row)
    def without_a_token(world):
        answer = world.plain.get(path_of(row), None).problem(401, "unauthenticated")
        # RFC 6750: no error code where there was no token.
        equal(answer.headers["WWW-Authenticate"], 'Bearer realm="audittrail"')

    @bad(row)
    def an_unknown_parameter(world):
        world.plain.get(path_of(row), colour="red").parameter("colour")


for one in READING:
    reading_refusals(one)


@bad(CREATE)
def methods(world):
    for path in ["/logs/create/", "/logs/"]:
        for method in ["GET", "HEAD", "PUT", "DELETE"]:
            answer, _ = world.plain.call(method, path, checked=False)
            equal((answer.status, answer.headers["Allow"]), (405, "POST"), method, path)


@bad(CREATE)
def media_types(world):
    server, entry = world.plain, b'{"action":"type.tried"}'
    size = server.size()
    for kind in ["text/plain", "application/xml", "application/json; charset=latin-1", ""]:
        server.post(entry, kind=kind).problem(415, "unsupported-media-type")
    server.call("POST", "/logs/", entry).problem(415, "unsupported-media-type")
    answer = server.post(entry, headers={"Content-Encoding": "br"})
    answer.problem(415, "unsupported-media-type")
    equal({one.strip() for one in answer.headers["Accept-Encoding"].split(",")} >= {"gzip", "zstd"},
          True, answer.headers["Accept-Encoding"])
    equal(server.size(), size, "entries in the log")
    server.post(entry, kind="Application/JSON; charset=UTF-8").ok(201)


@bad(CREATE)
def without_a_token(world):
    size = world.plain.size()
    world.plain.post({"action": "a"}, None).problem(401, "unauthenticated")
    equal(world.plain.size(), size)


@good(HEALTH)
def health(world):
    for name in ["live", "ready"]:
        for slash in ["", "/"]:
            answer = world.plain.get(f"/health/{name}{slash}", None).ok()
            equal(answer.json(), {"status": name})


@bad(HEALTH)
def no_other_health(world):
    world.plain.get("/health/", None).problem(404, "not-found")
    world.plain.get("/health/dead", None).problem(404, "not-found")
    world.plain.call("POST", "/health/live", token=None).problem(405, "method-not-allowed")


@good(METRICS)
def text_format(world):
    answer, body = world.plain.call("GET", "/metrics", token=None, checked=False)
    equal(answer.status, 200)
    expect(answer.headers["Content-Type"].startswith("text/plain"), answer.headers["Content-Type"])
    expect(b"# TYPE audittrail_log_entries gauge" in body)


@bad(METRICS)
def not_on_the_listener_of_the_api(world):
    server = world.server("--metrics-listen", "127.0.0.1:0")
    server.get("/metrics", None).problem(404, "not-found")
    expect("/metrics" not in server.get("/openapi.json", None).json()["paths"])
    world.discard(server)
    answer, _ = world.plain.call("POST", "/metrics", token=None, checked=False)
    equal(answer.status, 405, "the status of POST")


@good(OPENAPI)
def describes_this_server(world):
    answer = world.plain.get("/openapi.json", None).ok()
    equal(answer.headers["Content-Type"], JSON)
    document = answer.json()
    equal(document["openapi"][:3], "3.1")
    version = world.run("--version").stdout.split()[1]
    equal(document["info"]["version"], version)
    # Every endpoint of the table is in it.
    for path in ["/logs/create/", "/logs/list/", "/logs/{id}/", "/logs/export/", "/logs/stream/",
                 "/health/live", "/health/ready"]:
        expect(path in document["paths"], f"{path} is missing")


@bad(OPENAPI)
def only_get(world):
    world.plain.call("POST", "/openapi.json", b"{}", None).problem(405, "method-not-allowed")
    world.plain.get("/openapi.yaml", None).problem(404, "not-found")


@good(DOCS)
def the_page(world):
    answer, _ = world.plain.call("GET", "/docs", token=None, checked=False)
    equal((answer.status, answer.headers["Location"]), (308, "docs/"), "without the slash")
    answer, body = world.plain.call("GET", "/docs/", token=None, checked=False)
    equal(answer.status, 200)
    expect(answer.headers["Content-Type"].startswith("text/html"), answer.headers["Content-Type"])
    policy = answer.headers["Content-Security-Policy"]
    expect("default-src 'none'" in policy, policy)
    expect(b"<title>" in body)


@bad(DOCS)
def no_file_of_another_name(world):
    for name in ["nothing.js", "..%2f..%2fetc%2fpasswd", "swagger-ui.css/x"]:
        world.plain.get(f"/docs/{name}", None).problem(404, "not-found")
    world.plain.call("DELETE", "/docs/", token=None).problem(405, "method-not-allowed")


@bad(LIST)
def paths_that_are_not_there(world):
    for path in ["/", "/logs/list/x/", "/Logs/list/", "/logs//list/", "/logs/list//"]:
        world.plain.get(path).problem(404, "not-found")


@good(CREATE)
def options(world):
    answer, _ = world.plain.call("OPTIONS", "/logs/create/", token=None, checked=False)
    equal((answer.status, answer.headers["Allow"]), (204, "POST"))


@good(CREATE)
def compressed_bodies(world):
    lines = b'{"action":"packed.a"}\n{"action":"packed.b"}\n'
    middle = lines.index(b"\n") + 1
    for coding, body in [
        ("gzip", gzip.compress(lines)),
        ("x-gzip", gzip.compress(lines)),
        # Two members, two frames.
        ("gzip", gzip.compress(lines[:middle]) + gzip.compress(lines[middle:])),
        ("zstd", zstd.frame(lines)),
        ("zstd", zstd.frame(lines[:middle]) + zstd.frame(lines[middle:])),
    ]:
        answer = world.plain.post(body, kind="application/x-ndjson",
                                  headers={"Content-Encoding": coding})
        if coding == "x-gzip" and answer.status == 415:
            continue
        equal(answer.ok(201).json()["count"], 2, coding)


@good(LIST)
def compressed_answers(world):
    world.plain.post([{"action": "filler"}] * 20).ok(201)
    plain = world.plain.get("/logs/list/", order="index", index_to="15").ok()
    packed = world.plain.get("/logs/list/", headers={"Accept-Encoding": "gzip"}, order="index",
                             index_to="15").ok()
    equal(packed.headers["Content-Encoding"], "gzip")
    expect("accept-encoding" in packed.headers["Vary"].lower())
    equal(results(gzip.decompress(packed.body)), results(plain.body))
    packed = world.plain.get("/logs/list/", headers={"Accept-Encoding": "zstd"}, order="index",
                             index_to="15").ok()
    equal(packed.headers["Content-Encoding"], "zstd")
    equal(packed.body[:4], bytes.fromhex("28b52ffd"), "zstd's magic number")
    unpacked = zstd.unpacked(packed.body)
    if unpacked is not None:
        equal(results(unpacked), results(plain.body))


def results(body):
    return json.loads(body)["results"]


@good(CREATE)
def the_receipt(world):
    answer = world.plain.post({"action": "receipt.read"}).ok(201)
    receipt = answer.json()
    equal(set(receipt), {"id", "index", "leaf_hash", "timestamp", "received_at", "signature",
                         "key_id", "ack"})
    equal(len(base64.b64decode(receipt["leaf_hash"], validate=True)), 32)
    equal(uuid.UUID(receipt["id"]).version, 7)
    equal(answer.headers["Location"], f"/logs/{receipt['id']}/")
    equal(receipt["timestamp"], receipt["received_at"], "the default of timestamp")
    equal(world.plain.get(answer.headers["Location"]).ok().json()["index"], receipt["index"])


@good(CREATE)
def the_id_of_the_request(world):
    answer = world.plain.post({"action": "id.tried"}, headers={"X-Request-Id": "Ab-1_2.3:4"})
    equal(answer.ok(201).headers["X-Request-Id"], "Ab-1_2.3:4")
    for bad_id in ["with blank", "x" * 129, "ä".encode("latin-1").decode("latin-1")]:
        answer, _ = world.plain.call("GET", "/health/live", token=None, checked=False,
                                     headers={"X-Request-Id": bad_id})
        expect(answer.headers["X-Request-Id"] not in (None, bad_id), "an id was taken over")
