"""redis-server and mongod, each on a free port with files of its own, stopped by its process id."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import pymongo

PATIENCE = 60
HERE = os.path.dirname(os.path.abspath(__file__))
MONGOD = os.path.join(HERE, "..", "..", ".test-tools", "mongod", "mongod")


def until(holds, what, seconds=PATIENCE):
    """Asks again and again; the deadline only tells waiting from hanging."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} seconds")
        time.sleep(0.02)
    return value


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A server whose files stay over restarts."""

    def __init__(self, name, port=None):
        self.name, self.port, self.process = name, port or free_port(), None
        self.home = tempfile.mkdtemp(prefix=f"audittrail-{name}-")

    def command(self):
        raise NotImplementedError

    def answers(self):
        raise NotImplementedError

    def launch(self):
        with open(os.path.join(self.home, "out"), "ab") as out:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, cwd=self.home)

    def start(self):
        self.launch()
        until(self.answered, f"{self.name} starts")
        return self

    def answered(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.home, "out"), encoding="utf-8", errors="replace") as out:
                raise AssertionError(f"{self.name} ended: {out.read()[-2000:]}")
        return self.answers()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, of one that is stopped too."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Redis(Process):
    """Durable: every command is synced, and nothing is thrown away."""

    def __init__(self, *arguments):
        super().__init__("redis")
        self.arguments = arguments or ("--appendonly", "yes", "--appendfsync", "always")

    def command(self):
        binary = shutil.which("redis-server")
        return [binary, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.home,
                "--save", "", *self.arguments]

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"


class Mongod(Process):
    """A member of a replica set."""

    def __init__(self):
        super().__init__("mongod")

    def command(self):
        binary = shutil.which("mongod") or MONGOD
        return [binary, "--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath", self.home,
                "--replSet", "rs0", "--nounixsocket", "--quiet", "--oplogSize", "200",
                "--wiredTigerCacheSizeGB", "0.25",
                "--setParameter", "diagnosticDataCollectionEnabled=false"]

    def client(self):
        return pymongo.MongoClient("127.0.0.1", self.port, directConnection=True,
                                   serverSelectionTimeoutMS=500, socketTimeoutMS=2000)

    def answers(self):
        with self.client() as client:
            try:
                return bool(client.admin.command("hello"))
            except pymongo.errors.PyMongoError:
                return False

    def is_primary(self):
        with self.client() as client:
            try:
                return client.admin.command("hello").get("isWritablePrimary", False)
            except pymongo.errors.PyMongoError:
                return False


class ReplicaSet:
    """One or more members, with a primary."""

    def __init__(self, size=1):
        self.members = [Mongod().start() for _ in range(size)]
        members = [{"_id": at, "host": f"127.0.0.1:{one.port}"}
                   for at, one in enumerate(self.members)]
        settings = {"electionTimeoutMillis": 5000, "heartbeatIntervalMillis": 1000}
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate",
                                 {"_id": "rs0", "members": members, "settings": settings})
        self.wait()

    def primary(self):
        return next((one for one in self.members
                     if one.process.poll() is None and one.is_primary()), None)

    def wait(self):
        return until(self.primary, "a primary is elected")

    def url(self, database, hosts=None):
        hosts = hosts or ",".join(f"127.0.0.1:{one.port}" for one in self.members)
        return f"mongodb://{hosts}/{database}?replicaSet=rs0"

    def close(self):
        for one in self.members:
            one.close()


class Stores:
    """A Redis and a MongoDB, which need not be known apart."""

    def __init__(self, members=1):
        self.redis, self.mongo = Redis().start(), ReplicaSet(members)

    def close(self):
        self.redis.close()
        self.mongo.close()


def certificates(home):
    """An authority, and a certificate for 127.0.0.1 of it, by openssl: PEM files."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=127.0.0.1", "-keyout", "own.key", "-out", "own.csr")
    with open(os.path.join(home, "extensions"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", "extensions", "-out", "own.pem")
    return [os.path.join(home, name) for name in ("ca.pem", "own.pem", "own.key")]


class GuardedRedis(Redis):
    """TLS alone, a certificate of each client, and a password."""

    PASSWORD = "p@ss/word of redis"

    def __init__(self):
        super().__init__()
        self.ca, self.certificate, self.key = certificates(self.home)

    def command(self):
        return [shutil.which("redis-server"), "--bind", "127.0.0.1", "--port", "0",
                "--tls-port", str(self.port), "--tls-cert-file", self.certificate,
                "--tls-key-file", self.key, "--tls-ca-cert-file", self.ca, "--dir", self.home,
                "--requirepass", self.PASSWORD, "--save", "", *self.arguments]

    def answers(self):
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    connection.sendall(b"PING\r\n")
                    return connection.recv(64).startswith(b"-NOAUTH")
        except OSError:
            return False

    @property
    def url(self):
        return f"rediss://127.0.0.1:{self.port}"
