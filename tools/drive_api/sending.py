"""Sending entries: the members of an entry, batches, parameters, idempotency, limits."""
import json
import uuid

from . import zstd
from .cases import add, bad, equal, expect, good
from .endpoints import CREATE
from .server import JSON, LINES, parsed

SECTION = "Sending entries: "
ACK, ON_ERROR, RECEIPTS = SECTION + "ack", SECTION + "on_error", SECTION + "receipts"
MIB = 1 << 20

# What is sent, and what is kept of it where that is not the same.
KEPT = {
    "action": [("a", "a"), ("ä" * 128, "ä" * 128), ("a b/c", "a b/c")],
    "user_id": [("u" * 256, "u" * 256)],
    "timestamp": [("2026-01-02T03:04:05+01:30", "2026-01-02T01:34:05.000000000Z"),
                  ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"),
                  ("2026-01-02t03:04:05.1234567z", "2026-01-02T03:04:05.123456700Z")],
    "resource": [("r" * 1024, "r" * 1024)],
    "outcome": [("success", "success"), ("failure", "failure"), ("denied", "denied"),
                ("unknown", "unknown")],
    "source_ip": [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0::1", "2001:db8::1")],
    "tenant": [("t" * 128, "t" * 128)],
    "details": [({}, {}), ({"a": {"b": [1, -0.5, 1e300, "x\ty", None, True]}},) * 2,
                ({"n": 18446744073709551615, "m": -9223372036854775808},) * 2],
}
# Bodies whose refusal points there.
REFUSED = [
    ("#/action", '{}'), ("#/action", '{"action":""}'), ("#/action", '{"action":null}'),
    ("#/action", '{"action":17}'), ("#/action", json.dumps({"action": "a" * 257})),
    ("#/action", '{"action":"a\\u0007"}'), ("#/action", '{"action":"audittrail.erasure"}'),
    ("#/user_id", '{"action":"a","user_id":""}'),
    ("#/user_id", json.dumps({"action": "a", "user_id": "u" * 257})),
    ("#/timestamp", '{"action":"a","timestamp":"2026-01-02"}'),
    ("#/timestamp", '{"action":"a","timestamp":"2199-01-02T00:00:00Z"}'),
    ("#/timestamp", '{"action":"a","timestamp":"1969-12-31T23:59:59Z"}'),
    ("#/timestamp", '{"action":"a","timestamp":1760000000}'),
    ("#/resource", json.dumps({"action": "a", "resource": "r" * 1025})),
    ("#/outcome", '{"action":"a","outcome":"ok"}'),
    ("#/source_ip", '{"action":"a","source_ip":"192.0.2.7:80"}'),
    ("#/source_ip", '{"action":"a","source_ip":"fe80::1%eth0"}'),
    ("#/tenant", json.dumps({"action": "a", "tenant": "t" * 129})),
    ("#/details", '{"action":"a","details":[1]}'),
    ("#/details", '{"action":"a","details":"x"}'),
    ("#/details/a", '{"action":"a","details":{"a":"\\u0000"}}'),
    ("#/details/a", '{"action":"a","details":{"a":1,"a":2}}'),
    ("#/details/n", '{"action":"a","details":{"n":18446744073709551616}}'),
    ("#/details/n", '{"action":"a","details":{"n":0.10000000000000000001}}'),
    ("#/details/a~1b", '{"action":"a","details":{"a/b":1e400}}'),
    ("#/details", json.dumps({"action": "a", "details": {"a": "x" * 300_000}})),
    ("#/id", '{"action":"a","id":"17"}'), ("#/id", '{"action":"a","id":17}'),
    ("#/who", '{"action":"a","who":"me"}'),
    ("#", '[]'), ("#", '{'), ("#", '17'), ("#", ''), ("#", '{"action":"a"} {}'),
]


def kept(member, given, wanted):
    def check(world):
        sent = {"action": "member.tried"} | {member: given}
        receipt = world.plain.post(sent).ok(201).json()
        entry = world.plain.get(f"/logs/{receipt['id']}/").ok().json()
        equal(entry[member], wanted, member)
    return check


def not_taken(pointer, body):
    def check(world):
        size = world.plain.size()
        answer = world.plain.post(body.encode()).problem(400, "invalid-entry")
        errors = answer.json().get("errors", [])
        if errors or pointer != "#":
            pointers = [error["pointer"] for error in errors]
            expect(any(one.startswith(pointer) for one in pointers), "points at", pointers)
        equal(world.plain.size(), size, "entries in the log")
    return check


for member, values in KEPT.items():
    for given, wanted in values:
        add(CREATE, True, f"{member} {str(given)[:40]}", kept(member, given, wanted))
for pointer, body in REFUSED:
    add(CREATE, False, f"{pointer} {body[:40]}", not_taken(pointer, body))


@good(CREATE)
def a_batch_is_consecutive(world):
    entries = [{"action": "batch.sent", "resource": f"r{number}"} for number in range(50)]
    answer = world.plain.post(entries).ok(201).json()
    equal(set(answer), {"ack", "count", "first_index", "last_index", "results"})
    indices = [one["index"] for one in answer["results"]]
    equal(indices, list(range(answer["first_index"], answer["last_index"] + 1)))
    equal((answer["count"], len(indices)), (50, 50))
    page = world.plain.list(order="index", index_from=str(indices[0]), page_size="50")
    equal([one["resource"] for one in page["results"]], [one["resource"] for one in entries])
    equal([one["id"] for one in page["results"]], [one["id"] for one in answer["results"]])


@good(CREATE)
def lines_with_blank_ones(world):
    body = b'\r\n{"action":"line.sent"}\r\n\n{"action":"line.sent"}'
    equal(world.plain.post(body, kind=LINES).ok(201).json()["count"], 2)


@bad(CREATE)
def one_bad_line_stores_none(world):
    size = world.plain.size()
    body = b'{"action":"a"}\n\n{"action":"a","outcome":"ok"}\n{"action":""}\n'
    answer = world.plain.post(body, kind=LINES).problem(400, "invalid-entry")
    places = [(one["line"], one["pointer"]) for one in answer.json()["errors"]]
    equal(places, [(3, "#/outcome"), (4, "#/action")])
    answer = world.plain.post([{"action": "a"}, {"action": 1}]).problem(400, "invalid-entry")
    equal([one["pointer"] for one in answer.json()["errors"]], ["#/1/action"])
    equal(world.plain.size(), size)
    answer = world.plain.post(b"{}\n" * 150, kind=LINES).problem(400, "invalid-entry")
    equal(len(answer.json()["errors"]), 100, "errors that are listed")


@good(CREATE)
def ten_thousand(world):
    # The batches of world.large are lines; this is an array.
    answer = world.plain.post([{"action": "many.sent"}] * 10_000, receipts="none").ok(201).json()
    equal(answer["count"], 10_000)


@bad(CREATE)
def one_more_than_ten_thousand(world):
    size = world.plain.size()
    world.plain.post(b'{"action":"a"}\n' * 10_001, kind=LINES).problem(400, "invalid-entry", "10000")
    world.plain.post([{"action": "a"}] * 10_001).problem(400, "invalid-entry", "10000")
    equal(world.plain.size(), size)


@good(CREATE)
def the_largest_bodies(world):
    entry = b'{"action":"largest.sent"}'
    world.plain.post(entry + b" " * (32 * MIB - len(entry))).ok(201)
    packed = zstd.frame(entry) + zstd.repeated(b" ", 1_023)
    world.plain.post(packed, headers={"Content-Encoding": "zstd"}).ok(201)


@bad(CREATE)
def a_token_that_may_not(world):
    server, entry = world.plain, {"action": "another.sent"}
    size = server.size()
    answer = server.post(entry, server.token(roles="reader")).problem(403, "forbidden")
    equal(answer.json()["scope"], "logs:write:own")
    expect('error="insufficient_scope"' in answer.headers["WWW-Authenticate"])
    user = server.token("eve", "user")
    server.post(entry | {"user_id": "bob"}, user).problem(403, "forbidden", "logs:write")
    server.post(entry | {"tenant": "acme"}, user).problem(403, "forbidden", "logs:write")
    # One of a batch is enough.
    server.post([entry, entry | {"user_id": "bob"}], user).problem(403, "forbidden")
    bound = server.token("eve", "admin", tenant="acme")
    server.post(entry | {"tenant": "umbra"}, bound).problem(403, "forbidden", "tenant")
    equal(server.size(), size)


@good(CREATE)
def an_id_that_comes_again(world):
    entry = {"action": "again.sent", "id": str(uuid.uuid4()).upper(), "details": {"n": 1}}
    first = world.plain.post(entry).ok(201).json()
    equal(first["id"], entry["id"].lower())
    size = world.plain.size()
    equal(world.plain.post(entry).ok(201).json(), first, "the receipt")
    equal(world.plain.size(), size)


@good(CREATE)
def a_key_that_comes_again(world):
    server, entry = world.plain, {"action": "key.sent"}
    header = {"Idempotency-Key": "k" * 255}
    first = server.post(entry, headers=header).ok(201).json()
    equal(uuid.UUID(first["id"]).version, 8)
    equal(server.post(entry, headers=header).ok(201).json(), first)
    # Another caller's key is another key, and so is another tenant's.
    others = [server.post(entry, server.token("another"), header).ok(201).json()["index"],
              server.post(entry, server.token(tenant="acme"), header).ok(201).json()["index"]]
    equal(len({first["index"], *others}), 3)


@good(ACK)
def every_level(world):
    for level, reached in [("committed", "committed"), ("queued", "committed"),
                           ("published", "published")]:
        receipt = world.plain.post({"action": "ack.tried"}, ack=level).ok(201).json()
        equal(receipt["ack"], reached)
        equal("proof" in receipt, level == "published")
    batch = world.plain.post([{"action": "ack.tried"}], ack="published").ok(201).json()
    equal(batch["ack"], "published")


@good(ACK)
def the_proof_is_one(world):
    """C2SP tlog-proof: the leaf's hash and the path give the root of the checkpoint."""
    receipt = world.plain.post({"action": "proof.tried"}, ack="published").ok(201).json()
    check_proof(receipt["proof"], receipt["leaf_hash"], receipt["index"])


def check_proof(proof, leaf_hash, index):
    import base64
    import hashlib
    head, _, note = proof.partition("\n\n")
    lines = head.split("\n")
    equal(lines[0], "c2sp.org/tlog-proof@v1")
    equal(lines[1], f"index {index}")
    path = [base64.b64decode(line, validate=True) for line in lines[2:]]
    _, size, root = note.split("\n")[:3]
    node, at, last = base64.b64decode(leaf_hash), index, int(size) - 1
    # RFC 9162, section 2.1.3.2.
    for sibling in path:
        expect(last > 0, "the path is too long")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    equal((node, last), (base64.b64decode(root), 0), "the root")


@bad(ACK)
def another_word(world):
    size = world.plain.size()
    for level in ["", "Committed", "durable"]:
        world.plain.post({"action": "a"}, ack=level).parameter("ack")
    world.plain.call("POST", "/logs/?ack=queued&ack=queued", b'{"action":"a"}',
                     headers={"Content-Type": JSON}).parameter("ack")
    equal(world.plain.size(), size)


@good(ON_ERROR)
def skip(world):
    size = world.plain.size()
    body = b'{"action":"skip.tried"}\n{"action":""}\n\n{"action":"skip.tried"}\nx\n'
    answer = world.plain.post(body, kind=LINES, on_error="skip").ok(201).json()
    equal((answer["count"], answer["first_index"]), (2, size))
    equal([one["line"] for one in answer["rejected"]], [2, 5])
    equal(answer["rejected"][0]["errors"][0]["pointer"], "#/action")
    entries = [{"action": 1}, {"action": "skip.tried"}, {"action": "a", "who": 1}]
    answer = world.plain.post(entries, on_error="skip").ok(201).json()
    equal([one["position"] for one in answer["rejected"]], [0, 2])
    equal(world.plain.size(), size + 3)
    # Nothing is wrong: nothing is rejected.
    equal(world.plain.post([{"action": "a"}], on_error="skip").ok(201).json()["rejected"], [])


@good(ON_ERROR)
def skip_leaves_out_an_id_that_is_taken(world):
    taken = {"action": "taken.first", "id": str(uuid.uuid4())}
    world.plain.post(taken).ok(201)
    entries = [{"action": "a"}, taken | {"action": "taken.second"}]
    answer = world.plain.post(entries, on_error="skip").ok(201).json()
    equal((answer["count"], [one["position"] for one in answer["rejected"]]), (1, [1]))


@bad(ON_ERROR)
def nothing_good_is_left(world):
    size = world.plain.size()
    answer = world.plain.post([{"action": ""}], on_error="skip").problem(400, "invalid-entry")
    equal(answer.json()["rejected"][0]["position"], 0)
    world.plain.post([{"action": "a"}, {}], on_error="abort").problem(400, "invalid-entry")
    world.plain.post([{"action": "a"}], on_error="ignore").parameter("on_error")
    equal(world.plain.size(), size)


@good(RECEIPTS)
def none_and_all(world):
    entries = [{"action": "receipts.tried"}] * 3
    answer = world.plain.post(entries, receipts="none").ok(201).json()
    equal(set(answer), {"ack", "count", "first_index", "last_index"})
    equal(len(world.plain.post(entries, receipts="all").ok(201).json()["results"]), 3)


@bad(RECEIPTS)
def another_word_for_receipts(world):
    size = world.plain.size()
    for word in ["", "some", "NONE"]:
        world.plain.post([{"action": "a"}], receipts=word).parameter("receipts")
    equal(world.plain.size(), size)


@bad(CREATE)
def too_large(world):
    size = world.plain.size()
    entry = b'{"action":"a"}'
    world.plain.post(entry + b" " * (32 * MIB - len(entry) + 1)).problem(413, "body-too-large")
    # Announced is enough.
    head = (f"POST /logs/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {world.plain.token()}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: {32 * MIB + 1}\r\n\r\n")
    parsed(world.plain.raw(head.encode())).problem(413, "body-too-large")
    # 129 MiB, in 4 KB.
    packed = zstd.frame(entry) + zstd.repeated(b" ", 1_032)
    world.plain.post(packed, headers={"Content-Encoding": "zstd"}).problem(413, "body-too-large")
    equal(world.plain.size(), size)
