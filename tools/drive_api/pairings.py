"""The same cases with the log in MongoDB, and entries through Redis."""
import os

from .cases import equal

NAMES = ("in-process+mongodb", "redis+mongodb")
SIGNING_KEY, SECRET = "a signing key that is thirty-two bytes", "a secret for tokens, thirty-two bytes"
# Rows and cases about files of the data directory, by words of theirs, and why.
EMBEDDED = {
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
        database = f"log_{number}"
        settings = {"AUDITTRAIL_STORE": self.stores.mongo.url(database),
                    "AUDITTRAIL_ORIGIN": origin, "LOG_SIGNING_KEY": SIGNING_KEY,
                    "AUDITTRAIL_JWT_SECRET": SECRET,
                    "AUDITTRAIL_CHECKPOINT_KEY": self.checkpoint_key(origin)}
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
