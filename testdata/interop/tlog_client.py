#!/usr/bin/env python3
"""Reads a transparency log and believes nothing of it that is not proven.

Written from public specifications only, with Python's standard library and nothing else:
C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof and tlog-cosignature, RFC 6962 (the
tree), RFC 9162 (checking proofs) and RFC 8032 (Ed25519). Two things are AuditTrail's own, and only
asked for where an option needs them: where it answers proofs (docs/api.md), and that a leaf is JSON
with the entry's id (docs/formats.md).

usage: tlog_client.py URL --vkey VKEY [--cosigner VKEY]... [--old FILE] [--proof FILE]...
           [--id ID]... [--save FILE]

  --vkey      the log's verifier key, from a place that is not the log
  --cosigner  a witness's verifier key (type 04): its cosignature has to be there and to hold
  --old       an earlier checkpoint of the log: the new one has to extend it
  --proof     a tlog-proof: it has to hold for the entry at its index
  --id        an entry whose proof is fetched from /logs/ID/proof/, which has to hold
  --save      writes the checkpoint, for --old later

A token for a log that asks for one is taken from the environment, TLOG_TOKEN. Ends with 0 if
everything holds, with 1 and the reason if something does not.
"""
import argparse
import base64
import binascii
import gzip
import hashlib
import json
import os
import re
import struct
import sys
import unicodedata
import urllib.error
import urllib.parse
import urllib.request


class Broken(Exception):
    """Something that the log said does not hold."""


def need(condition, why):
    if not condition:
        raise Broken(why)


# RFC 8032, section 5.1: Ed25519. Verification only, so that nothing here has to be secret.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if x & 1 != sign else x


def add(a, b):
    # Extended homogeneous coordinates, section 5.1.4.
    aa = (a[1] - a[0]) * (b[1] - b[0]) % P
    bb = (a[1] + a[0]) * (b[1] + b[0]) % P
    cc = 2 * a[3] * b[3] * D % P
    dd = 2 * a[2] * b[2] % P
    e, f, g, h = bb - aa, dd - cc, dd + cc, bb + aa
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def decompress(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_holds(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % ORDER
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and \
        (left[1] * right[2] - right[1] * left[2]) % P == 0


# RFC 4648, section 4, as it has to be written: no other text gives the same bytes.

def unbase64(text, what):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Broken(f"{what} is not base64") from None
    need(base64.b64encode(data).decode() == text, f"{what} is not base64 as it is written")
    return data


def number(text, what):
    need(re.fullmatch("0|[1-9][0-9]*", text, re.ASCII) is not None, f"{what} is no number")
    value = int(text)
    need(value < 2**64, f"{what} is too large")
    return value


# C2SP signed-note.

ED25519, COSIGNATURE = 0x01, 0x04


class Key:
    """`<name>+<8 hexadecimal digits>+base64(type || public key)`"""

    def __init__(self, text, kind):
        parts = text.split("+", 2)
        need(len(parts) == 3, "the verifier key has not three parts")
        self.name, identity, key = parts
        key = unbase64(key, "the verifier key")
        need(key[:1] == bytes([kind]) and len(key) == 33,
             f"the verifier key is not an Ed25519 key of type {kind:02x}")
        self.public = key[1:]
        need(legal_name(self.name), "the verifier key's name is none")
        digest = hashlib.sha256(self.name.encode() + b"\n" + key).digest()
        self.identity = digest[:4]
        need(identity == self.identity.hex(), "the verifier key's ID is not that of its name and key")


def legal_name(name):
    spaces = any(c.isspace() or unicodedata.category(c) in ("Zs", "Zl", "Zp") for c in name)
    return name != "" and "+" not in name and not spaces


def parse_note(data):
    """The text, and name, key ID and signature of each line below it."""
    need(len(data) < 1 << 20, "the note is too long")
    try:
        note = data.decode()
    except UnicodeDecodeError:
        raise Broken("the note is not UTF-8") from None
    need(not any(c < " " and c != "\n" for c in note), "the note has control characters")
    text, separator, below = note.rpartition("\n\n")
    need(separator != "" and below.endswith("\n"), "the note has no signatures, or no end")
    signatures = []
    for line in below[:-1].split("\n"):
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\u2014" and legal_name(parts[1]),
             "a signature line is malformed")
        blob = unbase64(parts[2], "a signature")
        need(len(blob) > 4, "a signature is too short")
        signatures.append((parts[1], blob[:4], blob[4:]))
    return text + "\n", signatures


# C2SP tlog-checkpoint and tlog-cosignature.

class Checkpoint:
    def __init__(self, data, log, cosigners):
        text, signatures = parse_note(data)
        signed = False
        for name, identity, signature in signatures:
            if (name, identity) == (log.name, log.identity):
                need(ed25519_holds(log.public, text.encode(), signature),
                     "the log's signature does not hold")
                signed = True
        need(signed, "the log's key did not sign the checkpoint")
        self.cosigned = [self.cosignature(text, signatures, key) for key in cosigners]
        lines = text.split("\n")[:-1]
        need(len(lines) >= 3 and "" not in lines, "the checkpoint has not three lines")
        self.origin, self.size = lines[0], number(lines[1], "the size")
        need(self.origin == log.name, "the checkpoint is of another log")
        self.root = unbase64(lines[2], "the root")
        need(len(self.root) == 32, "the root is no hash")
        self.data = data

    @staticmethod
    def cosignature(text, signatures, key):
        for name, identity, signature in signatures:
            if (name, identity) == (key.name, key.identity):
                need(len(signature) == 72, "a cosignature has another length")
                time = struct.unpack(">Q", signature[:8])[0]
                need(time < 2**63, "a cosignature's time is too large")
                message = f"cosignature/v1\ntime {time}\n{text}".encode()
                need(ed25519_holds(key.public, message, signature[8:]),
                     f"the cosignature of {key.name} does not hold")
                return time
        raise Broken(f"{key.name} did not cosign the checkpoint")


# RFC 6962, section 2.1: the tree.

def leaf_hash(data):
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(hashes):
    """MTH of leaves, or of the roots of full subtrees of one size, given by their hashes."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(tree_root(hashes[:split]), tree_root(hashes[split:]))


# RFC 9162, sections 2.1.3.2 and 2.1.4.2: checking proofs.

def check_inclusion(index, size, leaf, path, root):
    need(index < size, "the index is not in the tree")
    node, last, result = index, size - 1, leaf
    for sibling in path:
        need(last != 0, "the inclusion proof is too long")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "the inclusion proof is too short")
    need(result == root, "the inclusion proof does not give the root")


def check_consistency(old, new, path, old_root, new_root):
    need(0 < old <= new, "there is no such consistency proof")
    if old == new:
        need(path == [] and old_root == new_root, "two roots of one size")
        return
    need(path != [], "the consistency proof is empty")
    if old & (old - 1) == 0:
        path = [old_root] + path
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        need(last != 0, "the consistency proof is too long")
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "the consistency proof is too short")
    need(first == old_root, "the consistency proof does not give the old root")
    need(second == new_root, "the consistency proof does not give the new root")


# C2SP tlog-tiles.

class Log:
    def __init__(self, url):
        self.url = url.rstrip("/")
        self.token = os.environ.get("TLOG_TOKEN")
        self.requests = 0

    def get(self, path, media_type, accept="*/*"):
        headers = {"Accept-Encoding": "gzip, identity", "Accept": accept}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        self.requests += 1
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                data, got = response.read(), response.headers
        except urllib.error.HTTPError as error:
            raise Broken(f"{path}: status {error.code} {error.read(2000)!r}") from None
        if got.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        need(got["Content-Type"] == media_type, f"{path} is {got['Content-Type']}")
        return data

    @staticmethod
    def place(index, width):
        groups = []
        while True:
            groups.insert(0, "%03d" % (index % 1000))
            index //= 1000
            if index == 0:
                break
        path = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
        return path if width == 256 else f"{path}.p/{width}"

    def level(self, level, size):
        """All hashes that a tree of that size has at a level."""
        count, hashes = size >> 8 * level, []
        for index in range((count + 255) // 256):
            width = min(256, count - 256 * index)
            path = f"/tile/{level}/{self.place(index, width)}"
            data = self.get(path, "application/octet-stream")
            need(len(data) == 32 * width, f"{path} has {len(data)} bytes")
            hashes += [data[at:at + 32] for at in range(0, len(data), 32)]
        return hashes

    def entries(self, size):
        entries = []
        for index in range((size + 255) // 256):
            width = min(256, size - 256 * index)
            path = f"/tile/entries/{self.place(index, width)}"
            data, at, found = self.get(path, "application/octet-stream"), 0, []
            while at < len(data):
                need(at + 2 <= len(data), f"{path} ends within a length")
                length = struct.unpack_from(">H", data, at)[0]
                need(at + 2 + length <= len(data), f"{path} ends within an entry")
                found.append(data[at + 2:at + 2 + length])
                at += 2 + length
            need(len(found) == width, f"{path} has {len(found)} entries")
            entries += found
        return entries


# C2SP tlog-proof.

def check_proof(data, key, cosigners, leaf_of):
    """`leaf_of` gives the hash of the leaf at an index; gives the index and the checkpoint."""
    head, separator, note = data.partition(b"\n\n")
    need(separator != b"", "the proof has no checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Broken("the proof is no text") from None
    need(lines[0] == "c2sp.org/tlog-proof@v1", "this is no tlog-proof")
    rest = lines[1:]
    if rest and rest[0].startswith("extra "):
        unbase64(rest[0][6:], "the extra data")
        rest = rest[1:]
    need(rest and rest[0].startswith("index "), "the proof has no index")
    index = number(rest[0][6:], "the index")
    need(len(rest) <= 65, "the proof is too long")
    path = [unbase64(line, "a hash of the proof") for line in rest[1:]]
    need(all(len(one) == 32 for one in path), "a hash of the proof is none")
    checkpoint = Checkpoint(note, key, cosigners)
    check_inclusion(index, checkpoint.size, leaf_of(index), path, checkpoint.root)
    return index, checkpoint


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[2].removeprefix("usage: "))
    parser.add_argument("url")
    parser.add_argument("--vkey", required=True)
    for name in ["--cosigner", "--proof", "--id"]:
        parser.add_argument(name, action="append", default=[])
    for name in ["--old", "--save"]:
        parser.add_argument(name)
    options = parser.parse_args()
    key = Key(options.vkey, ED25519)
    cosigners = [Key(text, COSIGNATURE) for text in options.cosigner]
    log = Log(options.url)

    plain = "text/plain; charset=utf-8"
    checkpoint = Checkpoint(log.get("/checkpoint", plain), key, cosigners)
    size, root = checkpoint.size, checkpoint.root
    print(f"checkpoint of {checkpoint.origin}: {size} entries, root {root.hex()}")
    for one, time in zip(cosigners, checkpoint.cosigned):
        print(f"cosigned by {one.name} at {time}")

    levels = [log.level(0, size)]
    leaves = levels[0]
    need(tree_root(leaves) == root, "the hash tiles do not give the root")
    while size >> 8 * len(levels):
        below, level = levels[-1], log.level(len(levels), size)
        full = [tree_root(below[at:at + 256]) for at in range(0, len(below) - 255, 256)]
        need(level == full, f"the tiles of level {len(levels)} are not those of level {len(levels) - 1}")
        levels.append(level)
    print(f"hash tiles of {len(levels)} levels give the root")

    entries = log.entries(size)
    need([leaf_hash(entry) for entry in entries] == leaves, "the entries are not those of the tree")
    print(f"{len(entries)} entries give the root")

    if options.old:
        old = Checkpoint(read(options.old), key, [])
        need(0 < old.size <= size, f"the earlier checkpoint has {old.size} entries")
        need(tree_root(leaves[:old.size]) == old.root, "the log does not extend the earlier checkpoint")
        query = urllib.parse.urlencode({"from": old.size, "to": size})
        answer = json.loads(log.get(f"/checkpoint/consistency/?{query}", "application/json"))
        need((answer["from"], answer["to"]) == (old.size, size), "the proof is between other sizes")
        path = [unbase64(one, "a hash of the proof") for one in answer["proof"]]
        check_consistency(old.size, size, path, old.root, root)
        print(f"extends the checkpoint of {old.size} entries")

    def leaf_of(index):
        need(index < size, f"entry {index} is beyond the checkpoint")
        return leaves[index]

    for path in options.proof:
        index, under = check_proof(read(path), key, cosigners, leaf_of)
        print(f"entry {index} is in the log of {under.size} entries")
    for one in options.id:
        proof = log.get(f"/logs/{one}/proof/", plain, "text/plain")
        index, under = check_proof(proof, key, cosigners, leaf_of)
        need(json.loads(entries[index])["id"] == one, f"the proof is of another entry than {one}")
        print(f"entry {index}, {one}, is in the log of {under.size} entries")

    if options.save:
        with open(options.save, "wb") as file:
            file.write(checkpoint.data)
    print(f"everything holds, after {log.requests} requests")


if __name__ == "__main__":
    try:
        main()
    except (Broken, OSError, ValueError, KeyError) as error:
        sys.exit(f"tlog_client: {error}")
