#!/usr/bin/env python3
"""Compares what a server lists, counts and exports with what its input files say.

usage: check_filters.py URL FILE...      (the token is in AUDITTRAIL_TOKEN)

The files are those that were imported into a new log, in that order. What each filter
selects is computed here from the files alone; count, order and every member of every entry
have to be equal, and so have intervals and values of statistics. Time zones are Python's own.
Ends with 1 and the first difference otherwise.
"""
import collections
import datetime
import ipaddress
import json
import os
import random
import re
import sys
import unicodedata
import urllib.parse
import urllib.request
import zoneinfo

ADDED = {"id", "index", "received_at", "submitted_by", "signature", "key_id", "verified"}
EPOCH_DAYS = 719_163  # of 1970-01-01 in the proleptic Gregorian calendar


def nanoseconds(text):
    """RFC 3339 to nanoseconds since 1970, without the rounding of datetime."""
    parts = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
                         r"([Zz]|[+-]\d\d:\d\d)", text)
    year, month, day, hour, minute, second = (int(part) for part in parts.groups()[:6])
    days = datetime.date(year, month, day).toordinal() - EPOCH_DAYS
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if parts[8] not in "Zz":
        sign = -1 if parts[8][0] == "-" else 1
        seconds -= sign * (int(parts[8][1:3]) * 3600 + int(parts[8][4:]) * 60)
    return seconds * 10**9 + int((parts[7] or "").ljust(9, "0"))


def stamp(nanos):
    seconds, rest = divmod(nanos, 10**9)
    moment = datetime.datetime.fromordinal(EPOCH_DAYS) + datetime.timedelta(seconds=seconds)
    return "%s.%09dZ" % (moment.strftime("%Y-%m-%dT%H:%M:%S"), rest)


def address(text):
    parsed = ipaddress.ip_address(text)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def load(paths):
    entries = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    given = json.loads(line)
                    entry = {name: value for name, value in given.items() if value is not None}
                    entry["nanos"] = nanoseconds(entry["timestamp"])
                    entry["timestamp"] = stamp(entry["nanos"])
                    if "source_ip" in entry:
                        entry["address"] = address(entry["source_ip"])
                        entry["source_ip"] = str(entry["address"])
                    entry["at"] = len(entries)
                    entries.append(entry)
    return entries


def escape(value):
    return value.replace("\\", "\\\\").replace(",", "\\,")


def fold(text):
    # Character by character: what the language of a whole word would do to it is left out.
    return text.lower() if text.isascii() else "".join(c.lower() for c in text)


UNSPACED = "\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile("(?=[%s])[^\\W_]|(?:(?![%s])[^\\W_])+" % (UNSPACED, UNSPACED))
ASCII_WORD = re.compile("[A-Za-z0-9]+")


def words(text):
    return [fold(word) for word in (ASCII_WORD if text.isascii() else WORD).findall(text)]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def searched(entry):
    for member in ["action", "outcome", "resource", "tenant", "user_id", "source_ip"]:
        if member in entry:
            yield entry[member]
    yield from strings(entry.get("details", {}))


def is_judged(text):
    """Whether this program knows the words: not those with combining marks and enclosed letters."""
    return text.isascii() or all(unicodedata.category(c) not in ("Mn", "Mc", "Me", "So")
                                 or ord(c) > 0x1f000 or 0x2500 <= ord(c) < 0x2e00 for c in text)


def at(value, names):
    """What lies at a path; arrays are looked through."""
    if isinstance(value, list):
        for element in value:
            yield from at(element, names)
        if not names:
            yield value
    elif not names:
        yield value
    elif isinstance(value, dict) and names[0] in value:
        yield from at(value[names[0]], names[1:])


def is_written(value, text):
    if isinstance(value, str):
        return value == text
    if value is None or isinstance(value, bool):
        return text == json.dumps(value)
    if isinstance(value, (int, float)):
        return bool(NUMBER.fullmatch(text)) and value == json.loads(text)
    return False


NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def scalars(value, names=()):
    """Paths and texts of all scalars, but for names that no path can have."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name:
                yield from scalars(inner, names + (name,))
    elif isinstance(value, list):
        for inner in value:
            yield from scalars(inner, names)
    else:
        yield names, value if isinstance(value, str) else json.dumps(value)


def path(names):
    return "details." + ".".join(n.replace("\\", "\\\\").replace(".", "\\.") for n in names)


def has_value(names, text):
    return lambda e: any(is_written(v, text) for v in at(e.get("details", {}), names))


def exists(names, wanted):
    return lambda e: any(True for _ in at(e.get("details", {}), names)) == wanted


def details_cases(entries, rng):
    sample = rng.sample(entries, min(400, len(entries)))
    found = collections.Counter(one for e in sample for one in scalars(e.get("details", {})))
    # A request's target has to stay short.
    found = collections.Counter({one: n for one, n in found.items() if len(one[1]) < 500})
    every = sorted(found)
    chosen = [one for one, _ in found.most_common(12)] + rng.sample(every, min(20, len(every)))
    chosen += [one for one in every if NUMBER.fullmatch(one[1])][:6]
    chosen += [one for one in every if one[1] in ("true", "false", "null", "")][:6]
    for names, text in dict.fromkeys(chosen):
        yield {path(names): text}, has_value(names, text)
        if NUMBER.fullmatch(text) and "." not in text and "e" not in text:
            yield {path(names): text + ".0"}, has_value(names, text + ".0")
    prefixes = sorted({names[:n] for names, _ in every for n in range(1, len(names) + 1)})
    for names in rng.sample(prefixes, min(12, len(prefixes))) + [("no such", "path")]:
        for wanted in (True, False):
            yield {path(names) + "__exists": json.dumps(wanted)}, exists(names, wanted)
        yield {path(names): "no such value"}, has_value(names, "no such value")


def word_cases(entries, rng):
    sample = [e for e in rng.sample(entries, min(60, len(entries)))
              if all(map(is_judged, searched(e)))]
    asked = []
    for entry in sample[:24]:
        known = sorted({word for text in searched(entry) for word in words(text)})
        for count in (1, 3):
            asked.append(rng.sample(known, min(count, len(known))))
    asked += [["login"], ["東", "京"], ["straße"], ["5"], ["no", "suchword"]]
    wanted = {word for some in asked for word in some}
    for entry in entries:
        entry["words"] = wanted.intersection(w for text in searched(entry) for w in words(text))
    for number, some in enumerate(asked):
        text = " ".join(some)
        if number % 3 == 0 and fold(text.upper()) == text:
            text = text.upper()
        yield {"q": text}, lambda e, some=some: e["words"].issuperset(some)


def part_cases(entries, rng):
    for member in ("action", "resource"):
        texts = sorted({e[member] for e in entries if member in e})
        for length in (1, 2, 3, 4, 5, 8, 12, 40):
            for text in rng.sample(texts, min(3, len(texts))):
                start = rng.randrange(max(1, len(text) - length + 1))
                part = text[start:start + length]
                part = rng.choice([part, fold(part), part.swapcase()])
                yield ({member + "__contains": part},
                       lambda e, m=member, p=fold(part): m in e and p in fold(e[m]))
    actions = sorted({e["action"] for e in entries})
    for text in rng.sample(actions, min(4, len(actions))):
        for start in (text[:1], text[:4], text[:-1], text, text.upper()):
            yield {"action__prefix": start}, lambda e, s=start: e["action"].startswith(s)


def block_cases(entries, rng):
    addresses = sorted({str(e["address"]) for e in entries if "address" in e})
    for text in rng.sample(addresses, min(3, len(addresses))) + ["192.0.2.130", "2001:db8::17"]:
        wide = ":" in text
        lengths = (1, 3, 17, 32, 47, 63, 65, 121, 127) if wide else (1, 5, 7, 9, 15, 17, 23, 31, 32)
        for length in lengths:
            network = ipaddress.ip_network("%s/%d" % (text, length), strict=False)
            yield ({"source_ip": "%s/%d" % (text, length)},
                   lambda e, n=network: "address" in e and e["address"] in n)


def both(one, other):
    return lambda e: one(e) and other(e)


def all_cases(entries):
    rng = random.Random(8)
    yield from cases(entries)
    found = [list(kind(entries, rng))
             for kind in (details_cases, word_cases, part_cases, block_cases)]
    for some in found:
        yield from some
    # One of a kind with one of another, and with one of the plain ones.
    plain = list(cases(entries))
    for _ in range(60):
        (one, holds), (other, also) = (rng.choice(some) for some in rng.sample(found + [plain], 2))
        if not set(one) & set(other):
            yield {**one, **other}, both(holds, also)


def cases(entries):
    """Pairs of parameters and the predicate that they stand for."""
    rng = random.Random(7)
    yield {}, lambda e: True
    for member in ["action", "user_id", "resource", "outcome", "tenant"]:
        values = collections.Counter(e[member] for e in entries if member in e)
        common = [value for value, _ in values.most_common(4)]
        rare = rng.sample(sorted(values), min(3, len(values)))
        for value in dict.fromkeys(common + rare):
            yield {member: value}, lambda e, m=member, v=value: e.get(m) == v
        for pair in (common[:2], rare):
            if pair:
                listed = ",".join(escape(value) for value in pair)
                yield {member + "__in": listed}, lambda e, m=member, p=pair: e.get(m) in p
                yield ({member + "__nin": listed},
                       lambda e, m=member, p=pair: e.get(m) not in p)
    yield {"action": "no.such.action"}, lambda e: False
    addresses = sorted({str(e["address"]) for e in entries if "address" in e})
    for text in rng.sample(addresses, min(5, len(addresses))):
        yield ({"source_ip": text},
               lambda e, a=address(text): e.get("address") == a)
    for block in ["192.0.2.0/25", "192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32",
                  "::ffff:192.0.2.0/121", "1.2.0.0/16"]:
        network = ipaddress.ip_network(block)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped:
            network = ipaddress.ip_network("%s/%d" % (mapped, network.prefixlen - 96))
        yield {"source_ip": block}, lambda e, n=network: "address" in e and e["address"] in n
    times = sorted(e["nanos"] for e in entries)
    early, late = times[len(times) // 4], times[3 * len(times) // 4]
    yield {"start_time": stamp(late)}, lambda e: e["nanos"] >= late
    yield {"end_time": stamp(early)}, lambda e: e["nanos"] <= early
    yield ({"start_time": stamp(early), "end_time": stamp(late), "outcome": "failure"},
           lambda e: early <= e["nanos"] <= late and e.get("outcome") == "failure")
    # The same moment with an offset.
    shifted = stamp(early + 5400 * 10**9)[:-1] + "+01:30"
    yield {"start_time": shifted}, lambda e: e["nanos"] >= early
    first, last = len(entries) // 3, len(entries) // 2
    yield ({"index_from": str(first), "index_to": str(last)},
           lambda e: first <= e["at"] <= last)
    yield {"received_to": "2000-01-01T00:00:00Z"}, lambda e: False
    yield {"received_from": "2000-01-01T00:00:00Z", "index_to": "50"}, lambda e: e["at"] <= 50
    yield {"verified": "false"}, lambda e: False


class Server:
    def __init__(self, url, token):
        self.url, self.token, self.requests = url.rstrip("/"), token, 0

    def get(self, url):
        self.requests += 1
        request = urllib.request.Request(url, headers={"Authorization": "Bearer " + self.token})
        with urllib.request.urlopen(request) as response:
            return response.read().decode()

    def link(self, path, parameters):
        return self.url + path + "?" + urllib.parse.urlencode(parameters)


def fail(what, parameters, *more):
    sys.exit("\n".join(["%s differs for %s" % (what, parameters), *map(str, more)]))


def compare(what, parameters, results, wanted):
    for got, entry in zip(results, wanted):
        if got["verified"] is not True or got["index"] != entry["at"]:
            fail(what, parameters, got, "wanted index %d" % entry["at"])
        shown = {name: value for name, value in got.items() if name not in ADDED}
        expected = {name: value for name, value in entry.items()
                    if name not in ("nanos", "at", "address", "words")}
        if shown != expected:
            fail(what, parameters, shown, expected)
    if len(results) != len(wanted):
        fail(what, parameters, "%d results, wanted %d" % (len(results), len(wanted)))


def pages(server, parameters, most):
    """All results, following next, but for more than so many pages; then all pages again,
    following previous."""
    url, count, results, sizes = server.link("/logs/list/", parameters), None, [], []
    while url and len(sizes) < most:
        page = json.loads(server.get(url))
        if count not in (None, page["count"]) or page["failed_entries"] != 0:
            fail("a page", parameters, page["count"], page["failed_entries"])
        count, last = page["count"], page
        results += page["results"]
        sizes.append(len(page["results"]))
        url = page["next"]
    back, page = list(last["results"]), last
    while page["previous"]:
        page = json.loads(server.get(page["previous"]))
        back = page["results"] + back
    if back != results:
        fail("going back", parameters, len(back), len(results))
    return count, results


def start_of(interval, zone, nanos):
    """The interval that a moment lies in: its first moment. Right for zones whose clocks change
    at a whole hour, and not at midnight."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    moment = (epoch + datetime.timedelta(seconds=nanos // 10**9)).astimezone(zone)
    if interval in ("minute", "hour"):
        # In UTC, since a clock that goes back shows an hour twice.
        length = 60 if interval == "minute" else 3600
        shown = int(moment.utcoffset().total_seconds())
        seconds = nanos // 10**9
        return (epoch + datetime.timedelta(seconds=seconds - (seconds + shown) % length)
                ).astimezone(zone)
    day = moment.date()
    if interval == "week":
        day -= datetime.timedelta(days=day.weekday())
    elif interval == "month":
        day = day.replace(day=1)
    elif interval == "quarter":
        day = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    elif interval == "year":
        day = day.replace(month=1, day=1)
    return datetime.datetime(day.year, day.month, day.day, tzinfo=zone)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata"]
INTERVALS = ["minute", "hour", "day", "week", "month", "quarter", "year"]
FACETS = ["action", "outcome", "resource", "source_ip", "tenant", "user_id"]


def buckets_of(matching, interval, zone):
    """Starts of intervals as texts, with how many entries each has."""
    # As texts: to Python two moments that a clock shows alike are equal.
    found = collections.Counter(start_of(interval, zone, e["nanos"]).isoformat() for e in matching)
    return [(text.replace("+00:00", "Z"), found[text]) for text in sorted(found, key=nanoseconds)]


def values_of(matching, facet, top):
    counts = collections.Counter(e[facet] for e in matching if facet in e)
    ordered = sorted(counts, key=lambda value: (-counts[value], value.encode()))
    return {"distinct": len(counts), "missing": len(matching) - sum(counts.values()),
            "values": [{"value": value, "count": counts[value]} for value in ordered[:top]]}


def check_stats(server, parameters, matching, size, rng):
    name = rng.choice(ZONES)
    zone, interval = zoneinfo.ZoneInfo(name), rng.choice(INTERVALS)
    wanted = buckets_of(matching, interval, zone)
    if len(wanted) > 10_000:
        interval = "month"
        wanted = buckets_of(matching, interval, zone)
    by, top = rng.sample(FACETS, 3), rng.choice([1, 3, 10, 1000])
    asked = {**parameters, "interval": interval, "time_zone": name, "by": ",".join(by), "top": top}
    stats = json.loads(server.get(server.link("/logs/stats/", asked)))
    if (stats["count"], stats["failed"], stats["tree_size"]) != (len(matching), 0, size):
        fail("the count of statistics", asked, stats, len(matching))
    if [(one["start"], one["count"]) for one in stats["buckets"]] != wanted:
        fail("the intervals", asked, stats["buckets"], wanted)
    for facet in by:
        if stats["by"][facet] != values_of(matching, facet, top):
            fail(facet, asked, stats["by"][facet], values_of(matching, facet, top))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    entries = load(sys.argv[2:])
    server = Server(sys.argv[1], os.environ["AUDITTRAIL_TOKEN"])
    orders = {"-timestamp": (lambda e: (e["nanos"], e["at"]), True),
              "timestamp": (lambda e: (e["nanos"], e["at"]), False),
              "-index": (lambda e: e["at"], True), "index": (lambda e: e["at"], False)}
    filters = selected = 0
    chosen = list(all_cases(entries))
    checked = found = 0
    rng = random.Random(9)
    for number, (parameters, holds) in enumerate(chosen):
        matching = [entry for entry in entries if holds(entry)]
        for order in list(orders) if number % 7 == 0 else ["-timestamp"]:
            key, reverse = orders[order]
            size = 1000 if len(matching) > 2000 else 97
            most = 3 if len(matching) > 5000 and number % 9 else 10**9
            count, results = pages(server, {**parameters, "order": order, "page_size": size}, most)
            wanted = sorted(matching, key=key, reverse=reverse)
            if count != len(wanted):
                fail("the count", parameters, "%d, wanted %d" % (count, len(wanted)))
            compare("the list by " + order, parameters, results, wanted[:most * size])
            checked += len(results)
        check_stats(server, parameters, matching, len(entries), rng)
        filters += 1
        found += bool(matching)
        selected += len(matching)
    # The exports come last, since each is recorded in the log.
    for number, (parameters, holds) in enumerate(chosen):
        if "verified" in parameters or "action__nin" in parameters or "action" in parameters:
            continue
        if number % 4 and not {"action", "user_id", "resource"} & set(parameters):
            continue
        wanted = [entry for entry in entries if holds(entry)]
        own = {**parameters, "action__nin": "audittrail.export"}
        lines = server.get(server.link("/logs/export/", {**own, "format": "ndjson"}))
        # Line feeds alone: other line separators may stand in a string.
        exported = [json.loads(line) for line in lines.split("\n")[:-1]]
        compare("the export", parameters, exported, wanted)
    array = json.loads(server.get(server.link("/logs/export/", {"index_to": len(entries) - 1})))
    compare("the export as an array", {}, array, entries)
    print("%d entries, %d filters with statistics of each, %d of them finding something, selecting %d entries; "
          "%d results in %d requests: all equal"
          % (len(entries), filters, found, selected, checked, server.requests))


main()
