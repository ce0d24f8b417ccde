#!/usr/bin/env python3
"""Writes events.ndjson: 400 made-up entries in the shape of cloud API calls and Windows events.

usage: generate_events.py > events.ndjson

The output is the same every time. The values are chosen for what filters can get wrong:
commas and backslashes, other scripts, missing members, offsets, equal timestamps, IPv6,
and in details names with dots, arrays, and texts that look like numbers.
"""
import json
import random
import sys
from datetime import datetime, timedelta, timezone

ACTIONS = ["ec2.DescribeInstances", "ec2.RunInstances", "s3.GetObject", "iam.CreateUser",
           "signin.ConsoleLogin", "security.4624", "security.4625", "sysmon.1", "sysmon.10",
           "sysmon.13", "kms.Decrypt"]
USERS = ["arn:aws:iam::111122223333:user/mona", "arn:aws:iam::111122223333:user/ravi",
         "SYSTEM", "WORKGROUP\\anna", "Müller, Jörg", "小林", "a,b", "back\\slash", "anonymous"]
RESOURCES = [None, "arn:aws:s3:::reports/2026/q1.csv", "host-01.example.org",
             "C:\\Windows\\System32\\lsass.exe", "table \"users\", row 7"]
ADDRESSES = [None, "192.0.2.7", "192.0.2.130", "198.51.100.23", "203.0.113.200",
             "2001:db8::17", "2001:0DB8:0:0::18", "::ffff:192.0.2.9"]
TENANTS = [None, None, "acme", "globex"]
OUTCOMES = [None, "success", "success", "success", "failure", "denied", "unknown"]


def timestamp(rng, moment):
    nanos = rng.choice(["", ".5", ".000000001", ".%03d" % rng.randrange(1000),
                        ".%09d" % rng.randrange(10**9)])
    offset = rng.choice([0, 0, 0, 120, -330])
    local = moment + timedelta(minutes=offset)
    zone = "Z" if offset == 0 else "%s%02d:%02d" % ("+-"[offset < 0], *divmod(abs(offset), 60))
    return local.strftime("%Y-%m-%dT%H:%M:%S") + nanos + zone


NOTES = ["Login of Mona from 東京", "LOGIN failed: 5 attempts", "größe: STRASSE, straße, İz",
         "user@example.com's laptop", "再起動 done", "true", "5", "a-b_c d.e"]


def more(rng):
    """Members whose paths, values and words are easily mistaken."""
    made = {}
    if rng.random() < 0.5:
        made["user"] = {"role": rng.choice(["admin", "Admin", "auditor", "5", ""]),
                        "level": rng.choice([1, 5, 5.0, 1e3, "5", None, True, -0.5])}
    if rng.random() < 0.4:
        made["tags"] = rng.sample(["x", "X", 5, "5", 1.5, True, None, ["deep"], {}], 3)
    if rng.random() < 0.4:
        made["items"] = [{"sku": rng.choice("ABC") + "-1", "n": rng.randrange(4)}
                         for _ in range(rng.randrange(3))]
    if rng.random() < 0.4:
        made[rng.choice(["a.b", "back\\slash", "two words", "größe", "a"])] = rng.choice(
            [{"b": "nested"}, "plain", 7, [{"b": "in array"}]])
    if rng.random() < 0.5:
        made["note"] = rng.choice(NOTES)
    if rng.random() < 0.1:
        made["long"] = "word " * 300 + rng.choice(["end", "END"])
    return made


def details(rng, number):
    if rng.random() < 0.1:
        return {}
    made = {"eventVersion": "1.08", "requestID": "%08x-%04d" % (rng.getrandbits(32), number),
            "recordId": 9_007_199_254_740_993 + number, "ratio": rng.randrange(1000) / 8,
            "requestParameters": {"maxResults": rng.randrange(100), "filters": ["a", None, True]}}
    if rng.random() < 0.5:
        made["Message"] = "Process created:\r\n\tImage: C:\\tools\\x.exe \u2014 \U0001f512"
    return made


def main():
    rng = random.Random(20260101)
    moment = datetime(2026, 3, 1, 6, 0, tzinfo=timezone.utc)
    for number in range(400):
        # Some share a second, some come late.
        moment += timedelta(seconds=rng.choice([0, 0, 1, 7, 90, -45]))
        entry = {"timestamp": timestamp(rng, moment), "action": rng.choice(ACTIONS),
                 "user_id": rng.choice(USERS), "resource": rng.choice(RESOURCES),
                 "outcome": rng.choice(OUTCOMES), "source_ip": rng.choice(ADDRESSES),
                 "tenant": rng.choice(TENANTS), "details": details(rng, number)}
        entry["details"].update(more(random.Random(number)))
        if rng.random() < 0.8:
            entry = {name: value for name, value in entry.items() if value is not None}
        sys.stdout.write(json.dumps(entry, ensure_ascii=rng.random() < 0.5) + "\n")


main()
