"""Recomputes a golden entry from docs/formats.md, sharing no code with the server.

Usage: check_entry.py DIRECTORY

DIRECTORY has entry.json (as a client sends it), leaf.json and sealed.json (exact bytes) and
record.json (everything else). Each difference is a line `what: expected, found` on standard
error, and the exit code is then 1.
"""

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import pathlib
import re
import sys


def canonical(value):
    # For the golden entries this is RFC 8785: their names are in the same order by code point
    # and by UTF-16, and their numbers are integers or short decimals.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def utc(text):
    """A time in UTC with nine digits."""
    whole, fraction, offset = re.fullmatch(r"(.{19})(?:\.(\d+))?(.+)", text).groups()
    time = datetime.datetime.fromisoformat(whole + offset.replace("Z", "+00:00"))
    time = time.astimezone(datetime.timezone.utc)
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + (fraction or "").ljust(9, "0") + "Z"


def address(text):
    ip = ipaddress.ip_address(text)
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def main(directory):
    def read(name):
        return (directory / name).read_bytes()

    entry, record = json.loads(read("entry.json")), json.loads(read("record.json"))
    leaf, sealed = read("leaf.json"), read("sealed.json")
    key, origin = record["key"].encode(), record["origin"].encode()
    salt = base64.urlsafe_b64decode(record["salt"] + "=")

    part = {name: entry[name] for name in ("details", "resource", "user_id") if name in entry}
    if "source_ip" in entry:
        part["source_ip"] = address(entry["source_ip"])
    submitter = {"iss": record["iss"], "sub": record["sub"]}
    part["submitted_by"] = {name: text for name, text in submitter.items() if text is not None}

    commitment = mac(salt, sealed)
    open_part = {name: entry[name] for name in ("action", "outcome", "tenant") if name in entry}
    open_part["id"] = entry.get("id", record["id"]).lower()
    open_part["received_at"] = utc(record["received_at"])
    open_part["sealed"] = base64url(commitment)
    open_part["timestamp"] = utc(entry.get("timestamp", record["received_at"]))
    open_part["v"] = 1

    signature = mac(key, b"audittrail/signature/v1\n" + origin + b"\n" + leaf)
    wrong = 0
    for what, expected, found in (
        ("sealed", canonical(part), sealed),
        ("leaf", canonical(open_part), leaf),
        ("commitment", commitment.hex(), record["commitment"]),
        ("signature", signature.hex(), record["signature"]),
        ("key_id", hashlib.sha256(b"audittrail/key-id/v1" + key).hexdigest()[:8], record["key_id"]),
        ("leaf_hash", hashlib.sha256(b"\0" + leaf).hexdigest(), record["leaf_hash"]),
    ):
        if expected != found:
            wrong += 1
            print(f"{what}: expected {expected!r}, found {found!r}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
