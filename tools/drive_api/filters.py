"""The filters: what each finds by list, export and stream is what the model says."""
import json

from . import model
from .cases import add, equal, expect
from .model import SHOWN, exists, fold, has_words, is_at, ordered, selected, within

SECTION = "Reading: "
TIMES = sorted(entry["timestamp"] for entry in SHOWN)
EARLY, LATE = TIMES[100], TIMES[300]


def is_equal(member, value):
    return lambda entry: entry.get(member) == value


def one_of(member, values, wanted=True):
    return lambda entry: (entry.get(member) in values) == wanted


def has_part(member, part):
    return lambda entry: member in entry and fold(part) in fold(entry[member])


def at_least(text):
    return lambda entry: entry["timestamp"] >= text


def at_most(text):
    return lambda entry: entry["timestamp"] <= text


def index_within(first, last):
    return lambda entry: first <= SHOWN.index(entry) <= last


def shifted(text):
    """The same moment, written with an offset: an hour and a half later there."""
    hour, minute = int(text[11:13]), int(text[14:16])
    minutes = hour * 60 + minute + 90
    if minutes >= 24 * 60:
        return text[:-1] + "+00:00"
    return f"{text[:11]}{minutes // 60:02}:{minutes % 60:02}{text[16:-1]}+01:30"


# Row, parameters, what they select.
GOOD = {
    "action, user_id, resource, outcome, tenant": [
        ({"action": "door.open"}, is_equal("action", "door.open")),
        ({"action": "a,b"}, is_equal("action", "a,b")),
        ({"action": "DOOR.OPEN"}, lambda entry: False),
        ({"user_id": "Zoë"}, is_equal("user_id", "Zoë")),
        ({"user_id": model.SUBJECT}, is_equal("user_id", model.SUBJECT)),
        ({"resource": "100%_sure"}, is_equal("resource", "100%_sure")),
        ({"outcome": "denied"}, is_equal("outcome", "denied")),
        ({"tenant": "acme"}, is_equal("tenant", "acme")),
        ({"tenant": "acme", "outcome": "success"},
         lambda entry: entry.get("tenant") == "acme" and entry.get("outcome") == "success"),
    ],
    "the same with __in, __nin": [
        ({"action__in": "door.open,a\\,b"}, one_of("action", {"door.open", "a,b"})),
        ({"action__nin": "door.open,back\\\\slash"},
         one_of("action", {"door.open", "back\\slash"}, False)),
        ({"user_id__in": "ä\\,ö"}, one_of("user_id", {"ä,ö"})),
        ({"resource__nin": "front,back/door"}, one_of("resource", {"front", "back/door"}, False)),
        ({"outcome__in": "failure,denied"}, one_of("outcome", {"failure", "denied"})),
        # What is absent is none of them.
        ({"outcome__nin": "failure,denied"}, one_of("outcome", {"failure", "denied"}, False)),
        ({"tenant__nin": "acme,x\\\\y"}, one_of("tenant", {"acme", "x\\y"}, False)),
        ({"tenant__in": "acme,Umbra", "tenant__nin": "acme"}, is_equal("tenant", "Umbra")),
    ],
    "action__contains, resource__contains": [
        ({"action__contains": "OOR.O"}, has_part("action", "oor.o")),
        ({"action__contains": "GRÖSSE"}, lambda entry: False),
        ({"action__contains": "GRÖ"}, has_part("action", "grö")),
        ({"action__contains": "."}, has_part("action", ".")),
        ({"resource__contains": "%_"}, has_part("resource", "%_")),
        ({"resource__contains": "東"}, has_part("resource", "東")),
        ({"resource__contains": "f"}, has_part("resource", "f")),
        ({"resource__contains": ".*"}, lambda entry: False),
        ({"resource__contains": "x" * 256}, lambda entry: False),
    ],
    "action__prefix": [
        ({"action__prefix": "door"}, lambda entry: entry["action"].startswith("door")),
        ({"action__prefix": "Door."}, lambda entry: entry["action"].startswith("Door.")),
        ({"action__prefix": "user.log"}, lambda entry: entry["action"].startswith("user.log")),
        ({"action__prefix": "oor"}, lambda entry: False),
    ],
    "details.<path>": [
        ({"details.user.role": "admin"}, is_at(["user", "role"], "admin")),
        ({"details.n": "5"}, is_at(["n"], "5")),
        ({"details.n": "5.0"}, is_at(["n"], "5.0")),
        ({"details.flag": "true"}, is_at(["flag"], "true")),
        ({"details.flag": "null"}, is_at(["flag"], "null")),
        ({"details.empty": ""}, is_at(["empty"], "")),
        ({"details.a.b": "nested"}, is_at(["a", "b"], "nested")),
        ({"details.a\\.b": "dotted"}, is_at(["a.b"], "dotted")),
        ({"details.back\\\\slash": "1"}, is_at(["back\\slash"], "1")),
        ({"details.items.sku": "A-1"}, is_at(["items", "sku"], "A-1")),
        ({"details.items.sku": "B-2", "details.items.count": "3"},
         lambda entry: is_at(["items", "sku"], "B-2")(entry) and
         is_at(["items", "count"], "3")(entry)),
        ({"details.big": "9007199254740993"}, is_at(["big"], "9007199254740993")),
        ({"details.big": "9007199254740992"}, lambda entry: False),
        ({"details.User.role": "admin"}, lambda entry: False),
    ],
    "details.<path>__exists": [
        ({"details.flag__exists": "true"}, exists(["flag"], True)),
        ({"details.flag__exists": "false"}, exists(["flag"], False)),
        ({"details.items.sku__exists": "true"}, exists(["items", "sku"], True)),
        ({"details.user__exists": "true"}, exists(["user"], True)),
        ({"details.nowhere__exists": "true"}, lambda entry: False),
        ({"details.nowhere__exists": "false"}, lambda entry: True),
    ],
    "q": [
        ({"q": "LOGIN door"}, has_words("login door")),
        ({"q": "門"}, lambda entry: False),
        ({"q": "京 東"}, has_words("東 京")),
        ({"q": "GRÖße"}, has_words("größe")),
        ({"q": "role"}, lambda entry: False),
        ({"q": "admin"}, has_words("admin")),
        ({"q": "2026"}, has_words("2026")),
        ({"q": "5"}, has_words("5")),
        ({"q": "192.0.2.7"}, has_words("192.0.2.7")),
        ({"q": "umbra success"}, has_words("umbra success")),
        ({"q": "logi"}, lambda entry: False),
    ],
    "source_ip": [
        ({"source_ip": "192.0.2.7"}, is_equal("source_ip", "192.0.2.7")),
        ({"source_ip": "::ffff:192.0.2.9"}, is_equal("source_ip", "192.0.2.9")),
        ({"source_ip": "192.0.2.99/25"}, within("192.0.2.0/25")),
        ({"source_ip": "192.0.0.0/14"}, within("192.0.0.0/14")),
        ({"source_ip": "2001:db8::/47"}, within("2001:db8::/47")),
        ({"source_ip": "0.0.0.0/0"}, within("0.0.0.0/0")),
        ({"source_ip": "::/0"}, within("::/0")),
    ],
    "start_time, end_time": [
        ({"start_time": LATE}, at_least(LATE)),
        ({"end_time": EARLY}, at_most(EARLY)),
        ({"start_time": EARLY, "end_time": LATE},
         lambda entry: EARLY <= entry["timestamp"] <= LATE),
        ({"start_time": shifted(EARLY)}, at_least(EARLY)),
        # A space where + was decoded.
        ({"start_time": shifted(EARLY).replace("+", " ")}, at_least(EARLY)),
        ({"start_time": LATE, "end_time": EARLY}, lambda entry: EARLY >= entry["timestamp"] >= LATE),
    ],
    "index_from, index_to": [
        ({"index_from": "17"}, index_within(17, model.LAST)),
        ({"index_to": "17"}, index_within(0, 17)),
        ({"index_from": "100", "index_to": "100"}, index_within(100, 100)),
        ({"index_from": "18446744073709551615"}, lambda entry: False),
    ],
    "verified=false": [
        ({"verified": "false"}, lambda entry: False),
    ],
}
INSTANT = "is not a time"
BAD = {
    "action, user_id, resource, outcome, tenant": [
        {"action": ""}, {"user_id": ""}, {"resource": ""}, {"tenant": ""}, {"outcome": "perhaps"},
        {"Action": "a"}, {"actions": "a"}, {"id": "1"}],
    "the same with __in, __nin": [
        {"action__in": ""}, {"user_id__nin": "a,,b"}, {"outcome__in": "success,perhaps"},
        {"tenant__in": "a\\b"}, {"resource__nin": "a\\"}, {"source_ip__in": "192.0.2.7"}],
    "action__contains, resource__contains": [
        {"action__contains": ""}, {"resource__contains": "x" * 257}, {"user_id__contains": "a"}],
    "action__prefix": [{"action__prefix": ""}, {"resource__prefix": "a"}],
    "details.<path>": [
        {"details.": "a"}, {"details.a..b": "a"}, {"details.a\\b": "a"}, {"details": "a"},
        {"details.a.": "a"}],
    "details.<path>__exists": [
        {"details.a__exists": "1"}, {"details.a__exists": ""}, {"details.__exists": "true"}],
    "q": [{"q": ""}, {"q": " .-_ "}, {"q": " ".join(f"w{number}" for number in range(101))}],
    "source_ip": [
        {"source_ip": ""}, {"source_ip": "192.0.2"}, {"source_ip": "192.0.2.0/33"},
        {"source_ip": "2001:db8::/129"}, {"source_ip": "localhost"}, {"source_ip": "fe80::1%eth0"}],
    "start_time, end_time": [
        {"start_time": ""}, {"start_time": "yesterday"}, {"end_time": "2026-02-30T00:00:00Z"},
        {"end_time": "2026-01-01T00:00:00"}, {"start_time": "2026-01-01"}],
    "received_from, received_to": [
        {"received_from": "now"}, {"received_to": ""}, {"received_to": "2026-13-01T00:00:00Z"}],
    "index_from, index_to": [
        {"index_from": "-1"}, {"index_to": ""}, {"index_from": "1.5"}, {"index_to": "+1"},
        {"index_from": "18446744073709551616"}],
    "verified=false": [{"verified": "true"}, {"verified": ""}, {"verified": "False"}],
}


def listed(parameters, holds):
    """All four orders, in pages of a size that does not divide anything."""
    def check(world):
        wanted = selected(holds)
        for order in model.ORDERS:
            page = world.known.list(order=order, page_size="97", **parameters)
            results, counts = page["results"], {page["count"]}
            equal(page["failed_entries"], 0, "failed_entries")
            while page["next"]:
                page = world.known.follow(page["next"])
                results += page["results"]
                counts.add(page["count"])
            equal(model.found(results), ordered(wanted, order), order)
            equal(counts, {len(wanted)}, "the count")
    return check


def exported(parameters, holds):
    """An export of the same, and of it as a stream from the beginning."""
    def check(world):
        # Exports are recorded after the entries.
        bounded = {"index_to": str(model.LAST)} | parameters
        answer = world.known.get("/logs/export/", format="ndjson", **bounded).ok()
        results = [json.loads(line) for line in answer.body.decode().split("\n")[:-1]]
        wanted = selected(holds)
        if "index_to" not in parameters:
            equal(int(answer.headers["X-AuditTrail-Tree-Size"]) > model.LAST, True)
        results = [one for one in results if one["action"] != "audittrail.export"]
        equal(model.found(results), wanted, "exported")
        start = {"index_from": "0"} | bounded
        with world.known.stream(**start) as stream:
            equal(model.found(stream.entries(len(wanted))), wanted, "streamed")
    return check


def refused(parameters):
    """By name, wherever there are filters; nothing is recorded of such an export."""
    def check(world):
        before = world.known.size()
        name = next(iter(parameters))
        paths = ["/logs/list/", "/logs/export/", "/logs/stream/"]
        if world.has("/logs/stats/"):
            paths.append("/logs/stats/")
        for path in paths:
            world.known.get(path, **parameters).parameter(name)
        equal(world.known.size(), before, "entries in the log")
    return check


def shown(parameters):
    text = " ".join(f"{name}={value}" for name, value in parameters.items())
    return text if len(text) < 60 else text[:60] + "…"


def twice(world):
    """A repeated parameter, percent-encoding that is none, several errors at once."""
    server = world.known
    server.get("/logs/list/?action=a&action=a").parameter("action")
    server.get("/logs/list/?action=%zz").parameter("action")
    server.get("/logs/list/?action=%ff").parameter("action")
    both = server.get("/logs/list/?nonsense=1&verified=2").problem(400, "invalid-parameter")
    named = {error["parameter"] for error in both.json()["errors"]}
    equal(named, {"nonsense", "verified"})


def received(world):
    """The bounds are taken from what the server says of its own entries."""
    everything = world.known.list(order="index", page_size="1000", index_to=str(model.LAST))
    times = [one["received_at"] for one in everything["results"]]
    middle = times[len(times) // 2]
    expect(times[0] < middle, "two batches were received at one time")
    for name, wanted in [("received_from", [at for at, time in enumerate(times) if time >= middle]),
                         ("received_to", [at for at, time in enumerate(times) if time <= times[0]])]:
        bound = middle if name == "received_from" else times[0]
        page = world.known.list(order="index", page_size="1000", index_to=str(model.LAST),
                                **{name: bound})
        equal(model.found(page["results"]), wanted, name)
    equal(world.known.list(received_to="2000-01-01T00:00:00Z")["count"], 0)


add(SECTION + "action, user_id, resource, outcome, tenant", False, "twice, not encoded, several",
    twice)
for row, cases in GOOD.items():
    for parameters, holds in cases:
        add(SECTION + row, True, "list " + shown(parameters), listed(parameters, holds))
add(SECTION + "received_from, received_to", True, "list", received)
for row, cases in BAD.items():
    for parameters in cases:
        add(SECTION + row, False, shown(parameters), refused(parameters))
for row, cases in GOOD.items():
    for parameters, holds in cases:
        add(SECTION + row, True, "export, stream " + shown(parameters), exported(parameters, holds))
