"""The binary: started with settings, stopped by its process id, asked over HTTP."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
import urllib.parse

from .cases import equal, expect

PATIENCE = 60
JSON, LINES = "application/json", "application/x-ndjson"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(secret, claims, header=None):
    """A token signed with HS256."""
    parts = [header or {"alg": "HS256", "typ": "JWT"}, claims]
    message = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return message + "." + base64url(hmac.digest(secret, message.encode(), hashlib.sha256))


class Response:
    """An answer. What every answer has to have is checked as it is made."""

    def __init__(self, status, headers, body, asked=None):
        self.status, self.headers, self.body = status, headers, body
        sent = asked and asked.get("X-Request-Id")
        said = headers.get("X-Request-Id")
        expect(said and (not sent or said == sent), "X-Request-Id is", said)
        if status >= 400 and body:
            self.check_problem()

    def check_problem(self):
        equal(self.headers["Content-Type"], "application/problem+json", "the type of a problem")
        document = self.json()
        equal(document["status"], self.status, "the problem's status")
        expect(document["type"].startswith("urn:audittrail:problem:"), document)
        equal(document["instance"], "urn:audittrail:request:" + self.headers["X-Request-Id"])
        expect(document["title"] and len(document["detail"]) > 10, document)
        expect(len(document.get("errors", [])) <= 100, "more than 100 errors")
        for error in document.get("errors", []):
            expect(error["detail"] and {"pointer", "parameter"} & set(error), error)
        for status, header in {401: "WWW-Authenticate", 503: "Retry-After", 405: "Allow",
                               429: "Retry-After"}.items():
            if self.status == status:
                expect(self.headers.get(header), f"{status} without {header}")

    def json(self):
        return json.loads(self.body)

    @property
    def slug(self):
        return self.json()["type"].removeprefix("urn:audittrail:problem:")

    def ok(self, status=200):
        expect(self.status == status, "status", self.status, "instead of", status, self.body[:1000])
        return self

    def problem(self, status, slug, says=""):
        """That it is this problem; `says` stands in what it says."""
        expect(self.status == status and self.slug == slug, "wanted", status, slug, "and got",
               self.status, self.body[:1000])
        expect(says in self.body.decode(), "it does not say", says, ":", self.body[:1000])
        return self

    def parameter(self, name):
        """That this parameter is refused by name."""
        self.problem(400, "invalid-parameter")
        named = [error["parameter"] for error in self.json()["errors"]]
        expect(name in named, f"{name} is not named: {named}")


def environment(settings):
    ours = ("AUDITTRAIL_", "LOG_SIGNING_KEY", "MONGO_", "REDIS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | settings


class Server:
    """A server with a directory of its own; `arguments` and `settings` stay over restarts."""

    # Where logs are kept, and how entries get there: none for the embedded store.
    pairing = None

    def __init__(self, binary, home, arguments=(), settings=None, listen="127.0.0.1:0",
                 before=None):
        self.binary, self.home, self.data = binary, home, os.path.join(home, "data")
        self.arguments, self.settings = list(arguments), dict(settings or {})
        self.listen, self.before, self.process = listen, before, None
        os.makedirs(home, exist_ok=True)
        self.start()

    def start(self):
        command = [self.binary, "serve"]
        given = self.arguments + list(self.settings)
        for flag, variable, value in [("--listen", "AUDITTRAIL_LISTEN", self.listen),
                                      ("--metrics-listen", "AUDITTRAIL_METRICS_LISTEN", "same"),
                                      ("--data", "AUDITTRAIL_DATA", self.data)]:
            if flag not in given and variable not in given:
                command += [flag, value]
        with open(os.path.join(self.home, "log"), "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command + self.arguments, stdout=subprocess.PIPE, stderr=log, cwd=self.home,
                env=environment(self.environment()), text=True, preexec_fn=self.before,
                # A limit on files is an error then, not a signal.
                restore_signals=False)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        first = self.process.stdout.readline() if ready else "nothing"
        if not first.startswith("listening on http://"):
            self.kill()
            raise AssertionError(f"the server did not start: {first}{self.log()[-2000:]}")
        self.url = first.strip().removeprefix("listening on ")
        self.address = urllib.parse.urlsplit(self.url).netloc

    def environment(self):
        """Its settings, with those of the pairing that it does not have itself."""
        return (self.pairing.settings(self) if self.pairing else {}) | self.settings

    def log(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8") as log:
            return log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.process.stdout.close()
        return self.process.returncode

    def kill(self):
        """As a crash would: kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def restart(self, crash=False):
        if crash:
            self.kill()
        else:
            equal(self.stop(), 0, "the exit code of a server that is stopped")
        self.start()

    @property
    def secret(self):
        settings = self.environment()
        if "AUDITTRAIL_JWT_SECRET" in settings:
            return settings["AUDITTRAIL_JWT_SECRET"].encode()
        with open(os.path.join(self.data, "keys", "jwt.secret"), "rb") as file:
            return file.read().rstrip(b"\n")

    def token(self, sub="root", roles="admin", **claims):
        given = {"sub": sub, "roles": roles, "exp": int(time.time()) + 3600} | claims
        return mint(self.secret, {name: value for name, value in given.items() if value is not None})

    def call(self, method, path, body=None, token=..., headers=None, params=None, checked=True):
        """A request on a connection of its own. `token=None` sends none."""
        headers = dict(headers or {})
        if token is ...:
            token = self.token()
        if token is not None:
            headers.setdefault("Authorization", "Bearer " + token)
        if params:
            path += "?" + urllib.parse.urlencode(params)
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            try:
                connection.request(method, path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The answer may be there before all of the body is taken.
            answer = connection.getresponse()
            body = answer.read()
            if not checked:
                return answer, body
            return Response(answer.status, answer.headers, body, headers)
        finally:
            connection.close()

    def get(self, path, token=..., headers=None, **params):
        return self.call("GET", path, None, token, headers, params)

    def follow(self, url):
        """A link that the server gave."""
        expect(url.startswith(self.url + "/"), f"{url} is not below {self.url}")
        return self.get(url.removeprefix(self.url)).ok().json()

    def post(self, entries, token=..., headers=None, path="/logs/create/", kind=JSON, **params):
        if not isinstance(entries, bytes):
            entries = json.dumps(entries).encode()
        headers = {"Content-Type": kind} | (headers or {})
        return self.call("POST", path, entries, token, headers, params)

    def list(self, token=..., **params):
        return self.get("/logs/list/", token, **params).ok().json()

    def size(self):
        """Entries in the log."""
        return self.get("/logs/list/", count="exact", page_size="1").ok().json()["count"]

    def metrics(self):
        """Values by name with labels; and types by name."""
        answer, body = self.call("GET", "/metrics", token=None, checked=False)
        equal(answer.status, 200, "the status of /metrics")
        values, types = {}, {}
        for line in body.decode().split("\n"):
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                types[name] = kind
            elif line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values, types

    def raw(self, data, shut=False):
        """Bytes on a connection of their own; all that comes back until it is closed."""
        with self.connect() as connection:
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def connect(self):
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=PATIENCE)

    def stream(self, token=..., last=None, **params):
        return Stream(self, self.token() if token is ... else token, last, params)


def read_all(connection):
    came = b""
    while part := connection.recv(1 << 16):
        came += part
    return came


def parsed(data):
    """An answer as it came over a socket, whose body has a length."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    message = http.client.HTTPMessage()
    for field in fields:
        name, _, value = field.partition(":")
        message[name] = value.strip()
    return Response(int(first.split()[1]), message, body)


class Stream:
    """Server-sent events as the WHATWG's HTML standard has them."""

    def __init__(self, server, token, last, params):
        self.connection = http.client.HTTPConnection(server.address, timeout=PATIENCE)
        headers = {"Authorization": "Bearer " + token, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        query = urllib.parse.urlencode(params)
        self.connection.request("GET", "/logs/stream/?" + query, headers=headers)
        self.answer = self.connection.getresponse()
        self.last, self.response = None, None
        if self.answer.status != 200:
            self.response = Response(self.answer.status, self.answer.headers, self.answer.read())
            self.close()

    def event(self):
        """The next event: its type (None for one without data) and its data."""
        kind, data, new = None, [], self.last
        while line := self.answer.readline():
            field, _, value = line.decode().rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if field == "id":
                new = value
            elif field == "event":
                kind = value
            elif field == "data":
                data.append(value)
            elif line == b"\n":
                self.last = new
                if data:
                    return kind, json.loads("\n".join(data))
                if new is not None and kind is None:
                    return None, None
        raise EOFError("the stream ended")

    def entries(self, count):
        """The next entries."""
        found = []
        while len(found) < count:
            kind, data = self.event()
            if kind == "entry":
                equal(int(self.last), data["index"], "the event's id")
                found.append(data)
            elif kind is not None:
                raise AssertionError(f"an event {kind}: {data}")
        return found

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def command(binary, *arguments, settings=None, text=None, cwd=None):
    """Runs a command; its result."""
    return subprocess.run([binary, *arguments], env=environment(settings or {}), text=True,
                          input=text, capture_output=True, timeout=PATIENCE * 2, cwd=cwd,
                          check=False)
