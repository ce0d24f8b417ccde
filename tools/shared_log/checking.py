"""What a shared log has to be once all is quiet, read from MongoDB and Redis by none of its own code.

The formats are those of docs/formats.md: leaves, commitments, signatures, the tree of RFC 6962, the
documents in MongoDB and the keys in Redis."""
import base64
import hashlib
import hmac
import json
import subprocess
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymongo.read_concern import ReadConcern
from read_log import Tree, base64url
from soaking import Wrong

from .nodes import ask


def open_note(note, vkey):
    """Size and root of a checkpoint, whose signature by that key is checked."""
    text, _, signatures = note.partition("\n\n")
    name, key_id, key = vkey.split("+", 2)
    origin, size, root = text.split("\n")[:3]
    for line in signatures.splitlines():
        dash, signer, value = line.split(" ")
        value = base64.b64decode(value)
        if (dash, signer, value[:4].hex()) != ("—", name, key_id):
            continue
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
            public.verify(value[4:], text.encode() + b"\n")
        except InvalidSignature as wrong:
            raise Wrong(f"the signature of a checkpoint of size {size} is wrong") from wrong
        if origin != name:
            raise Wrong(f"a checkpoint of {origin}")
        return int(size), base64.b64decode(root)
    raise Wrong(f"a checkpoint that {name} did not sign: {note}")


def check_entry(document, origin, key):
    """The leaf as it is read; everything that a record says is held against the rest of it."""
    at, leaf_bytes = document["_id"], bytes(document["leaf"])
    leaf, sealed = json.loads(leaf_bytes), bytes(document["sealed"])
    if base64url(hmac.digest(bytes(document["salt"]), sealed, "sha256")) != leaf["sealed"]:
        raise Wrong(f"the sealed part of entry {at} is not the one that its leaf commits to")
    signed = b"audittrail/signature/v1\n" + origin.encode() + b"\n" + leaf_bytes
    if hmac.digest(key, signed, "sha256") != bytes(document["signature"]):
        raise Wrong(f"the signature of entry {at} is wrong")
    if str(document["id"].as_uuid()) != leaf["id"]:
        raise Wrong(f"entry {at} stands under {document['id']}, and is {leaf['id']}")
    mark, details = leaf["action"], json.loads(sealed).get("details")
    if mark.startswith("soak.") and details != {"text": mark * 3, "n": len(mark)}:
        raise Wrong(f"entry {at}, {mark}, has other details than were sent: {details}")
    return leaf


def read_log(database, origin, key):
    """All entries as (index, leaf, hash), the head, the roots at all sizes; and how many documents
    lie beyond the head."""
    head = database.head.find_one({"_id": "head"})
    tree, entries = Tree(), []
    roots = [tree.root()]
    for document in database.entries.find({"_id": {"$lt": head["size"]}}).sort("_id"):
        if document["_id"] != tree.size:
            raise Wrong(f"entry {tree.size} is not there; the next one is {document['_id']}")
        leaf = check_entry(document, origin, key)
        leaf_hash = hashlib.sha256(b"\0" + bytes(document["leaf"])).digest()
        tree.push(leaf_hash)
        roots.append(tree.root())
        entries.append((document["_id"], leaf, leaf_hash))
    if tree.size != head["size"]:
        raise Wrong(f"the head is at {head['size']}, and there are {tree.size} entries")
    if bytes(head["root"]) != tree.root():
        raise Wrong("the root in the head is not that of the leaves")
    beyond = database.entries.count_documents({"_id": {"$gte": head["size"]}})
    return entries, head, roots, beyond


def check_checkpoints(head, roots, shown, vkey):
    """Every checkpoint that anybody showed, and the one that is kept, are of this log; the kept one
    covers all of it."""
    for notes in shown.values():
        for _, _, note in notes:
            size, root = open_note(note.decode(), vkey)
            if size >= len(roots):
                raise Wrong(f"a checkpoint of size {size} was shown; the log has {len(roots) - 1}")
            if roots[size] != root:
                raise Wrong(f"the checkpoint of size {size} that was shown is of another history")
    kept = head["checkpoint"]
    size, root = open_note(kept["note"], vkey)
    if (size, root) != (kept["size"], bytes(kept["root"])) or root != roots[size]:
        raise Wrong("the checkpoint that is kept is not what it says")
    if size != head["size"]:
        raise Wrong(f"the head is at {head['size']}, and the newest checkpoint at {size}")


class Asked:
    """A Redis, through redis-cli."""

    def __init__(self, port, prefix):
        self.port, self.prefix = port, prefix

    def ask(self, *words):
        ran = subprocess.run(["redis-cli", "-p", str(self.port), *words], check=True,
                             capture_output=True, text=True)
        return ran.stdout.split()

    def waiting(self):
        """How many requests are not settled; None while it does not answer."""
        try:
            return int(self.ask("XLEN", self.prefix + ":requests")[0])
        except (subprocess.CalledProcessError, ValueError, IndexError):
            return None

    def check(self):
        """Nothing is left, nothing was given up, and the counts say so."""
        left = {name: self.ask("XLEN", f"{self.prefix}:{name}")[0] for name in ("requests", "dead")}
        pending = self.ask("XPENDING", self.prefix + ":requests", "sequencer")[0]
        depth = self.ask("HMGET", self.prefix + ":depth", "r", "e", "b")
        if any(one != "0" for one in [*left.values(), pending, *depth]):
            raise Wrong(f"in Redis: {left}, {pending} pending, depth {depth}")


def check_node(node, token, entries, newest):
    """A node lists all of it, verified, and shows the newest checkpoint."""
    headers = {"Authorization": "Bearer " + token}
    path, index = "/logs/list/?order=index&page_size=1000&count=none", 0
    while path:
        status, body = ask(node.address, path, headers, 30)
        page = json.loads(body) if status == 200 else {}
        if status != 200 or page["failed_entries"] != 0:
            raise Wrong(f"{node.name} lists: {status} {body[:300]!r}")
        for one in page["results"]:
            if not one["verified"] or (one["index"], one["id"]) != (index, entries[index][1]["id"]):
                raise Wrong(f"{node.name} shows at {index}: {one}")
            index += 1
        path = page["next"] and "/" + page["next"].split("/", 3)[3]
    if index != len(entries):
        raise Wrong(f"{node.name} lists {index} entries, and there are {len(entries)}")
    status, note = ask(node.address, "/checkpoint", headers)
    if status != 200 or note.decode() != newest:
        raise Wrong(f"{node.name} shows another checkpoint than the kept one: {status} {note!r}")


def check_log_text(node, secrets):
    """That a process's own log has no panic and no secret."""
    text = node.log()
    if "panicked" in text:
        raise Wrong(f"{node.name} panicked: {text[text.index('panicked') - 200:][:2000]}")
    for secret in secrets:
        if secret in text:
            raise Wrong(f"the log of {node.name} has a secret")


def majority(client, name):
    return client.get_database(name, read_concern=ReadConcern("majority"))


def quiet(what, holds, seconds=60, why=lambda: ""):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Wrong(f"{what}: not within {seconds} s; {why()}")
        time.sleep(0.1)
