"""A shared log as it is deployed, on one machine."""
import subprocess
import time

from drive_api.server import mint

from .nodes import Api, Worker, leader
from .proxy import Proxy
from .servers import Redis, ReplicaSet

ORIGIN = "audit.example/main"
DATABASE = "log"
# What a supervisor waits before it starts again what ended, in seconds.
SUPERVISED = 1


class Cluster:
    """Redis, MongoDB and AuditTrail's processes. kind:

    - `workers`: two API nodes, two workers, a replica set of one member;
    - `proxied`: the same, with a proxy between each worker and MongoDB;
    - `replicas`: the same as `workers`, with a replica set of three;
    - `inside`: three API nodes that sequence too;
    - `alone`: one API node that sequences, and no Redis.
    """

    def __init__(self, kind, binary):
        self.kind, self.binary, self.proxies, self.nodes = kind, binary, [], []
        self.redis = self.mongo = None
        self.marked = 0.0
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        made = subprocess.run([self.binary, "keys", "new", "--origin", ORIGIN], check=True,
                              capture_output=True, text=True)
        self.checkpoint_key = made.stdout.strip()
        self.signing_key = "k" * 16 + "signing" * 3
        secret = "j" * 16 + "tokens" * 3
        self.secrets = [self.checkpoint_key, self.signing_key, secret]
        self.token = mint(secret.encode(), {"sub": "soak", "roles": "admin",
                                            "exp": int(time.time()) + 86_400})
        self.mongo = ReplicaSet(3 if self.kind == "replicas" else 1)
        common = {"AUDITTRAIL_STORE": self.mongo.url(DATABASE), "AUDITTRAIL_ORIGIN": ORIGIN,
                  "LOG_SIGNING_KEY": self.signing_key, "AUDITTRAIL_JWT_SECRET": secret}
        if self.kind != "alone":
            self.redis = Redis().start()
            common["AUDITTRAIL_QUEUE"] = self.redis.url
        key = {"AUDITTRAIL_CHECKPOINT_KEY": self.checkpoint_key}
        if self.kind in ("inside", "alone"):
            count = 3 if self.kind == "inside" else 1
            self.apis = [Api(f"api-{at}", self.binary, common | key) for at in range(count)]
            self.sequencers = self.apis
            self.nodes = self.apis
        else:
            self.apis = [Api(f"api-{at}", self.binary, common | {"AUDITTRAIL_WORKER": "none"})
                         for at in range(2)]
            self.sequencers = [Worker(f"worker-{at}", self.binary, common | key) for at in range(2)]
            self.nodes = [*self.apis, *self.sequencers]
        if self.kind == "proxied":
            for worker in self.sequencers:
                worker.proxy = Proxy(self.mongo.members[0].port)
                self.proxies.append(worker.proxy)
                # The set names its member's own port, around the proxy: this stays with the one given.
                url = f"mongodb://127.0.0.1:{worker.proxy.port}/{DATABASE}?directConnection=true"
                worker.settings = worker.settings | {"AUDITTRAIL_STORE": url}
        # A log is begun by who sequences; one after the other, since all of them would begin it.
        for node in [*self.sequencers[:1], *(one for one in self.nodes if one != self.sequencers[0])]:
            node.start()
        self.leader()

    def leader(self):
        return leader(self.sequencers)

    def standby(self):
        first = self.leader()
        return next(one for one in self.sequencers if one != first)

    def client(self):
        """A client of MongoDB, of whichever member is the primary."""
        return self.mongo.wait().client()

    def mark(self):
        """The fault begins now."""
        self.marked = time.monotonic()

    def restart_killed(self, one, after=SUPERVISED):
        """kill -9, and what a supervisor does then."""
        self.mark()
        one.kill()
        time.sleep(after)
        one.start()

    def close(self):
        for one in self.nodes:
            one.close()
        for one in self.proxies:
            one.close()
        for one in (self.redis, self.mongo):
            if one:
                one.close()
