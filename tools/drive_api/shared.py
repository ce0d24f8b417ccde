"""A log that several processes share: what its settings do, and what they refuse."""
import os
import select
import subprocess
import time
import urllib.request

from .cases import add, bad, equal, expect, good, until
from .configured import refuses, row, secret_row
from .pairings import SECRET, SIGNING_KEY
from .server import environment

WORKER = "From the command line: audittrail worker"


class Log:
    """A log in MongoDB with its queue in Redis, and processes on it."""

    number = 0

    def __init__(self, world, redis=None):
        Log.number += 1
        self.world, self.redis = world, redis or world.stores.redis
        origin = f"log.test/several-{Log.number}"
        key = world.run("keys", "new", "--origin", origin)
        self.database = f"several_{Log.number}"
        self.settings = {
            "AUDITTRAIL_STORE": world.stores.mongo.url(self.database),
            "AUDITTRAIL_QUEUE": self.redis.url, "AUDITTRAIL_ORIGIN": origin,
            "LOG_SIGNING_KEY": SIGNING_KEY, "AUDITTRAIL_JWT_SECRET": SECRET,
            "AUDITTRAIL_CHECKPOINT_KEY": key.stdout.strip(), "AUDITTRAIL_WORKER": "in-process"}

    def api(self, **settings):
        return self.world.server(settings=self.settings | settings)

    def worker(self, **settings):
        given = self.settings | settings
        for name in ("AUDITTRAIL_WORKER", "AUDITTRAIL_JWT_SECRET"):
            del given[name]
        return Worker(self.world, given)


class Worker:
    def __init__(self, world, settings):
        self.home = world.directory()
        with open(os.path.join(self.home, "log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [world.binary, "worker", "--metrics-listen", "127.0.0.1:0"], stderr=log,
                stdout=subprocess.PIPE, env=environment(settings), text=True, cwd=self.home)
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        first = self.process.stdout.readline() if ready else "nothing"
        expect(first.startswith("metrics and health on http://"), first, self.log())
        self.url = first.split()[-1]

    def log(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8") as log:
            return log.read()

    def leads(self):
        return "this process sequences the log" in self.log()

    def metrics(self):
        """What it tells of its lead."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.partition(" ") for line in lines)
                if name.startswith("audittrail_lead")}

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


@good(WORKER)
def one_leads_and_another_takes_over(world):
    """What was taken before the first is gone is stored by the second, once."""
    log = Log(world)
    first = log.worker()
    second = log.worker()
    server = log.api(AUDITTRAIL_WORKER="none")
    equal((first.leads(), second.leads()), (True, False))
    equal(first.metrics(), {"audittrail_leader": 1, "audittrail_lead_taken_total": 1})
    equal(second.metrics(), {"audittrail_leader": 0})
    for one in (first, second):
        equal(world.run("health", "--url", one.url).returncode, 0)
    sent = [server.post({"action": "a", "resource": str(number)}, ack="queued").ok(202).json()["id"]
            for number in range(20)]
    first.process.kill()
    first.process.wait()
    begun = time.monotonic()
    server.post({"action": "b"}, ack="published").ok(201)
    expect(time.monotonic() - begun < 10, "it took", time.monotonic() - begun)
    expect(second.leads(), second.log())
    until(lambda: server.size() == 21, "all that was queued")
    equal(sorted(one["id"] for one in server.list(action="a", page_size="100")["results"]), sorted(sent))
    # An orderly end leaves the lead to the next at once.
    third = log.worker()
    equal(second.stop(), 0)
    server.post({"action": "c"}).ok(201)
    expect(third.leads(), third.log())
    equal(third.stop(), 0)
    until(lambda: server.get("/health/ready", None).status == 503, "that nobody leads")
    server.get("/health/ready", None).problem(503, "not-ready", "no process leads the log")
    world.discard(server)


for name in ["leader", "lead_taken_total"]:
    @good(f"Metrics: audittrail_{name}")
    def of_a_worker(world, name=name):
        worker = Log(world).worker()
        equal(worker.metrics()[f"audittrail_{name}"], 1)
        equal(worker.stop(), 0)

    @bad(f"Metrics: audittrail_{name}")
    def of_a_node_that_does_not_sequence(world):
        log = Log(world)
        worker, server = log.worker(), log.api(AUDITTRAIL_WORKER="none")
        expect(not any(one.startswith("audittrail_lead") for one in server.metrics()[0]))
        world.discard(server)
        equal(worker.stop(), 0)


@bad(WORKER)
def not_without_both_servers(world):
    log = Log(world)
    for change, says in [({"AUDITTRAIL_STORE": "embedded"}, "AUDITTRAIL_QUEUE"),
                         ({"AUDITTRAIL_QUEUE": "in-process"}, "redis:// URL"),
                         ({"AUDITTRAIL_WORKER": "none"}, "leave AUDITTRAIL_WORKER out"),
                         ({"AUDITTRAIL_CHECKPOINT_KEY": None}, "AUDITTRAIL_CHECKPOINT_KEY"),
                         ({"AUDITTRAIL_METRICS_LISTEN": "same"}, "address of its own")]:
        settings = {name: value for name, value in (log.settings | change).items() if value}
        run = world.run("worker", settings=settings)
        equal((run.returncode, run.stdout), (2, ""), change, run.stderr)
        expect(says in run.stderr, says, run.stderr)


@good(row("AUDITTRAIL_STORE"))
def in_mongodb(world):
    """Nothing is made on disk, and what one node stores the others show."""
    log = Log(world)
    one, two = log.api(AUDITTRAIL_QUEUE="in-process"), None
    receipt = one.post({"action": "a"}, ack="published").ok(201).json()
    expect(not os.path.exists(one.data), "there is a data directory")
    one.restart()
    equal(one.list()["results"][0]["id"], receipt["id"])
    one.restart(crash=True)
    equal(one.list()["count"], 1)
    one.stop()
    two = log.api()
    equal(two.list()["results"][0]["id"], receipt["id"])
    for server in (one, two):
        expect(SIGNING_KEY not in server.log() and SECRET not in server.log(), "a secret is logged")
    world.servers.remove(one)
    world.discard(two)


@bad(row("AUDITTRAIL_STORE"))
def nothing_is_made_with_mongodb(world):
    """All that is missing is named; another log's key is refused."""
    log = Log(world)
    home = world.directory()
    for name in ["AUDITTRAIL_ORIGIN", "LOG_SIGNING_KEY", "AUDITTRAIL_JWT_SECRET",
                 "AUDITTRAIL_CHECKPOINT_KEY"]:
        settings = {key: value for key, value in log.settings.items() if key != name}
        run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", cwd=home,
                        settings=settings)
        equal((run.returncode, run.stdout), (2, ""), run.stderr)
        expect(name in run.stderr and SIGNING_KEY not in run.stderr, run.stderr)
    equal(os.listdir(home), [])
    world.discard(log.api())
    other = world.run("keys", "new", "--origin", log.settings["AUDITTRAIL_ORIGIN"]).stdout.strip()
    run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                    settings=log.settings | {"AUDITTRAIL_CHECKPOINT_KEY": other})
    equal(run.returncode, 3)
    expect("the key that the log was begun with" in run.stderr, run.stderr)


@good(row("AUDITTRAIL_QUEUE"))
def entries_over_redis(world):
    """Two nodes, each of which may sequence: what one takes the other shows within a second."""
    log = Log(world)
    one, two = log.api(), log.api()
    with two.stream() as stream:
        equal(stream.event(), (None, None))
        sent = one.post({"action": "a"}).ok(201).json()
        begun = time.monotonic()
        equal(stream.entries(1)[0]["id"], sent["id"])
        expect(time.monotonic() - begun < 1, "it took", time.monotonic() - begun)
    equal(two.list()["results"][0]["id"], sent["id"])
    equal(two.post({"action": "b"}, ack="published").ok(201).json()["index"], 1)
    for server in (one, two):
        server.get("/health/ready", None).ok()
        world.discard(server)


@bad(row("AUDITTRAIL_QUEUE"))
def not_durable(world):
    """`queued` is not promised of a Redis that may forget."""
    from shared_log.servers import Redis
    redis = Redis("--appendonly", "no").start()
    try:
        log = Log(world, redis)
        run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                        settings=log.settings | {"AUDITTRAIL_ACK": "queued"})
        equal((run.returncode, run.stdout), (2, ""), run.stderr)
        expect("appendonly is no" in run.stderr, run.stderr)
        server = log.api()
        # It is asked for: then the answer waits for the commit.
        equal(server.post({"action": "a"}, ack="queued").ok(201).json()["ack"], "committed")
        redis.kill()
        until(lambda: server.get("/health/ready", None).status == 503, "that Redis is away")
        server.get("/health/ready", None).problem(503, "not-ready", "queue")
        server.post({"action": "b"}).problem(503, "unavailable", "Nothing of this was stored")
        redis.start()
        until(lambda: server.get("/health/ready", None).status == 200, "that Redis is back")
        server.post({"action": "c"}).ok(201)
        equal(server.size(), 2)
        world.discard(server)
    finally:
        redis.close()


@good(row("AUDITTRAIL_WORKER"))
def nodes_that_do_not_sequence(world):
    """They need no checkpoint key, and know the log by its origin."""
    log = Log(world)
    one = log.api()
    settings = {name: value for name, value in log.settings.items()
                if name != "AUDITTRAIL_CHECKPOINT_KEY"}
    two = world.server(settings=settings | {"AUDITTRAIL_WORKER": "none"})
    receipt = two.post({"action": "a"}, ack="published").ok(201).json()
    expect(f"— {log.settings['AUDITTRAIL_ORIGIN']} " in receipt["proof"], receipt)
    world.discard(one)
    world.discard(two)


for value in ["", "some", "None"]:
    refuses(row("AUDITTRAIL_WORKER"), {"AUDITTRAIL_WORKER": value}, says="worker")
refuses(row("AUDITTRAIL_WORKER"), {"AUDITTRAIL_WORKER": "none"}, says="nobody would commit")

CERTIFICATES = ["AUDITTRAIL_REDIS_CA", "AUDITTRAIL_REDIS_CERTIFICATE", "AUDITTRAIL_REDIS_KEY"]
USERS = [secret_row(f"{one}_USERNAME, {one}_PASSWORD") for one in ("MONGO", "REDIS")]


def guarded(world):
    """A Redis that wants TLS, a certificate and a password, and a MongoDB that knows a user."""
    from shared_log.servers import GuardedRedis
    redis = GuardedRedis().start()
    try:
        log = Log(world, redis)
        with world.stores.mongo.primary().client() as client:
            client.admin.command("createUser", f"user {Log.number}", pwd="p@ss:word/é",
                                 roles=["root"])
        settings = dict(zip(CERTIFICATES, [redis.ca, redis.certificate, redis.key])) | {
            "REDIS_PASSWORD": redis.PASSWORD, "MONGO_USERNAME": f"user {Log.number}",
            "MONGO_PASSWORD": "p@ss:word/é"}
        log.settings["AUDITTRAIL_STORE"] += "&authSource=admin"
        server = log.api(**settings)
        server.post({"action": "a"}, ack="queued").ok(202)
        server.post({"action": "b"}).ok(201)
        equal(server.size(), 2)
        world.discard(server)
        shown = server.log()
        for name, wrong, says in [
                ("AUDITTRAIL_REDIS_CA", redis.certificate, "Redis"),
                ("AUDITTRAIL_REDIS_CERTIFICATE", None, "certificate needs its key"),
                ("REDIS_PASSWORD", "not this one", "Redis"),
                ("MONGO_PASSWORD", "not this one", "MongoDB"),
                ("MONGO_USERNAME", None, "MONGO_PASSWORD is set")]:
            changed = {key: value for key, value in (log.settings | settings | {name: wrong}).items()
                       if value}
            run = world.run("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none",
                            settings=changed)
            expect(run.returncode in (2, 3) and says in run.stderr, name, run.returncode, run.stderr)
            shown += run.stderr + run.stdout
        for secret in (redis.PASSWORD, "p@ss:word/é", "not this one", "p%40ss"):
            expect(secret not in shown, "a password is shown:", shown)
    finally:
        redis.close()


for one in [row(name) for name in CERTIFICATES] + USERS:
    add(one, True, "guarded servers", lambda world: world.shared("_guarded", guarded))


def beside_what_does_not_use_it(name, value):
    settings = {name: value}
    other = "redis://127.0.0.1:1" if name.startswith("AUDITTRAIL_REDIS") else None
    says = {"MONGO": "the store is embedded"}.get(name[:5], "the queue is in-process")
    refuses(row(name) if name.startswith("AUDITTRAIL") else
            secret_row(f"{name[:5]}_USERNAME, {name[:5]}_PASSWORD"), settings, says=says)
    if other:
        refuses(row(name), settings | {"AUDITTRAIL_QUEUE": other, "AUDITTRAIL_STORE": "mongodb://a"},
                says="cannot be read")


for name in CERTIFICATES:
    beside_what_does_not_use_it(name, "no-such-file.pem")
for name in ["MONGO_USERNAME", "MONGO_PASSWORD", "REDIS_USERNAME", "REDIS_PASSWORD"]:
    beside_what_does_not_use_it(name, "somebody")
