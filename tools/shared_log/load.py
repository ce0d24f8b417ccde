"""Clients of a shared log, and what is seen from outside while its parts fail."""
import base64
import collections
import http.client
import json
import random
import select
import threading
import time

from soaking import Books, Wrong

from .nodes import ask

# An answer comes within this time, in seconds: a request may take 30.
ANSWERED = 45
ACKS = ("committed", "queued", "published")


class SharedBooks(Books):
    """Books whose requests may also be queued, or sent again with ids that an answer gave."""

    def __init__(self):
        super().__init__()
        self.counts |= {"queued": 0, "not sent": 0}
        self.wrong, self.again_now = [], collections.deque()
        # When what was answered, and after how long: (at, ack, seconds).
        self.answers = []

    def new(self, rng):
        request = super().new(rng)
        # What is sent again has to say the same; a key makes an id, and is said again as it is.
        request.ack = rng.choice(ACKS)
        return request

    def queued(self, request, ids):
        for own, made in zip(request.ids, ids):
            if own not in (None, made):
                raise Wrong(f"sent with the id {own}, queued with {made}")
        if len(ids) != len(request.marks):
            raise Wrong(f"{len(request.marks)} entries were sent, and {len(ids)} queued")
        if request.state != "acknowledged":
            request.state = "queued"
        request.made = ids
        if not request.key:
            request.ids = ids
        self.count("queued")

    def read(self, entries):
        """Holds the books against all entries of the log: (index, leaf, hash), in order."""
        self.restart_reading()
        for index, leaf, leaf_hash in entries:
            self.seen(index, leaf, base64.b64encode(leaf_hash).decode())
        waiting, self.unchecked = self.unchecked, []
        for request in waiting:
            self.check_request(request)

    def check_request(self, request):
        if request.state != "queued":
            super().check_request(request)
            return
        places = [self.placed.get(mark) for mark in request.marks]
        if None in places:
            raise Wrong(f"{request.marks} was acknowledged as queued, and is not stored: {places}")
        if places != list(range(places[0], places[0] + len(places))):
            raise Wrong(f"the entries of a request do not follow each other: {places}")
        if [self.entries[place][0] for place in places] != request.made:
            raise Wrong(f"{request.marks} was queued as {request.made}, and has other ids")


class Client(threading.Thread):
    """Writes, one request after the other, to whichever node takes connections."""

    def __init__(self, books, addresses, token, seed, pause, ack=None):
        super().__init__(daemon=True)
        self.books, self.rng, self.pause, self.ack = books, random.Random(seed), pause, ack
        self.addresses, self.connections = addresses, {}
        self.headers = {"Authorization": "Bearer " + token}
        self.ends = threading.Event()

    def run(self):
        while not self.ends.wait(self.pause * (0.5 + self.rng.random())):
            try:
                self.step()
            except Exception as error:  # whatever it is, it belongs into the report
                self.books.wrong.append(repr(error))

    def step(self):
        if self.ack is None and self.rng.random() < 0.8:
            self.again()
        else:
            request = self.books.new(self.rng)
            request.ack = self.ack or request.ack
            self.send(request)

    def again(self):
        """Something that has no answer, or now and then what has one: it gets the same."""
        try:
            request = self.books.again_now.popleft()
        except IndexError:
            sent = self.books.sent
            request = self.rng.choice(sent) if sent else None
            if request is None or request.state != "acknowledged" or not request.again():
                return
        self.books.count("resent")
        self.send(request)

    def exchange(self, path, body, headers):
        """Status and body; None where nobody knows what became of it, False where no node took it."""
        addresses = list(self.addresses)
        self.rng.shuffle(addresses)
        for address in addresses:
            connection = self.connections.get(address)
            if connection is None:
                connection = http.client.HTTPConnection(address, timeout=ANSWERED)
                self.connections[address] = connection
            if connection.sock and select.select([connection.sock], [], [], 0)[0]:
                connection.close()  # the server has closed it: nothing is sent in vain
            try:
                if connection.sock is None:
                    connection.connect()
            except OSError:
                continue
            try:
                connection.request("POST", path, body, {**self.headers, **headers})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except TimeoutError as late:
                connection.close()
                raise Wrong(f"{address} did not answer within {ANSWERED} s") from late
            except (http.client.HTTPException, OSError):
                connection.close()
                return None
        return False

    def send(self, request):
        media_type, body = request.body()
        headers = {"Content-Type": media_type}
        if request.key:
            headers["Idempotency-Key"] = request.key
        first, request.tried = not request.tried, True
        begun = time.monotonic()
        answer = self.exchange(f"/logs/create/?ack={request.ack}", body, headers)
        ended = time.monotonic()
        books = self.books
        if not answer:
            books.count("unknown" if answer is None else "not sent")
            if answer is False and first:
                request.state = "refused"
            elif request.again() and request.state == "unknown":
                books.again_now.append(request)
            return
        status, body = answer
        document = json.loads(body)
        if status in (201, 202):
            given = document.get("results", [document])
            if document["ack"] == "queued":
                books.queued(request, [one["id"] for one in given])
            else:
                books.acknowledged(request, given)
                reached = document["ack"]
                if status == 201 and request.ack != "queued" and reached != request.ack:
                    raise Wrong(f"{request.ack} was asked for, and {reached} answered with 201")
            # 202 to who asked for `published` tells of a commit that may be long ago.
            what = document["ack"] if status == 201 or document["ack"] == "queued" else status
            books.answers.append((ended, what, ended - begun))
            return
        books.answers.append((ended, status, ended - begun))
        if status == 504:
            books.count("unknown")
            if request.key is None:
                ids = document["ids"]
                if any(own not in (None, made) for own, made in zip(request.ids, ids)):
                    raise Wrong(f"504 gives {ids} for {request.ids}")
                request.ids = ids
            if request.state == "unknown":
                books.again_now.append(request)
        elif status in (429, 503):
            if first:
                request.state = "refused"
                books.count("refused")
            elif request.state == "unknown":
                books.again_now.append(request)
        else:
            raise Wrong(f"{status} to {request.form} {request.marks[:2]}, {request.state}: {body[:500]!r}")


class Watch(threading.Thread):
    """Asks nodes for their checkpoint and their health, some five times a second."""

    def __init__(self, nodes, token):
        super().__init__(daemon=True)
        self.nodes, self.ends = nodes, threading.Event()
        self.headers = {"Authorization": "Bearer " + token}
        # By size: the notes that were shown; and (at, node, ready, why) of each look.
        self.shown, self.health, self.wrong = {}, [], []
        self.newest = collections.Counter()

    def run(self):
        threads = [threading.Thread(target=self.follow, args=(one,), daemon=True)
                   for one in self.nodes]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def follow(self, node):
        while not self.ends.wait(0.15):
            ready, why = node.ready()
            self.health.append((time.monotonic(), node.name, ready, why))
            status, note = ask(node.address, "/checkpoint", self.headers)
            if status == 200:
                self.see(node, note)

    def see(self, node, note):
        origin, size, root = note.decode().split("\n")[:3]
        size = int(size)
        self.shown.setdefault(size, set()).add((origin, root, note))
        if len({root for _, root, _ in self.shown[size]}) > 1:
            self.wrong.append(f"two histories: {self.shown[size]}")
        # A process that started anew may show what is kept, never less than it showed before.
        if size < self.newest[node.name]:
            self.wrong.append(f"{node.name} showed {self.newest[node.name]}, and now {size}")
        self.newest[node.name] = size
