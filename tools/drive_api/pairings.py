"""The same cases with the log in MongoDB, and entries through Redis."""
import os

from .cases import equal

NAMES = ("in-process+mongodb", "redis+mongodb")
SIGNING_KEY, SECRET = "a signing key that is thirty-two bytes", "a secret for tokens, thirty-two bytes"
# Cases about the embedded store, by words of their rows and names, and why.
FILES = "reads, changes or copies files of the data directory"
THREAD = "halts the sequencer's thread"
DEFAULT = "is about settings that the pairing itself sets"
EMBEDDED = {
    "one that was changed on disk": FILES, "Errors: damaged": FILES,
    "no room on the disk": FILES, "on a disk that is full": FILES,
    "verification_failures_total: each": FILES, "failed_entries: those": FILES,
    "index_entries": FILES, "index_whole": FILES, "packed": FILES, "a copy of the data": FILES,
    "a copy and files that are no policy": FILES, "entries that do not verify": FILES,
    "1: not verified": FILES, "server: found": FILES, "a log that was put back": FILES,
    "audittrail fsck": FILES, "audittrail backup": FILES, "audittrail restore": FILES,
    "audittrail copy": FILES, "AUDITTRAIL_DATA": FILES, "AUDITTRAIL_PACK_RATE": FILES,
    "damage under a running server": FILES, "on a log": FILES,
    "Errors: not-ready": THREAD, "Errors: outcome-unknown": THREAD,
    "ack: every level": "there a queue in the process is not durable",
    "audittrail serve: says where and how": "names the data directory",
    "as keys new prints it": DEFAULT, "Settings: AUDITTRAIL_ORIGIN": DEFAULT,
    "files of secrets": DEFAULT, "flags before environment before file": DEFAULT,
    "Settings: AUDITTRAIL_JWT_SECRET: signs tokens": DEFAULT,
    "Settings: AUDITTRAIL_STORE": DEFAULT, "Settings: AUDITTRAIL_QUEUE": DEFAULT,
}


class Pairing:
    """Settings for servers: a database for each, and keys, which are not made."""

    def __init__(self, world, name):
        self.world, self.name, self.keys = world, name, {}
        self.stores = world.stores

    def checkpoint_key(self, origin):
        if origin not in self.keys:
            made = self.world.run("keys", "new", "--origin", origin)
            equal(made.returncode, 0, made.stderr)
            self.keys[origin] = made.stdout.strip()
        return self.keys[origin]

    def settings(self, server):
        number = os.path.basename(server.home)
        # What is in Redis is told apart by the log's name.
        origin = server.settings.get("AUDITTRAIL_ORIGIN", f"log.test/{number}")
        key = server.settings.get("AUDITTRAIL_CHECKPOINT_KEY")
        if key:
            origin = key.removeprefix("PRIVATE+KEY+").split("+")[0]
        settings = {"AUDITTRAIL_STORE": self.stores.mongo.url(f"log_{number}"),
                    "AUDITTRAIL_ORIGIN": origin, "LOG_SIGNING_KEY": SIGNING_KEY,
                    "AUDITTRAIL_JWT_SECRET": SECRET,
                    "AUDITTRAIL_CHECKPOINT_KEY": key or self.checkpoint_key(origin)}
        if self.name == "redis+mongodb":
            settings["AUDITTRAIL_QUEUE"] = self.stores.redis.url
        return settings


def of_any_store(cases):
    """The cases that are not about the embedded store's files."""
    kept = []
    for case in cases:
        why = next((why for words, why in EMBEDDED.items()
                    if words in f"{case.row}: {case.name}"), None)
        if why is None:
            kept.append(case)
        else:
            print(f"{'embedded store':>20}  {case.row}: {case.name}: {why}")
    return kept
