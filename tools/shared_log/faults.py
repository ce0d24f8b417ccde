"""The rows of the failure table: what is done to a cluster while it takes load."""
import signal
import time

from drive_api.cases import equal

from .cluster import SUPERVISED
from .nodes import ask
from .servers import PATIENCE, until

# Longer than a lease, which is 6 s.
BEYOND_LEASE = 9
# Longer than an operation of MongoDB is waited for, which is 10 s.
BEYOND_OPERATION = 14
# Longer than a request may take, 30 s, and than a worker is left what it has taken, 15 s.
BEYOND_REQUEST = 35
# What a server that is slow does not answer for.
SLOW = 8


def api_killed(cluster):
    cluster.restart_killed(cluster.apis[0])


def leader_killed(cluster):
    cluster.restart_killed(cluster.leader())


def standby_killed(cluster):
    cluster.restart_killed(cluster.standby())


def redis_killed(cluster):
    cluster.restart_killed(cluster.redis)


def mongod_killed(cluster):
    cluster.restart_killed(cluster.mongo.members[0])
    cluster.mongo.wait()


def mongod_away(cluster):
    cluster.restart_killed(cluster.mongo.members[0], BEYOND_REQUEST)
    cluster.mongo.wait()


def primary_killed(cluster):
    killed = cluster.mongo.primary()
    cluster.mark()
    killed.kill()
    cluster.mongo.wait()
    killed.start()


def stopped(cluster, one, seconds):
    cluster.mark()
    one.pause()
    try:
        time.sleep(seconds)
    finally:
        one.go_on()


def leader_paused(cluster):
    stopped(cluster, cluster.leader(), BEYOND_LEASE)


def mongod_paused(cluster):
    stopped(cluster, cluster.mongo.members[0], SLOW)


def redis_paused(cluster):
    stopped(cluster, cluster.redis, SLOW)


def cut(cluster, how, seconds):
    """Between the leader and MongoDB. Before it heals, the leader says what is wrong, in time."""
    worker = cluster.leader()
    cluster.mark()
    getattr(worker.proxy, how)()
    time.sleep(seconds)
    status, body = ask(worker.address, "/health/ready", patience=5)
    equal(status, 503, f"/health/ready of a worker without MongoDB, {body}")
    worker.proxy.heal()


def leader_reset(cluster):
    cut(cluster, "reset", BEYOND_LEASE)


def leader_stalled(cluster):
    cut(cluster, "stall", BEYOND_LEASE)


def leader_stalled_long(cluster):
    cut(cluster, "stall", BEYOND_OPERATION)


def redis_restarted(cluster):
    cluster.mark()
    cluster.redis.signal(signal.SIGTERM)
    equal(cluster.redis.process.wait(PATIENCE), 0, "the exit code of Redis")
    time.sleep(SUPERVISED)
    cluster.redis.start()


def rolling_restart(cluster):
    cluster.mark()
    for node in cluster.nodes:
        equal(node.terminate(), 0, f"the exit code of {node.name}")
        node.start()
        until(lambda one=node: one.ready()[0], f"{node.name} is ready again")


class Row:
    """name: what --rows chooses by; kind: of the cluster; without: the longest that nothing may
    be committed, in seconds."""

    def __init__(self, name, kind, what, done, without):
        self.name, self.kind, self.what, self.done, self.without = name, kind, what, done, without


# One that takes over has ten seconds; a server that is away is away, and then some seconds.
ROWS = [
    Row("api-killed", "workers", "kill -9 of an API node", api_killed, 3),
    Row("leader-killed", "workers", "kill -9 of the leading worker", leader_killed, 10),
    Row("standby-killed", "workers", "kill -9 of the worker that stands by", standby_killed, 3),
    Row("leader-paused", "workers", "the leading worker stopped for 9 s (SIGSTOP), then awake",
        leader_paused, 10),
    Row("redis-killed", "workers", "kill -9 of Redis, started again after 1 s", redis_killed, 10),
    Row("redis-restarted", "workers", "Redis restarted in order", redis_restarted, 10),
    Row("redis-paused", "workers", "Redis stopped for 8 s (SIGSTOP)", redis_paused, SLOW + 10),
    Row("mongod-killed", "workers", "kill -9 of the only mongod, started again after 1 s",
        mongod_killed, 30),
    Row("mongod-away", "workers", "kill -9 of the only mongod, started again after 35 s", mongod_away,
        BEYOND_REQUEST + 15),
    Row("mongod-paused", "workers", "mongod stopped for 8 s (SIGSTOP)", mongod_paused, SLOW + 10),
    Row("rolling-restart", "workers", "every process restarted in order, one after the other",
        rolling_restart, 10),
    Row("leader-reset", "proxied", "the leader's connections to MongoDB broken for 9 s",
        leader_reset, 10),
    Row("leader-stalled", "proxied", "the leader's packets to and from MongoDB swallowed for 9 s",
        leader_stalled, 10),
    Row("leader-stalled-long", "proxied", "the same for 14 s, longer than it waits for an answer",
        leader_stalled_long, 10),
    Row("primary-killed", "replicas", "kill -9 of the primary of three mongod", primary_killed, 30),
    Row("node-killed", "inside", "three nodes that sequence too: kill -9 of the leading one",
        leader_killed, 10),
    Row("alone-killed", "alone", "one node, no Redis: kill -9, started again after 1 s", api_killed, 15),
]
