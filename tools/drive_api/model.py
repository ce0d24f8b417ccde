"""Entries, and what of them a filter has to find: written from docs/api.md, not from the server."""
import ipaddress
import json
import random
import re
from datetime import datetime, timedelta, timezone

from .cases import equal

START = datetime(2026, 1, 30, 22, 0, tzinfo=timezone.utc)
ACTIONS = ["door.open", "door.close", "Door.Open", "user.login", "user.logout", "report.read",
           "a,b", "back\\slash", "größe.ändern", "door"]
USERS = ["alice", "bob", "Zoë", "mallory", "ä,ö", None]
RESOURCES = ["front", "back/door", "Front Door 7", "100%_sure", "報告書/東京", "report-2026.pdf", None]
OUTCOMES = ["success", "failure", "denied", "unknown", None]
TENANTS = ["acme", "Umbra", "x\\y", None]
IPS = ["192.0.2.7", "192.0.2.200", "198.51.100.1", "2001:db8::7", "2001:db8:1::1",
       "::ffff:192.0.2.9", None]
DETAILS = [
    None, {}, {"user": {"role": "admin"}}, {"user": {"role": "Admin"}, "n": 5},
    {"n": 5.0}, {"n": "5"}, {"n": "5.0"}, {"n": [4, 5]}, {"flag": True}, {"flag": "true"},
    {"flag": None}, {"flag": False, "empty": ""}, {"a.b": "dotted", "a": {"b": "nested"}},
    {"back\\slash": 1}, {"items": [{"sku": "B-2"}, {"sku": "A-1", "count": 3}]},
    {"items": [[{"sku": "A-1"}]], "note": "Der Größe nach: 東京 Tower"},
    {"big": 18446744073709551615}, {"big": 9007199254740993}, {"x__exists": 7},
    {"note": "user failed to Login from the front door"}, {"=cell": "=1+1", "note": "+49 30"},
]


def make(count=420):
    """Entries as they are sent; no two orders of them are the same."""
    rng = random.Random(20261125)
    entries = []
    for number in range(count):
        # Several have the same time, and they do not arrive in its order.
        moment = START + timedelta(minutes=37 * rng.randrange(count // 2))
        fraction = rng.choice(["", ".5", ".000000001", ".123456789"])
        entry = {
            "action": rng.choice(ACTIONS), "user_id": rng.choice(USERS),
            "resource": rng.choice(RESOURCES), "outcome": rng.choice(OUTCOMES),
            "tenant": rng.choice(TENANTS), "source_ip": rng.choice(IPS),
            "details": rng.choice(DETAILS),
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z",
        }
        entries.append({name: value for name, value in entry.items() if value is not None})
    return entries


ENTRIES = make()
LAST = len(ENTRIES) - 1
SUBJECT = "model"


def known(number):
    """An entry as it is shown, as far as it is known before it is sent."""
    entry = dict(ENTRIES[number])
    entry.setdefault("user_id", SUBJECT)
    moment, _, fraction = entry["timestamp"].rstrip("Z").partition(".")
    entry["timestamp"] = f"{moment}.{fraction.ljust(9, '0')}Z"
    if "source_ip" in entry:
        address = ipaddress.ip_address(entry["source_ip"])
        entry["source_ip"] = str(getattr(address, "ipv4_mapped", None) or address)
    if isinstance(entry.get("details", {}).get("n"), float):
        # Canonical JSON has one way to write a number.
        entry["details"] = {"n": 5}
    return entry


SHOWN = [known(number) for number in range(len(ENTRIES))]
ADDED = {"id", "index", "received_at", "submitted_by", "signature", "key_id", "verified"}


def send(server):
    """Sends them in two batches, as an array and as lines; `received` gets their times."""
    token, half = server.token(sub=SUBJECT), len(ENTRIES) // 2
    server.post(ENTRIES[:half], token).ok(201)
    lines = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in ENTRIES[half:])
    server.post(lines.encode(), token, kind="application/x-ndjson").ok(201)


def found(results):
    """The indices of results, whose members have to be those that were sent."""
    for result in results:
        own = {name: value for name, value in result.items() if name not in ADDED}
        equal(own, SHOWN[result["index"]], "entry", result["index"])
        equal(result["verified"], True, "verified of entry", result["index"])
        equal(result["submitted_by"], {"sub": SUBJECT}, "submitted_by of", result["index"])
        equal(set(result), ADDED | set(own), "members of", result["index"])
        equal(re.fullmatch("[0-9a-f]{64}", result["signature"]) is not None, True, "signature")
    return [result["index"] for result in results]


def selected(holds):
    return [number for number, entry in enumerate(SHOWN) if holds(entry)]


ORDERS = {
    "-timestamp": lambda at: (SHOWN[at]["timestamp"], at),
    "timestamp": lambda at: (SHOWN[at]["timestamp"], at),
    "-index": lambda at: at,
    "index": lambda at: at,
}


def ordered(indices, order):
    return sorted(indices, key=ORDERS[order], reverse=order.startswith("-"))


def fold(text):
    return "".join(letter.lower() for letter in text)


def words(text):
    """Runs of letters and digits; each Chinese or Japanese character is one."""
    return re.findall(r"[\u2e80-\u9fff]|[^\W_\u2e80-\u9fff]+", fold(text))


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def has_words(text):
    wanted = set(words(text))

    def holds(entry):
        members = ("action", "user_id", "resource", "outcome", "source_ip", "tenant")
        texts = [entry[name] for name in members if name in entry]
        texts += strings(entry.get("details", {}))
        return wanted <= {word for text in texts for word in words(text)}
    return holds


def at(value, path):
    """All that lies at a path of names, through arrays; an array counts and its elements do."""
    if isinstance(value, list):
        if not path:
            yield value
        for element in value:
            yield from at(element, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from at(value[path[0]], path[1:])


def is_at(path, text):
    try:
        number = json.loads(text)
    except ValueError:
        number = text
    scalar = not isinstance(number, (str, list, dict))

    def same(value):
        if isinstance(value, str):
            return value == text
        if value is None or isinstance(value, bool) or number is None or isinstance(number, bool):
            return scalar and value is number
        return scalar and not isinstance(value, (list, dict)) and value == number
    return lambda entry: any(same(value) for value in at(entry.get("details", {}), path))


def exists(path, wanted):
    return lambda entry: any(True for _ in at(entry.get("details", {}), path)) == wanted


def within(block):
    network = ipaddress.ip_network(block, strict=False)
    return lambda entry: "source_ip" in entry and ipaddress.ip_address(entry["source_ip"]) in network
