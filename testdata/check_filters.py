#!/usr/bin/env python3
"""Compares what a server lists and exports with what its input files say.

usage: check_filters.py URL FILE...      (the token is in AUDITTRAIL_TOKEN)

The files are those that were imported into a new log, in that order. What each filter
selects is computed here from the files alone; count, order and every member of every entry
have to be equal. Ends with 1 and the first difference otherwise.
"""
import collections
import ipaddress
import json
import os
import random
import re
import sys
import urllib.parse
import urllib.request

ADDED = {"id", "index", "received_at", "submitted_by", "signature", "key_id", "verified"}
EPOCH_DAYS = 719_163  # of 1970-01-01 in the proleptic Gregorian calendar


def nanoseconds(text):
    """RFC 3339 to nanoseconds since 1970, without the rounding of datetime."""
    import datetime
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
    import datetime
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
                    if name not in ("nanos", "at", "address")}
        if shown != expected:
            fail(what, parameters, shown, expected)
    if len(results) != len(wanted):
        fail(what, parameters, "%d results, wanted %d" % (len(results), len(wanted)))


def pages(server, parameters):
    """All results, following next; then all pages again, following previous."""
    url, count, results, sizes = server.link("/logs/list/", parameters), None, [], []
    while url:
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


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    entries = load(sys.argv[2:])
    server = Server(sys.argv[1], os.environ["AUDITTRAIL_TOKEN"])
    orders = {"-timestamp": (lambda e: (e["nanos"], e["at"]), True),
              "timestamp": (lambda e: (e["nanos"], e["at"]), False),
              "-index": (lambda e: e["at"], True), "index": (lambda e: e["at"], False)}
    filters = selected = 0
    chosen = list(cases(entries))
    for number, (parameters, holds) in enumerate(chosen):
        matching = [entry for entry in entries if holds(entry)]
        for order in list(orders) if number % 7 == 0 else ["-timestamp"]:
            key, reverse = orders[order]
            size = 1000 if len(matching) > 2000 else 97
            count, results = pages(server, {**parameters, "order": order, "page_size": size})
            wanted = sorted(matching, key=key, reverse=reverse)
            if count != len(wanted):
                fail("the count", parameters, "%d, wanted %d" % (count, len(wanted)))
            compare("the list by " + order, parameters, results, wanted)
        filters += 1
        selected += len(matching)
    # The exports come last, since each is recorded in the log.
    for parameters, holds in chosen:
        if "verified" in parameters or "action__nin" in parameters or "action" in parameters:
            continue
        wanted = [entry for entry in entries if holds(entry)]
        own = {**parameters, "action__nin": "audittrail.export"}
        lines = server.get(server.link("/logs/export/", {**own, "format": "ndjson"}))
        # Line feeds alone: other line separators may stand in a string.
        exported = [json.loads(line) for line in lines.split("\n")[:-1]]
        compare("the export", parameters, exported, wanted)
    array = json.loads(server.get(server.link("/logs/export/", {"index_to": len(entries) - 1})))
    compare("the export as an array", {}, array, entries)
    print("%d entries, %d filters selecting %d entries, %d requests: all equal"
          % (len(entries), filters, selected, server.requests))


main()
