"""What generated requests have to keep to that OpenAPI cannot say."""
import itertools
import json

import schemathesis
from hypothesis import strategies as st

NUMBER = itertools.count()

LETTERS = "abc XYZ 019 é ß 語"


def rfc3339(moment):
    return moment.isoformat(timespec="microseconds") + "Z"


def moments():
    from datetime import datetime
    return st.datetimes(datetime(1970, 1, 1), datetime(2026, 1, 1)).map(rfc3339)


def blocks():
    v4 = st.ip_addresses(v=4).map(str)
    v6 = st.ip_addresses(v=6).map(str)
    cut = st.tuples(v4, st.integers(0, 32)).map(lambda pair: "%s/%d" % pair)
    cut6 = st.tuples(v6, st.integers(0, 128)).map(lambda pair: "%s/%d" % pair)
    return st.one_of(v4, v6, cut, cut6)


schemathesis.openapi.format("date-time", moments())
schemathesis.openapi.format("ip-or-cidr", blocks())
schemathesis.openapi.format(
    "time-zone", st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "asia/kathmandu"])
)
schemathesis.openapi.format(
    "words",
    st.text(LETTERS, min_size=1, max_size=20).filter(lambda text: any(map(str.isalnum, text))),
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text("aé\n\"\\語", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {"action": st.text("abc.é", min_size=1, max_size=30)},
    optional={
        "user_id": st.text("abc", min_size=1, max_size=9),
        "timestamp": moments(),
        "outcome": st.sampled_from(["success", "failure", "denied", "unknown", None]),
        "details": st.dictionaries(st.text("ab.", max_size=3), VALUES, max_size=3),
    },
)
LINES = st.lists(ENTRIES, min_size=1, max_size=5)
schemathesis.openapi.format(
    "lines", LINES.map(lambda entries: "".join(json.dumps(entry) + "\n" for entry in entries))
)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Bodies of lines are no arbitrary text. Batches of 10,000 have tests of their own."""
    for item in raw_schema["paths"].values():
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/x-ndjson" in content:
            content["application/x-ndjson"]["schema"]["format"] = "lines"
    for form in raw_schema["components"]["schemas"]["NewEntries"]["oneOf"]:
        form.pop("maxItems", None)


@schemathesis.serializer("application/x-ndjson")
def as_it_is(context, value):
    if not isinstance(value, str | bytes):
        value = json.dumps(value)
    return value if isinstance(value, bytes) else value.encode()


def kept(value):
    """Whether a value in `details` is one that the log keeps as it is."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, float):
        # Python writes a large one with an exponent and all of its digits.
        return True
    if isinstance(value, list):
        return all(map(kept, value))
    return all(kept(name) and kept(inner) for name, inner in value.items())


def is_entry(body):
    return isinstance(body, dict)


@schemathesis.hook
def map_case(context, case):
    """Sound requests only: those that are to be refused stay as they are."""
    if not case.meta.generation.mode.is_positive:
        return case
    # Compressed bodies have tests of their own.
    if case.headers.get("Content-Encoding") in ("gzip", "zstd"):
        del case.headers["Content-Encoding"]
    key = case.headers.get("Idempotency-Key")
    if key is not None:
        if case.media_type == "application/json" and is_entry(case.body) and not case.body.get("id"):
            # Of one entry only, and never again for another.
            fresh = "%09d" % next(NUMBER)
            case.headers["Idempotency-Key"] = key[: max(0, 255 - len(fresh))] + fresh
        else:
            del case.headers["Idempotency-Key"]
    # The earlier size first.
    if {"from", "to"} <= case.query.keys():
        case.query["from"], case.query["to"] = sorted([case.query["from"], case.query["to"]], key=int)
    # A cursor comes from an answer.
    case.query.pop("cursor", None)
    if "order" in case.query:
        case.query.pop("ordering", None)
    # Of statistics each goes with another.
    for one, other in (("time_zone", "interval"), ("top", "by")):
        if other not in case.query:
            case.query.pop(one, None)
    # Only evidence can leave something out.
    if case.query.get("format") != "evidence":
        case.query.pop("withhold", None)
    if int(case.query.get("page", 1)) * int(case.query.get("page_size", 20)) > 10_000:
        del case.query["page"]
    return case


@schemathesis.hook
def filter_case(context, case):
    # What is meant to be refused there, and is not, has no end, or an id that the log is behind.
    if case.operation.path == "/logs/stream/" and case.meta.generation.mode.is_positive:
        return False
    if not case.meta.generation.mode.is_positive or case.media_type != "application/json":
        return True
    entries = [case.body] if is_entry(case.body) else case.body
    if not isinstance(entries, list):
        return True
    return all(kept(entry) for entry in entries if is_entry(entry))
