"""Witnesses and the watermark: a log and a witness of it, and data put back from a copy."""
import json
import os
import shutil
import subprocess

from .cases import add, bad, equal, expect, good, until
from .commands import SECTION as COMMANDS, ends
from .evidence import checks, evidence
from .server import environment

WITNESS = COMMANDS + "audittrail witness --policy FILE [--name NAME]"
WITNESSES = "Witnesses: AUDITTRAIL_WITNESSES, --witnesses"
WATERMARK = "Witnesses: AUDITTRAIL_WATERMARK, --watermark"
POLICY = COMMANDS + "policy"


def metric(name):
    return "Metrics: audittrail_" + name


class Witness:
    """A running `audittrail witness`; the world stops it at the end."""

    def __init__(self, world, log):
        self.home = world.directory()
        policy = write(self.home, "logs", f"log {log}\nquorum none\n")
        self.process = subprocess.Popen(
            [world.binary, "witness", "--listen", "127.0.0.1:0", "--policy", policy, "--data",
             os.path.join(self.home, "data"), "--name", "witness.test/w"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment({}), text=True)
        world.servers.append(self)
        self.url = self.process.stdout.readline().strip().removeprefix("listening on ")
        self.vkey = self.process.stdout.readline().strip().removeprefix("verifier key: ")

    def log(self):
        return ""

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()
        return self.process.returncode


def write(home, name, text):
    path = os.path.join(home, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def key(world, server):
    return ends(world, 0, "keys", "--data", server.data).stdout.strip()


def checkpoint(server):
    return server.get("/checkpoint").ok().body.decode()


class Watched:
    """A server with a witness and a watermark, both of which know ten entries."""

    def __init__(self, world):
        self.server = world.server()
        self.server.stop()
        self.log = key(world, self.server)
        self.witness = Witness(world, self.log)
        self.policy = write(self.server.home, "policy", f"witness w {self.witness.vkey} "
                            f"{self.witness.url}\nquorum w\n")
        self.mark = os.path.join(self.server.home, "mark")
        self.backup = os.path.join(self.server.home, "backup")
        if not self.server.pairing:
            shutil.copytree(self.server.data, self.backup)
        self.server.settings = {"AUDITTRAIL_WITNESSES": self.policy,
                                "AUDITTRAIL_WATERMARK": self.mark}
        self.server.start()
        self.server.post([{"action": "a"}] * 10, ack="published").ok(201)
        self.size()

    def size(self):
        """The size of the log, once it is known outside."""
        names = ['witness_entries{witness="w"}', "cosigned_entries", "watermark_entries",
                 "checkpoint_entries", "log_entries"]

        def agreed():
            found, _ = self.server.metrics()
            sizes = {found.get("audittrail_" + name) for name in names}
            return len(sizes) == 1 and int(sizes.pop())
        return until(agreed, "what is known outside")


def watched(world):
    return world.shared("watched", Watched)


def refused(world, name, says):
    """A copy of the data from before is not started with."""
    outside = watched(world)
    settings = {name: outside.server.settings[name]}
    home = world.directory()
    shutil.copytree(outside.backup, os.path.join(home, "data"))
    arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data",
                 os.path.join(home, "data")]
    ends(world, 3, *arguments, settings=settings, says=says)
    ends(world, 3, *arguments, settings=settings, says="Put the newest data back")


@good(WITNESSES)
def a_checkpoint_with_its_cosignature(world):
    outside = watched(world)
    outside.size()
    equal(checkpoint(outside.server).count("\n\u2014 witness.test/w "), 1)


@bad(WITNESSES)
def a_copy_and_files_that_are_no_policy(world):
    refused(world, "AUDITTRAIL_WITNESSES", "the witness w says")
    home = world.directory()
    for text, says in [("", "quorum line is missing"), ("quorum w\n", "line 1: w is not defined")]:
        path = write(home, "policy", text)
        ends(world, 2, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data",
             os.path.join(home, "data"), settings={"AUDITTRAIL_WITNESSES": path}, says=says)
        equal(os.listdir(home), ["policy"], "what it leaves")


@good(WATERMARK)
def the_newest_checkpoint(world):
    outside = watched(world)
    size = str(outside.size())
    with open(outside.mark, encoding="utf-8") as file:
        equal(file.read().split("\n")[:2], [outside.log.split("+")[0], size])


@bad(WATERMARK)
def a_copy_of_the_data(world):
    size = watched(world).size()
    refused(world, "AUDITTRAIL_WATERMARK", f"had {size} entries, and there are only 0")
    home = world.directory()
    for path in ["/nowhere/mark", os.path.join(home, "audittrail-data", "mark")]:
        ends(world, 2, "serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", cwd=home,
             settings={"AUDITTRAIL_WATERMARK": path}, says="watermark")
        equal(os.listdir(home), [], "what it leaves")


@good(WITNESS)
def has_a_key_and_answers(world):
    outside = watched(world)
    expect(outside.witness.vkey.startswith("witness.test/w+"), outside.witness.vkey)
    outside.size()
    shown = checkpoint(outside.server)
    expect("\u2014 witness.test/w " in shown, shown)


@bad(WITNESS)
def without_logs_and_on_a_log(world):
    home, outside = world.directory(), watched(world)
    empty = write(home, "empty", "quorum none\n")
    listed = write(home, "listed", f"log {outside.log}\nquorum none\n")
    common = ["witness", "--listen", "127.0.0.1:0", "--policy"]
    ends(world, 2, *common, empty, "--data", os.path.join(home, "data"), says="lists no log")
    ends(world, 2, *common, listed, "--data", outside.backup, says="holds a log")
    ends(world, 2, *common, os.path.join(home, "none"), says="cannot be read")
    ends(world, 2, "witness", says="--policy")


def cosigned(world):
    """Evidence under a checkpoint that its witness has cosigned, the log's key, the policy."""
    outside = watched(world)
    lines, log = evidence(world, outside.server, index_to="5")
    return lines, log, outside.policy


@good(POLICY)
def enough_cosignatures(world):
    lines, log, policy = cosigned(world)
    equal(checks(world, lines, log, 0, "--policy", policy), set())


@bad(POLICY)
def too_few_and_a_bad_one(world):
    lines, log, policy = cosigned(world)
    note = lines[0]["checkpoint"]
    without = "".join(line for line in note.splitlines(True) if "witness.test" not in line)
    at = note.rindex("=") - 20
    spoilt = note[:at] + ("B" if note[at] == "A" else "A") + note[at + 1:]
    for changed in [without, spoilt]:
        changed = [lines[0] | {"checkpoint": changed}, *lines[1:]]
        equal(checks(world, changed, log, 1, "--policy", policy), {"policy"})
        equal(checks(world, changed, log, 0), set(), json.dumps(changed[0]))


def known_outside(world):
    before = watched(world).size()
    watched(world).server.post([{"action": "a"}] * 3, ack="published").ok(201)
    equal(watched(world).size(), before + 3)


def not_without_settings(world):
    names = [name for name in world.plain.metrics()[0]
             if "witness" in name or "cosigned" in name or "watermark" in name]
    equal(names, [])


def requests(world, outcome):
    labels = f'{{witness="w",outcome="{outcome}"}}'
    found, _ = watched(world).server.metrics()
    return found.get("audittrail_witness_requests_total" + labels, 0)


for name in ["witness_entries", "cosigned_entries", "watermark_entries"]:
    add(metric(name), True, "the size that is known outside", known_outside)
    add(metric(name), False, "none without the settings", not_without_settings)


@good(metric("witness_requests_total"))
def by_witness_and_outcome(world):
    expect(requests(world, "success") >= 1, "no request succeeded")


@bad(metric("witness_requests_total"))
def no_failures_of_a_good_one(world):
    equal([requests(world, outcome) for outcome in ["unproven", "ahead", "invalid", "timeout"]], [0] * 4)
