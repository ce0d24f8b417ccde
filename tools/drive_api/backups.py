"""Backups, what is made from them, and the background check."""
import json
import os
import shutil

from .cases import bad, equal, expect, good, until
from .commands import FSCK, SECTION, ends
from .configured import refuses, row
from .lists import change
from .metrics import value

BACKUP = (SECTION + "audittrail backup --out DIR [--with-keys] [--compare] [--key VKEY]… [--json]")
RESTORE = (SECTION + "audittrail restore --from DIR --original-is-gone [--since CHECKPOINT] "
           "[--key VKEY]… [--json]")
GONE = "--original-is-gone"
RATE, PAUSE = row("AUDITTRAIL_SCRUB_RATE"), row("AUDITTRAIL_SCRUB_PAUSE")


def backed_up(world):
    """A server with ten entries, its backup, and five entries more."""
    server = world.server()
    server.post([{"action": "a", "resource": "kept"}] * 10, ack="published").ok(201)
    server.copy = os.path.join(server.home, "copy")
    server.first = ends(world, 0, "backup", "--data", server.data, "--out", server.copy, "--json")
    server.post([{"action": "b"}] * 5, ack="published").ok(201)
    server.vkey = ends(world, 0, "keys", "show", "--data", server.data).stdout.strip()
    return server


@good(BACKUP)
def beside_a_running_server_and_again(world):
    server = backed_up(world)
    report = json.loads(server.first.stdout)
    equal((report["entries"], report["new_entries"], report["findings_total"]), (10, 10, 0))
    equal((report["keys"], report["directory"]), ([], server.copy))
    expect("keep a copy of" in server.first.stderr, server.first.stderr)
    equal(sorted(os.listdir(os.path.join(server.copy, "keys"))), ["begun"])
    for arguments, says in [((), "5 of them new"), (("--compare",), "0 of them new (0 bytes)"),
                            (("--with-keys",), "15 entries"), (("--key", server.vkey), "15 entries")]:
        ends(world, 0, "backup", "--data", server.data, "--out", server.copy, *arguments, says=says)
    equal(sorted(os.listdir(os.path.join(server.copy, "keys"))),
          ["begun", "checkpoint.key", "jwt.secret", "signing.key"])
    ends(world, 0, "fsck", "--data", server.copy, says="15 entries read")
    world.discard(server)


@bad(BACKUP)
def into_what_is_not_its_own(world):
    server = world.shared("backed up", backed_up)
    inside = os.path.join(server.data, "copy")
    ends(world, 2, "backup", "--data", server.data, "--out", inside, says="in the other")
    ends(world, 2, "backup", "--data", server.data)
    home = world.directory()
    with open(os.path.join(home, "thesis"), "w", encoding="utf-8") as file:
        file.write("mine")
    ends(world, 3, "backup", "--data", server.data, "--out", home, says="neither empty nor a backup")
    equal(os.listdir(home), ["thesis"])
    ends(world, 3, "backup", "--data", world.plain.data, "--out", server.copy, says="another log")
    ends(world, 3, "backup", "--data", world.directory(), "--out", home, says="--key")


@bad(BACKUP)
def of_a_log_that_was_changed(world):
    server = backed_up(world)
    server.stop()
    change(server, b'"resource":"kept"', b'"resource":"Kept"')
    new = os.path.join(server.home, "new")
    run = ends(world, 1, "backup", "--data", server.data, "--out", new, says="15 entries")
    expect("does not verify" in run.stderr and "offset" in run.stderr, run.stderr)
    ends(world, 1, "fsck", "--data", new, says="entry 0")
    ends(world, 0, "fsck", "--data", server.copy)
    world.servers.remove(server)


@good(RESTORE)
def with_the_keys_from_elsewhere(world):
    server = backed_up(world)
    ends(world, 0, "backup", "--data", server.data, "--out", server.copy)
    newest = os.path.join(server.data, "checkpoint")
    server.stop()
    new = os.path.join(server.home, "new")
    run = ends(world, 0, "restore", "--from", server.copy, "--data", new, GONE, "--since", newest,
               "--key", server.vkey, "--json")
    equal(json.loads(run.stdout)["entries"], 15)
    for name in ["signing.key", "checkpoint.key", "jwt.secret"]:
        shutil.copy(os.path.join(server.data, "keys", name), os.path.join(new, "keys", name))
    server.data = new
    server.start()
    equal(server.size(), 15)
    ends(world, 0, "fsck", "--data", new, "--since", newest, says="everything verifies")
    world.discard(server)


@bad(RESTORE)
def a_second_history(world):
    server = world.shared("backed up", backed_up)
    newest, home = os.path.join(server.data, "checkpoint"), world.directory()
    new = os.path.join(home, "new")
    ends(world, 2, "restore", "--from", server.copy, "--data", new, says="second history")
    equal(os.listdir(home), [])
    ends(world, 3, "restore", "--from", server.copy, "--data", new, GONE, "--since", newest,
         says="there are only 10")
    serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data"]
    ends(world, 3, *serve, new, says="was not finished")
    ends(world, 3, *serve, server.copy, says="is a backup")
    ends(world, 3, "restore", "--from", server.data, "--data", os.path.join(home, "other"), GONE,
         says="is no backup")
    ends(world, 3, "restore", "--from", server.copy, "--data", server.data, GONE,
         says="neither empty nor a backup")


@good(FSCK)
def a_backup_without_keys(world):
    server = world.shared("backed up", backed_up)
    for key in [(), ("--key", server.vkey)]:
        ends(world, 0, "fsck", "--data", server.copy, *key, says="signatures of entries were not")
    run = ends(world, 0, "fsck", "--data", server.data, "--key", server.vkey)
    expect("signatures" not in run.stdout, run.stdout)


@bad(FSCK)
def with_the_key_of_another_log(world):
    server = world.shared("backed up", backed_up)
    other = ends(world, 0, "keys", "show", "--data", world.plain.data).stdout.strip()
    ends(world, 1, "fsck", "--data", server.copy, "--key", other)
    ends(world, 2, "fsck", "--data", server.copy, "--key", "x")


@good(RATE)
def damage_under_a_running_server(world):
    """It is found by the next round, without that anybody reads an entry."""
    server = world.server(settings={"AUDITTRAIL_SCRUB_RATE": "1", "AUDITTRAIL_SCRUB_PAUSE": "50ms"})
    server.post([{"action": "a", "resource": "first"}] * 3, ack="published").ok(201)
    until(lambda: value(server, "scrubbed_entries_total") >= 3, "a round")
    equal(server.list(verified="false")["failed_entries"], 0)
    change(server, b'"resource":"first"', b'"resource":"First"')
    until(lambda: value(server, "failed_entries") == 1, "the damage")
    page = server.list(verified="false")
    equal((page["failed_entries"], [one["verified"] for one in page["results"]]), (1, [False]))
    world.discard(server)


@good(PAUSE)
def rounds_come_after_each_other(world):
    server = world.server("--scrub-pause", "50ms", "--scrub-rate", "100000")
    until(lambda: value(server, "scrub_rounds_total") >= 3, "three rounds")
    world.discard(server)


for given in ["0", "100001", "20MiB", "-1", ""]:
    refuses(RATE, {"AUDITTRAIL_SCRUB_RATE": given}, says="scrub-rate")
for given in ["0s", "10", "1d", ""]:
    refuses(PAUSE, {"AUDITTRAIL_SCRUB_PAUSE": given}, says="scrub-pause")
