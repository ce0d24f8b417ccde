"""The forms of an export: each has all that was sent, and nothing else."""
import csv
import gzip
import io
import json

from . import model
from .cases import bad, equal, expect, good
from .server import mint

SECTION = "Export: "
FORMS = {"json": "application/json", "ndjson": "application/x-ndjson",
         "csv": "text/csv; charset=utf-8; header=present"}
COLUMNS = ["index", "id", "timestamp", "received_at", "action", "outcome", "user_id", "resource",
           "source_ip", "tenant", "details", "submitted_by.iss", "submitted_by.sub", "key_id",
           "signature", "verification_error", "verified"]
MOST = str(model.LAST)
FORMULAS = ["=1+1", "+49 30", "-1", "@sum", "＝1", "＋1", "－1", "＠a", "−1", " =1", "'quoted", "﹢1"]


def row(name):
    return SECTION + ("json (default)" if name == "json" else name)


def export(server, name, token=..., **parameters):
    before = server.size()
    answer = server.get("/logs/export/", token, format=name, **parameters).ok()
    equal(answer.headers["Content-Type"], FORMS[name])
    size = int(answer.headers["X-AuditTrail-Tree-Size"])
    equal(size, before, "the log at the start")
    equal(answer.headers["Content-Disposition"], f'attachment; filename="audittrail-{size}.{name}"')
    return answer.body.decode()


@good(row("json"))
def an_array(world):
    results = json.loads(export(world.known, "json", index_to=MOST))
    equal(model.found(results), list(range(model.LAST + 1)))
    equal(json.loads(export(world.known, "json", action="no.such")), [])
    packed = world.known.get("/logs/export/", headers={"Accept-Encoding": "gzip"}, index_to=MOST)
    equal(json.loads(gzip.decompress(packed.ok().body)), results, "compressed")


@good(row("ndjson"))
def a_line_each(world):
    text = export(world.known, "ndjson", index_to=MOST)
    expect(text.endswith("\n"))
    results = [json.loads(line) for line in text.split("\n")[:-1]]
    equal(model.found(results), list(range(model.LAST + 1)))
    listed = world.known.list(order="index", index_to=MOST, page_size="1000")["results"]
    equal(results, listed, "export and list")
    equal(export(world.known, "ndjson", action="no.such"), "")


@good(row("csv"))
def rows_that_are_the_list(world):
    listed = world.known.list(order="index", index_to=MOST, page_size="1000")["results"]
    compare(export(world.known, "csv", index_to=MOST), listed)
    equal(export(world.known, "csv", action="no.such"), ",".join(COLUMNS) + "\r\n")


@good(row("csv"))
def cells_that_are_no_formula(world):
    server = world.plain
    entries = [{"action": text, "user_id": text, "resource": text + ' "a", b\u2028'}
               for text in FORMULAS]
    first = server.post(entries).ok(201).json()["first_index"]
    last = str(first + len(entries) - 1)
    listed = server.list(order="index", index_from=str(first), index_to=last)["results"]
    equal([one["action"] for one in listed], FORMULAS)
    text = export(server, "csv", index_from=str(first), index_to=last)
    for cells in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        for cell in cells[4:10]:
            expect(cell.lstrip()[:1] not in "=+-@＝＋－＠−﹢\t\r\n" or not cell, "a formula:", cell)
    compare(text, listed)


def compare(text, listed):
    expect(text.endswith("\r\n") and text.isprintable() is False)
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    equal(header, COLUMNS)
    equal(len(lines), len(listed), "rows")
    for line, result in zip(lines, listed):
        cells = dict(zip(header, (cell[1:] if cell.startswith("'") else cell for cell in line)))
        by = result["submitted_by"]
        wanted = {"submitted_by.iss": by.get("iss", ""), "submitted_by.sub": by["sub"],
                  "verified": "true", "verification_error": ""}
        for name in COLUMNS:
            value = wanted.get(name, result.get(name, ""))
            if name == "details":
                equal(json.loads(cells[name]) if cells[name] else "", value, name)
            else:
                equal(cells[name], str(value), name)


def refusals(name):
    @bad(row(name))
    def what_is_not_accepted(world):
        server, size = world.plain, world.plain.size()
        other = "text/csv" if name != "csv" else "application/json"
        server.get("/logs/export/", headers={"Accept": other}, format=name).problem(
            406, "not-acceptable")
        accepted = FORMS[name].split(";")[0]
        server.get("/logs/export/", headers={"Accept": other + ";q=0, " + accepted}, format=name,
                   action="no.such").ok()
        equal(server.size(), size + 1, "one export")

    @bad(row(name))
    def whom_it_is_not_for(world):
        server, size = world.plain, world.plain.size()
        for role in ["user", "writer", "reader"]:
            answer = server.get("/logs/export/", server.token(roles=role), format=name)
            equal(answer.problem(403, "forbidden").json()["scope"], "logs:export")
        for other in [name.upper(), name + "x", "", "xml"]:
            server.get("/logs/export/", format=other).parameter("format")
        # These belong to the list.
        for parameter in [{"page_size": "1"}, {"order": "index"}, {"cursor": "x"}, {"page": "1"}]:
            server.get("/logs/export/", format=name, **parameter).parameter(next(iter(parameter)))
        equal(server.size(), size, "entries in the log")

    @good(row(name))
    def a_tenant_alone(world):
        server = world.known
        token = mint(server.secret, {"sub": "auditor", "roles": ["auditor"], "tenant": "acme",
                                     "exp": 4_000_000_000})
        text = export(server, name, token, index_to=MOST)
        wanted = model.selected(lambda entry: entry.get("tenant") == "acme")
        if name == "csv":
            found = [int(line[0]) for line in list(csv.reader(io.StringIO(text, newline="")))[1:]]
        else:
            found = [one["index"] for one in
                     (json.loads(text) if name == "json" else map(json.loads, text.splitlines()))]
        equal(found, wanted)


for each in FORMS:
    refusals(each)
