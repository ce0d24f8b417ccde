"""What is not there yet, or only in some builds: absent it has to be absent everywhere, there it
has to be documented. The cases of its rows are carried out where docs/api.md has the rows."""
import base64
import json
import re
import uuid

from . import model, tables
from .cases import CASES, add, equal, expect
from .commands import ends, talks_to
from .filters import GOOD
from .sending import check_proof

ENDPOINTS = {
    "GET /logs/stats/": ["/logs/stats/", "/logs/stats"],
    "GET /logs/{id}/proof/": [f"/logs/{uuid.uuid4()}/proof/"],
    "GET /checkpoint": ["/checkpoint", "/checkpoint/consistency/"],
    "GET /tile/<L>/<N>": ["/tile/0/000", "/tile/entries/000"],
}
COMMANDS = ["worker", "prove", "verify", "backup", "copy", "bench"]
FLAGS = ["--worker", "--tiles", "--watermark"]
FORMATS = ["parquet", "evidence", "report"]
EVIDENCE = "application/vnd.audittrail.evidence+jsonl"


def documented(world):
    """First cells of the tables in docs/api.md."""
    return [row.split(": ", 1)[1] for row in tables.rows(world.docs)]


def absent(world):
    """What is not built, and what is wrong about it."""
    missing, wrong = [], []
    cells = documented(world)

    def there(what, built, named):
        if built and not named:
            wrong.append(f"{what}: is built, and docs/api.md has no row for it")
        if named and not built:
            wrong.append(f"{what}: docs/api.md has a row, and it is not built")
        if not built and not named:
            missing.append(what)

    for row, paths in ENDPOINTS.items():
        built = any(path.startswith(key(row)) for path in world.document["paths"])
        there(row, built, any(cell.startswith(row) for cell in cells))
        for path in paths if not built else []:
            answer = world.plain.get(path)
            if answer.status != 404 or answer.slug != "not-found":
                wrong.append(f"{path}: is not in openapi.json, and answers {answer.status}")
    for name in sorted({*COMMANDS, *world.commands}):
        named = any(re.match(rf"audittrail {name}\b", cell) for cell in cells)
        there(f"audittrail {name}", name in world.commands, named)
        if name not in world.commands and world.run(name).returncode != 2:
            wrong.append(f"audittrail {name}: is not in --help, and does not end with 2")
    for name in FORMATS:
        answer = world.plain.get("/logs/export/", format=name, action="no.such")
        there(f"format={name}", answer.status == 200, f"{name}" in cells)
    shown = world.run("serve", "--help").stdout + world.run("export", "--help").stdout
    for flag in FLAGS:
        setting = "AUDITTRAIL_" + flag[2:].upper()
        there(setting, flag in shown, any(setting in cell for cell in cells))
    # Every setting has a row, and so has every endpoint of the document.
    settings = set(re.findall(r"AUDITTRAIL_[A-Z_]+", shown))
    wrong += [f"{one}: docs/api.md has no row for this setting" for one in sorted(settings)
              if not any(one in cell for cell in cells)]
    wrong += [f"{path}: docs/api.md has no row for this endpoint" for path in world.document["paths"]
              if not any(key(path) in cell or bare(path) in cell for cell in cells)]
    problems = tables.column(world.docs, "Errors", 1)
    listed = set(re.findall(r"urn:audittrail:problem:([a-z-]+)", json.dumps(world.document)))
    wrong += [f"{slug}: docs/api.md has no row for this problem" for slug in sorted(listed)
              if slug not in problems]
    return missing, wrong


def key(row):
    """The fixed beginning of a path."""
    return row.removeprefix("GET ").split("<")[0].split("{level}")[0].split("{index}")[0]


def bare(path):
    return path.rstrip("/") if not path.startswith("/docs/") else "/docs/"


def optional(row, is_good):
    """A case of a row that docs/api.md may not have yet: it is one as soon as there is the row."""
    def register(function):
        def carried_out(world):
            return function(world)
        add(row, is_good, function.__name__, carried_out).optional = True
        return function
    return register


def forget(rows):
    """Drops the cases of rows that are not there yet."""
    CASES[:] = [case for case in CASES
                if case.row in rows or not getattr(case.run, "optional", False)]


STATS = "HTTP interface: GET /logs/stats/"


@optional(STATS, True)
def statistics_of_every_filter(world):
    """Whatever its form, what is counted is what the filter selects."""
    for cases in GOOD.values():
        for parameters, holds in cases[:2]:
            bounded = {"index_to": str(model.LAST)} | parameters
            answer = world.known.get("/logs/stats/", **bounded).ok().json()
            equal(answer["count"], len(model.selected(holds)), parameters)


@optional(STATS, False)
def statistics_refused(world):
    server = world.known
    server.get("/logs/stats/", None).problem(401, "unauthenticated")
    server.get("/logs/stats/", server.token(roles="writer")).problem(403, "forbidden")
    server.get("/logs/stats/", colour="red").parameter("colour")
    server.get("/logs/stats/", headers={"Accept": "text/csv"}).problem(406, "not-acceptable")
    server.call("POST", "/logs/stats/").problem(405, "method-not-allowed")


PROOF = "HTTP interface: GET /logs/{id}/proof/"


def proven(world):
    receipt = world.plain.post({"action": "proof.tried", "user_id": "eve"}, ack="published").ok(201)
    return receipt.json()


@optional(PROOF, True)
def a_proof_in_both_forms(world):
    receipt, server = proven(world), world.plain
    path = f"/logs/{receipt['id']}/proof/"
    answer = server.get(path, server.token(roles="auditor")).ok()
    expect(answer.headers["Content-Type"].startswith("text/plain"), answer.headers["Content-Type"])
    check_proof(answer.body.decode(), receipt["leaf_hash"], receipt["index"])
    line = server.get(path, headers={"Accept": "application/json"}).ok().json()
    equal(line["index"], receipt["index"])
    expect({"leaf", "sealed", "salt", "proof", "checkpoint", "vkey"} <= set(line), line)


@optional(PROOF, False)
def no_proof(world):
    receipt, server = proven(world), world.plain
    path = f"/logs/{receipt['id']}/proof/"
    server.get(path, server.token(roles="reader")).problem(403, "forbidden", "logs:prove")
    server.get(path, server.token(tenant="other")).problem(404, "not-found")
    server.get(f"/logs/{uuid.uuid4()}/proof/").problem(404, "not-found")
    server.get(path, headers={"Accept": "image/png"}).problem(406, "not-acceptable")
    server.get(path, colour="red").parameter("colour")


CHECKPOINT = "HTTP interface: GET /checkpoint"
CONSISTENCY = "HTTP interface: GET /checkpoint/consistency/"
TILE, BUNDLE = ("HTTP interface: GET /tile/" + kind + "<N>[.p/<W>]" for kind in ["<L>/", "entries/"])


def raw(server, path, token=...):
    headers = {"Authorization": "Bearer " + (server.token() if token is ... else token)}
    answer, body = server.call("GET", path, token=None, headers=headers, checked=False)
    equal(answer.status, 200, path, body[:300])
    return body


def tree(server):
    """Size and origin of the newest checkpoint, once there is one."""
    server.post([{"action": "tile.tried"}] * 300, ack="published").ok(201)
    origin, size, _ = raw(server, "/checkpoint").decode().split("\n")[:3]
    return origin, int(size)


@optional(CHECKPOINT, True)
def the_newest(world):
    origin, size = tree(world.plain)
    shown = world.run("keys", "--data", world.plain.data).stdout
    expect(shown.startswith(origin + "+"), shown)
    equal(size, world.plain.size())


@optional(TILE, True)
def full_and_partial_ones(world):
    _, size = tree(world.plain)
    equal(len(raw(world.plain, "/tile/0/000")), 256 * 32)
    equal(len(raw(world.plain, "/tile/0/000.p/5")), 5 * 32)
    equal(len(raw(world.plain, f"/tile/1/000.p/{size // 256}")), size // 256 * 32)


@optional(BUNDLE, True)
def leaves(world):
    tree(world.plain)
    body, count = raw(world.plain, "/tile/entries/000"), 0
    while body:
        length = int.from_bytes(body[:2], "big")
        json.loads(body[2:2 + length])
        body, count = body[2 + length:], count + 1
    equal(count, 256)


@optional(CONSISTENCY, True)
def of_two_sizes(world):
    _, size = tree(world.plain)
    answer = world.plain.get("/checkpoint/consistency/", **{"from": "100", "to": str(size)}).ok()
    equal((answer.json()["from"], answer.json()["to"]), (100, size))
    expect(answer.json()["proof"], "no hashes")


def for_whom(path):
    def check(world):
        server = world.plain
        server.get(path, None).problem(401, "unauthenticated")
        server.get(path, server.token(roles="reader")).problem(403, "forbidden", "logs:prove")
        server.get(path, server.token(tenant="acme")).problem(403, "forbidden")
    return check


for row, path in {CHECKPOINT: "/checkpoint", CONSISTENCY: "/checkpoint/consistency/?from=0&to=1",
                  TILE: "/tile/0/000", BUNDLE: "/tile/entries/000"}.items():
    optional(row, False)(for_whom(path))


def size_parameter(name):
    row = f"Between two sizes: {name}"

    def used(world):
        _, size = tree(world.plain)
        both = {"from": "1", "to": str(size)}
        for value in {"from": ["0", "1", str(size)], "to": ["1", str(size)]}[name]:
            answer = world.plain.get("/checkpoint/consistency/", **(both | {name: value})).ok()
            equal(answer.json()[name], int(value))

    def unused(world):
        both = {"from": "1", "to": "2"}
        for value in ["", "x", "-1", "1.5"]:
            world.plain.get("/checkpoint/consistency/", **(both | {name: value})).parameter(name)
        del both[name]
        world.plain.get("/checkpoint/consistency/", **both).parameter(name)
    optional(row, True)(used)
    optional(row, False)(unused)


size_parameter("from")
size_parameter("to")
TILES = "Tiles: AUDITTRAIL_TILES"


@optional(TILES, True)
def public_tiles(world):
    server = world.server(settings={"AUDITTRAIL_TILES": "public"})
    server.post({"action": "a"}, ack="published").ok(201)
    answer, _ = server.call("GET", "/checkpoint", token=None, checked=False)
    equal(answer.status, 200, "without a token")
    world.discard(server)


@optional(TILES, False)
def another_word_for_tiles(world):
    for value in ["", "Public", "some"]:
        ends(world, 2, "serve", settings={"AUDITTRAIL_TILES": value}, says="tiles")


FORMAT = "Export: evidence"


@optional(FORMAT, True)
def lines_between_a_first_and_a_last(world):
    server = world.known
    answer = server.get("/logs/export/", format="evidence", outcome="denied",
                        index_to=str(model.LAST)).ok()
    equal(answer.headers["Content-Type"], EVIDENCE)
    first, *entries, last = map(json.loads, answer.body.decode().splitlines())
    equal(first["evidence"], 1)
    wanted = model.selected(lambda entry: entry.get("outcome") == "denied")
    equal([entry["index"] for entry in entries], wanted)
    equal(last, {"end": True, "count": len(wanted)})


@optional(FORMAT, False)
def evidence_refused(world):
    server, size = world.plain, world.plain.size()
    server.get("/logs/export/", headers={"Accept": "text/csv"}, format="evidence").problem(
        406, "not-acceptable")
    server.get("/logs/export/", server.token(roles="reader"), format="evidence").problem(
        403, "forbidden")
    equal(server.size(), size)


REPORT = "Export: report"


@optional(REPORT, True)
def a_page_with_the_evidence_in_it(world):
    server = world.known
    answer = server.get("/logs/export/", format="report", outcome="denied",
                        index_to=str(model.LAST)).ok()
    equal(answer.headers["Content-Type"], "text/html; charset=utf-8")
    expect(answer.headers["Content-Disposition"].endswith('.html"'), answer.headers)
    within = answer.body.decode().split('id="evidence">\n')[1].split("</script>")[0]
    first, *entries, last = b"".join(map(base64.b64decode, within.splitlines())).splitlines()
    equal(json.loads(first)["evidence"], 1)
    wanted = model.selected(lambda entry: entry.get("outcome") == "denied")
    equal([json.loads(entry)["index"] for entry in entries], wanted)
    equal(json.loads(last), {"end": True, "count": len(wanted)})
    server.get("/logs/export/", format="report", withhold="sealed", action="no.such").ok()


@optional(REPORT, False)
def report_refused(world):
    server, size = world.plain, world.plain.size()
    server.get("/logs/export/", headers={"Accept": EVIDENCE}, format="report").problem(
        406, "not-acceptable")
    server.get("/logs/export/", server.token(roles="reader"), format="report").problem(
        403, "forbidden")
    server.get("/logs/export/", format="report", withhold="all").parameter("withhold")
    equal(server.size(), size)


def command_rows(world):
    """Rows of commands in docs/api.md, whatever their arguments are."""
    return [row for row in tables.rows(world) if row.startswith("From the command line: audittrail")]


def prove(world):
    receipt, server = proven(world), world.plain
    run = ends(world, 0, "prove", receipt["id"], **talks_to(server))
    check_proof(run.stdout, receipt["leaf_hash"], receipt["index"])


def verify(world):
    server = world.known
    path = world.directory() + "/evidence"
    body = server.get("/logs/export/", format="evidence", index_to="20").ok().body
    with open(path, "wb") as file:
        file.write(body)
    key_text = ends(world, 0, "keys", "--data", server.data).stdout.strip()
    page = path + ".html"
    ends(world, 0, "verify", path, "--key", key_text, "--html", page)
    with open(page, encoding="utf-8") as file:
        expect(file.read().endswith("</html>\n"), "the page has no end")
    with open(path, "wb") as file:
        file.write(b"\n".join(body.splitlines()[:-1]) + b"\n")
    ends(world, 1, "verify", path, "--key", key_text)


def bench(world):
    ends(world, 0, "bench", "get", "--preload", "100", "--warm-up", "10ms", "--duration", "200ms",
         "--json")


def commands_of(text):
    """The cases of the commands that the tables have by now."""
    cases = {
        "prove": (prove, lambda world: ends(world, 3, "prove", str(uuid.uuid4()),
                                            **talks_to(world.plain))),
        "verify": (verify, lambda world: ends(world, 2, "verify", "/nowhere")),
        "bench": (bench, lambda world: ends(world, 2, "bench", "nonsense")),
    }
    for row in command_rows(text):
        name = row.split("audittrail ")[1].split()[0]
        if name in cases:
            add(row, True, name, cases[name][0])
            add(row, False, name, cases[name][1])
