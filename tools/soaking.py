"""What crash-soak and fault-soak have in common: a server, a client, and the books on both.

The books know of every request what became of it. A check reads the log with read_log.py, which
shares no code with the server, and holds the books against it:

- acknowledged: each entry is at the index and has the id and leaf hash of its receipt;
- refused: none of its entries is there;
- unknown (no answer, or one that says so): all of its entries are there, one after the other, or
  none; with ids of the client's it is sent again until it is answered, and still there once;
- no entry is there twice, and none is there that nobody sent;
- the checkpoint's root is that of the leaves, and it covers all of them once the server has started.
"""
import copy
import http.client
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testdata"))
import read_log  # noqa: E402  (its folder has to be known first)

# Nothing that is waited for takes so long.
DEADLINE = 60


class Wrong(Exception):
    """The server broke a promise."""


class Server:
    """The binary, on a free port, with its data below a directory."""

    def __init__(self, binary, home, environment=None):
        self.binary, self.data = binary, os.path.join(home, "data")
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("AUDITTRAIL_", "LOG_SIGNING_KEY"))}
        self.log = os.path.join(home, "server.log")
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [binary, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                 "--data", self.data],
                env={**kept, **(environment or {})}, stdout=subprocess.PIPE, stderr=log)
        self.address = None

    def listens(self, within=DEADLINE):
        """Waits for the address; False if the process ended without one."""
        line, end = b"", time.monotonic() + within
        while not line.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Wrong(f"no start within {within} s\n{self.tail()}")
            part = os.read(self.process.stdout.fileno(), 1)
            if not part:
                self.process.wait()
                return False
            line += part
        self.address = line.decode().split("//")[-1].strip()
        return True

    def started(self):
        if not self.listens():
            raise Wrong(f"the server does not start\n{self.tail()}")
        return self

    def token(self):
        made = subprocess.run(
            [self.binary, "token", "--sub", "soak", "--role", "admin", "--ttl", "30d",
             "--data", self.data], check=True, capture_output=True, text=True)
        return made.stdout.strip()

    def send(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """SIGTERM, and then the end; whether it ended well."""
        self.send(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE) == 0
        except subprocess.TimeoutExpired as late:
            raise Wrong(f"the server does not stop\n{self.tail()}") from late
        finally:
            self.process.stdout.close()

    def tail(self):
        with open(self.log, encoding="utf-8") as log:
            return "".join(log.readlines()[-30:])


class Request:
    """Entries that were sent together."""

    def __init__(self, marks, ids, form, key=None):
        self.marks, self.ids, self.form, self.key = marks, ids, form, key
        self.state, self.receipts, self.tried = "unknown", None, False

    def again(self):
        """Whether sending it again stores nothing twice."""
        return bool(self.ids[0] or self.key)

    def body(self):
        entries = []
        for mark, one in zip(self.marks, self.ids):
            entry = {"action": mark, "user_id": "soak", "details": {"text": mark * 3, "n": len(mark)}}
            if one:
                entry["id"] = one
            entries.append(json.dumps(entry))
        if self.form == "one":
            return "application/json", entries[0]
        if self.form == "array":
            return "application/json", "[" + ",".join(entries) + "]"
        return "application/x-ndjson", "\n".join(entries) + "\n"


class Books:
    """What was sent, what was answered, and what the log holds."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.next = [], 0
        self.restart_reading()
        self.counts = {"acknowledged": 0, "unknown": 0, "refused": 0, "reads": 0, "resent": 0}

    def restart_reading(self):
        """Forgets what was read, so that the next check reads the log from its start."""
        self.log, self.placed, self.entries = None, {}, []
        self.unchecked = list(self.sent)

    def copy(self):
        """Other books that begin with the same requests."""
        other = Books()
        other.sent, other.next = [copy.copy(one) for one in self.sent], self.next
        other.restart_reading()
        return other

    def new(self, rng):
        """A request to send: of one or more entries, in each form, with ids or without."""
        form = rng.choice(["one", "one", "one", "array", "ndjson", "ndjson"])
        count = 1 if form == "one" else rng.choice([1, 2, 5, 20, 60])
        with self.lock:
            first, self.next = self.next, self.next + count
        marks = [f"soak.{number}" for number in range(first, first + count)]
        own = rng.random() < 0.5
        ids = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) if own else None for _ in marks]
        key = f"key-{first}" if form == "one" and not own and rng.random() < 0.5 else None
        request = Request(marks, ids, form, key)
        with self.lock:
            self.sent.append(request)
            self.unchecked.append(request)
        return request

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def acknowledged(self, request, receipts):
        receipts = [(one["index"], one["id"], one["leaf_hash"]) for one in receipts]
        first = receipts[0][0]
        if [one[0] for one in receipts] != list(range(first, first + len(request.marks))):
            raise Wrong(f"the indices of one request do not follow each other: {receipts}")
        if request.receipts not in (None, receipts):
            raise Wrong(f"{request.marks}: {request.receipts} first, now {receipts}")
        if request.state == "refused":
            raise Wrong(f"{request.marks} was refused for good, and then acknowledged")
        for one, (_, made, _) in zip(request.ids, receipts):
            if one not in (None, made):
                raise Wrong(f"sent with the id {one}, stored with {made}")
        request.state, request.receipts = "acknowledged", receipts
        self.count("acknowledged")

    def seen(self, index, entry, leaf_hash):
        mark = entry["action"]
        if mark.startswith("soak."):
            if mark in self.placed:
                raise Wrong(f"{mark} is there twice: at {self.placed[mark]} and {index}")
            self.placed[mark] = index
        elif mark != "audittrail.export":
            raise Wrong(f"nobody sent {mark}, at {index}")
        self.entries.append((entry["id"], leaf_hash))

    def check(self, data, whole=True):
        """Holds the books against the log. whole: a server has started since, so that the
        checkpoint has to cover all entries."""
        if self.log is None:
            self.log = read_log.Log(data, self.seen)
        try:
            covered = self.log.read()
        except SystemExit as found:
            raise Wrong(f"read_log.py: {found}") from found
        size = self.log.tree.size
        if whole and covered != size:
            raise Wrong(f"{size} entries, but the checkpoint covers {covered}")
        waiting, self.unchecked = self.unchecked, []
        for request in waiting:
            self.check_request(request)
            # What has no answer may get one; the others are checked again when all is read anew.
            if request.state == "unknown" and request.again():
                self.unchecked.append(request)
        return size

    def check_request(self, request):
        places = [self.placed.get(mark) for mark in request.marks]
        if request.state == "acknowledged":
            for mark, place, (index, one, leaf_hash) in zip(request.marks, places, request.receipts):
                if place != index or self.entries[index] != (one, leaf_hash):
                    raise Wrong(f"{mark} was acknowledged at {index} as {one}; it is at {place}")
        elif request.state == "refused":
            if any(place is not None for place in places):
                raise Wrong(f"{request.marks} was refused, and is at {places}")
        elif places[0] is None:
            if any(place is not None for place in places):
                raise Wrong(f"a part of a request was stored: {places}")
        elif places != list(range(places[0], places[0] + len(places))):
            raise Wrong(f"the entries of a request do not follow each other: {places}")

    def unanswered(self):
        """What may be sent again and has no answer."""
        return [one for one in self.sent if one.state == "unknown" and one.again()]


class Client:
    """One connection that writes, resends, reads and exports."""

    def __init__(self, books, address, token, seed):
        self.books, self.rng = books, random.Random(seed)
        self.headers = {"Authorization": "Bearer " + token}
        self.connection = http.client.HTTPConnection(address, timeout=DEADLINE)
        self.last = -1

    def exchange(self, method, path, body=None, headers=None):
        """Status and body; None where the connection broke first."""
        try:
            self.connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError as late:
            raise Wrong(f"{method} {path} was not answered within {DEADLINE} s") from late
        except (http.client.HTTPException, OSError):
            self.connection.close()
            return None

    def write(self, request):
        """Sends a request; its status, or None."""
        media_type, body = request.body()
        headers = {"Content-Type": media_type}
        if request.key:
            headers["Idempotency-Key"] = request.key
        first, request.tried = not request.tried, True
        answer = self.exchange("POST", "/logs/create/", body, headers)
        if answer is None:
            self.books.count("unknown")
            return None
        status, body = answer
        if status == 201:
            answer = json.loads(body)
            receipts = answer.get("results", [answer])
            self.books.acknowledged(request, receipts)
            return status
        if status == 504:
            self.books.count("unknown")
        elif status in (429, 503):
            # Of what was sent before, an earlier try may have been stored.
            if first:
                request.state = "refused"
                self.books.count("refused")
        else:
            raise Wrong(f"{status} to {request.form} {request.marks[:2]}: {body!r}")
        return status

    def step(self):
        """One request of some kind; False where the connection broke."""
        kind = self.rng.random()
        acked = self.rng.choice(self.books.sent) if self.books.sent else None
        if kind < 0.75 or acked is None or acked.state != "acknowledged":
            request = self.books.new(self.rng)
            status = self.write(request)
            if status == 201:
                # Sent after the last was answered, so it comes after it.
                if request.receipts[0][0] <= self.last:
                    raise Wrong(f"{request.receipts[0][0]} was given out after {self.last}")
                self.last = request.receipts[-1][0]
            return status is not None
        if kind < 0.85 and acked.again():
            self.books.count("resent")
            return self.write(acked) is not None
        if kind < 0.97:
            return self.read(acked)
        return self.export(acked)

    def read(self, acked):
        index, one, _ = acked.receipts[0]
        path = self.rng.choice([f"/logs/{one}/", f"/logs/list/?action={acked.marks[0]}"])
        answer = self.exchange("GET", path)
        if answer is None:
            return False
        status, body = answer
        if status == 503:
            return True
        found = json.loads(body) if status == 200 else {}
        results = found.get("results", [found])
        if len(results) != 1 or (results[0].get("index"), results[0].get("verified")) != (index, True):
            raise Wrong(f"{path} of an acknowledged entry: {status} {body[:500]!r}")
        self.books.count("reads")
        return True

    def export(self, acked):
        index = acked.receipts[0][0]
        answer = self.exchange("GET", f"/logs/export/?format=ndjson&index_from={index}")
        # It is recorded before it begins, and that may fail like any write.
        if answer is None or answer[0] in (503, 504):
            return answer is not None
        lines = [json.loads(line) for line in answer[1].splitlines()]
        if answer[0] != 200 or [one["index"] for one in lines] != list(range(index, index + len(lines))) \
                or not all(one["verified"] for one in lines) or len(lines) < len(acked.marks):
            raise Wrong(f"an export from {index}: {answer[0]} {answer[1][:500]!r}")
        self.books.count("reads")
        return True


def resend(books, server, token):
    """Sends again what has no answer, until it has one."""
    client = Client(books, server.address, token, 0)
    for request in books.unanswered():
        end = time.monotonic() + DEADLINE
        while client.write(request) != 201:
            if time.monotonic() > end or server.process.poll() is not None:
                raise Wrong(f"{request.marks} is not taken again\n{server.tail()}")
            time.sleep(0.05)


def fsck(binary, data):
    ran = subprocess.run([binary, "fsck", "--data", data], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Wrong(f"fsck: {ran.stdout}{ran.stderr}")
    return ran.stdout.strip().splitlines()[-1]
