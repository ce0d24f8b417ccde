"""Checks a file of evidence from docs/formats.md, sharing no code with the server.

Usage: check_evidence.py FILE VKEY

Needs nothing but Python's standard library: Ed25519 is below, from RFC 8032. Prints how many
entries are proven and each finding; the exit code is 1 if there is one.
"""

import base64
import hashlib
import hmac
import json
import sys

# Ed25519, RFC 8032 section 5.1 and appendix A, verification only.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point, n = add(point, point), n >> 1
    return result


def point(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P:
        raise ValueError("no point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(key, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(point(r), times(h, point(key)))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return s < Q and same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def open_checkpoint(note, vkey):
    """Origin, size and root of a checkpoint that this key signed."""
    name, key_id, key = vkey.split("+", 2)
    key = base64.b64decode(key)
    if hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] != key_id:
        raise ValueError("the key's ID is not its own")
    text, lines = note.rsplit("\n\n", 1)
    for line in lines.splitlines():
        _, signer, blob = line.split(" ")
        blob = base64.b64decode(blob)
        if signer == name and blob[:4].hex() == key_id and key[:1] == b"\1":
            if not signed(key[1:], (text + "\n").encode(), blob[4:]):
                raise ValueError("the signature does not hold")
            origin, size, root = text.split("\n")[:3]
            if origin != name:
                raise ValueError("the checkpoint is of another log")
            return origin, int(size), base64.b64decode(root)
    raise ValueError("the key did not sign the checkpoint")


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """Known subtrees right of the last proven leaf, the nearest last: start, end, hash."""

    def __init__(self, size, root):
        self.known = [(0, size, root)]

    def include(self, index, leaf, proof):
        at = [start <= index < end for start, end, _ in self.known].index(True)
        start, end, root = self.known[at]
        steps = []
        while end - start > 1:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            steps.append((index >= middle, middle, end))
            start, end = (middle, end) if index >= middle else (start, middle)
        if len(steps) != len(proof):
            raise ValueError("the proof has another length")
        value = hashlib.sha256(b"\0" + leaf).digest()
        for (right, _, _), sibling in zip(reversed(steps), proof):
            value = node(sibling, value) if right else node(value, sibling)
        if value != root:
            raise ValueError("the proof does not give the root")
        below = [(m, e, h) for (right, m, e), h in zip(steps, reversed(proof)) if not right]
        self.known[at:] = below


def url64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_")


def covered_by(entry, sealed):
    leaf, ranges = json.loads(entry["leaf"]), json.loads(sealed).get("details", {}).get("ranges")
    if leaf["action"] != "audittrail.erasure" or not isinstance(ranges, list):
        return []
    return [range(first, last + 1) for first, last in ranges if last < entry["index"]]


class Check:
    def __init__(self, header, vkey):
        self.header = header
        self.origin, self.size, self.root = open_checkpoint(header["checkpoint"], vkey)
        self.findings, self.last, self.lines = [], -1, 0
        self.proven, self.withheld, self.failed, self.erased = 0, 0, 0, 0
        self.bare, self.seen, self.erasures = set(), set(), set()
        if header["origin"] != self.origin or header["vkey"] != vkey:
            self.findings.append("the header names another log or key")

    def line(self, entry):
        if self.lines % 1000 == 0:
            self.tree = Tree(self.size, self.root)
        self.lines += 1
        try:
            self.entry(entry)
        except (ValueError, KeyError) as why:
            self.failed += 1
            self.findings.append(f"entry {entry['index']}: {why}")

    def entry(self, entry):
        index = entry["index"]
        if index <= self.last:
            raise ValueError("the order is wrong")
        if "error" in entry:
            self.seen.add(index)
            raise ValueError(entry["error"])
        leaf = entry["leaf"].encode()
        proof = [base64.b64decode(text) for text in entry["proof"]]
        self.seen.add(index)
        self.tree.include(index, leaf, proof)
        self.last = index
        sealed = entry.get("sealed")
        if sealed is not None:
            made = hmac.new(url64(entry["salt"]), sealed.encode(), hashlib.sha256).digest()
            if made != url64(json.loads(leaf)["sealed"]):
                raise ValueError("the sealed part is another")
            self.proven += 1
            for erased in covered_by(entry, sealed):
                self.erasures.add(index)
                self.erased += len(self.bare.intersection(erased))
                self.bare.difference_update(erased)
        elif self.header.get("withhold") == "sealed":
            self.withheld += 1
        else:
            self.bare.add(index)

    def end(self, end, whole):
        self.failed += len(self.bare)
        self.findings += [f"entry {index}: neither sealed nor erased" for index in self.bare]
        if not whole or end.get("end") is not True or end.get("count") != self.lines:
            self.findings.append("the file was cut short, or counts otherwise")
        claim = self.header["complete"]
        if claim is not None:
            wanted = set(range(claim[0], claim[1] + 1))
            if wanted - self.seen or self.seen - wanted - self.erasures:
                self.findings.append("the range is not complete")
        return claim is not None and not self.findings


def main(path, vkey):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    whole, lines = text.endswith("\n"), text.split("\n")
    lines = [json.loads(line) for line in lines[:-1]]
    check = Check(lines[0], vkey)
    end = {}
    for line in lines[1:]:
        if "end" in line:
            end = line
        else:
            check.line(line)
    complete = check.end(end, whole)
    print(
        f"entries {check.lines} proven {check.proven} erased {check.erased} "
        f"withheld {check.withheld} failed {check.failed} complete {str(complete).lower()}"
    )
    print("\n".join(check.findings) if check.findings else "no findings")
    return 1 if check.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
