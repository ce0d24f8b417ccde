"""Logs that move from one store to another."""
import json
import os

from .backups import backed_up
from .cases import bad, equal, expect, good
from .commands import SECTION, ends

COPY = SECTION + "audittrail copy --from DIR|URL --to DIR|URL [--retire] [--key VKEY]… [--json]"


@good(COPY)
def to_another_place_and_closed(world):
    server = backed_up(world)
    server.stop()
    new = os.path.join(server.home, "moved-to")
    first = ends(world, 0, "copy", "--from", server.data, "--to", new, "--json")
    report = json.loads(first.stdout)
    equal((report["entries"], report["new_entries"], report["checkpoint_size"]), (15, 15, 15))
    expect("at one of the two places only" in first.stderr, first.stderr)
    ends(world, 0, "copy", "--from", server.data, "--to", new, "--key", server.vkey, "--retire",
         says="0 of them new")
    serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--data"]
    ends(world, 3, *serve, server.data, says="was moved to")
    ends(world, 0, "fsck", "--data", new, "--key", server.vkey, says="15 entries read")
    ends(world, 3, "copy", "--from", server.data, "--to", new + "2", says="was moved to")
    world.servers.remove(server)


@bad(COPY)
def from_and_to_what_does_not_fit(world):
    server = world.shared("backed up", backed_up)
    home = world.directory()
    new = os.path.join(home, "new")
    ends(world, 2, "copy", "--from", server.data)
    ends(world, 2, "copy", "--from", server.data, "--to", server.data, says="itself")
    ends(world, 2, "copy", "--from", server.data, "--to", "redis://127.0.0.1/0", says="mongodb://")
    ends(world, 3, "copy", "--from", server.data, "--to", new, says="stop it first")
    ends(world, 3, "copy", "--from", os.path.join(home, "none"), "--to", new, says="none")
    ends(world, 3, "copy", "--from", server.copy, "--to", new, "--key", server.vkey, says="is a backup")
