"""audittrail monitor: a log that grows is good, one that was put back or has other entries is not."""
import glob
import json
import os
import shutil

from .cases import bad, equal, expect, good
from .commands import SECTION, ends, talks_to

MONITOR = SECTION + "audittrail monitor URL --key VKEY… [--once]"


def vkey(world, server):
    return ends(world, 0, "keys", "--data", server.data).stdout.strip()


def grown(server, count):
    server.post([{"action": "monitor.tried"}] * count, ack="published").ok(201)


def check(world, code, server, home, *arguments, key=None, says=""):
    """One check of a server, with files in a directory."""
    options = talks_to(server, roles="auditor") | {"cwd": home}
    return ends(world, code, "monitor", server.url, "--key", key or vkey(world, server), "--once",
                "--state", "state", *arguments, says=says, **options)


def content(home, name):
    with open(os.path.join(home, name), "rb") as file:
        return file.read()


@good(MONITOR)
def a_log_that_grows(world):
    server, home = world.server(), world.directory()
    grown(server, 300)
    check(world, 0, server, home, "--mirror", "mirror", says="the first checkpoint seen")
    grown(server, 1)
    run = check(world, 0, server, home, "--mirror", "mirror", "--json")
    said = json.loads(run.stdout)
    equal({name: said[name] for name in ["outcome", "size", "previous_size", "mirrored_entries",
                                         "findings", "unreachable"]},
          {"outcome": "good", "size": 301, "previous_size": 300, "mirrored_entries": 301,
           "findings": [], "unreachable": None})
    equal(content(home, "state"), server.call("GET", "/checkpoint", checked=False)[1])
    equal(content(home, "mirror/checkpoint"), content(home, "state"))
    for path in ["tile/0/000", "tile/entries/000", "tile/0/001.p/45", "tile/1/000.p/1"]:
        answer, body = server.call("GET", "/" + path, checked=False)
        equal((answer.status, content(home, "mirror/" + path)), (200, body), path)
    world.discard(server)


@bad(MONITOR)
def a_log_that_was_put_back(world):
    server, home = world.server(), world.directory()
    grown(server, 5)
    server.stop()
    backup = os.path.join(server.home, "backup")
    shutil.copytree(server.data, backup)
    server.start()
    grown(server, 5)
    check(world, 0, server, home)
    kept = content(home, "state")
    server.kill()
    shutil.rmtree(server.data)
    shutil.move(backup, server.data)
    server.start()
    check(world, 1, server, home, says="smaller")
    grown(server, 7)
    check(world, 1, server, home, says="another history")
    equal(content(home, "state"), kept)
    evidence = sorted(os.path.basename(path).split("-")[0]
                      for path in glob.glob(os.path.join(home, "state.evidence", "*.json")))
    equal(evidence, ["fork", "smaller"])
    world.discard(server)


@bad(MONITOR)
def what_is_no_log_of_that_key(world):
    server, other, home = world.plain, world.known, world.directory()
    grown(server, 1)
    check(world, 1, server, home, key=vkey(world, other), says="of the log")
    ends(world, 2, "monitor", server.url, "--once", says="--key")
    ends(world, 2, "monitor", server.url, "--once", "--key", "nonsense", says="key")
    ends(world, 2, "monitor", server.url, "--interval", "often", "--key", vkey(world, server))
    ends(world, 3, "monitor", "http://127.0.0.1:1", "--once", "--key", vkey(world, server),
         cwd=home, says="does not answer")
    # A token that may not.
    ends(world, 3, "monitor", server.url, "--once", "--key", vkey(world, server), cwd=home,
         says="logs:prove", **talks_to(server, roles="reader"))
    expect(not os.path.exists(os.path.join(home, "state")), "it kept what it refused")
