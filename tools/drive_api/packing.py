"""Full files of the log are compressed in the background, and read as before."""
import gzip
import json
import os

from .cases import bad, equal, expect, good, until
from .commands import ends
from .configured import refuses, row
from .metrics import row as metric, value

RATE = row("AUDITTRAIL_PACK_RATE")
TOLD = metric("packed_segments_total", "packed_saved_bytes_total")
# A file of the log is full at 256 MiB.
ENTRY_BYTES, ENTRIES = 250_000, 1_200
BATCH = 400


def sizes(server):
    log = os.path.join(server.data, "log")
    return [os.path.getsize(os.path.join(log, name)) for name in sorted(os.listdir(log))]


def filled(server):
    """Sends more than fills a file of the log."""
    for start in range(0, ENTRIES, BATCH):
        lines = (json.dumps({"action": "a", "resource": f"r/{number}", "details": {"text": "x" * ENTRY_BYTES}})
                 for number in range(start, start + BATCH))
        body = gzip.compress("\n".join(lines).encode(), 1)
        server.post(body, kind="application/x-ndjson", headers={"Content-Encoding": "gzip"},
                    receipts="none").ok(201)


def packed(world):
    server = world.server(settings={"AUDITTRAIL_PACK_RATE": "100000"})
    filled(server)
    until(lambda: value(server, "packed_segments_total") >= 1, "a segment that is packed")
    # A restart begins to count anew.
    server.saved = value(server, "packed_saved_bytes_total")
    return server


@good(RATE)
@good(TOLD)
def a_full_file_is_packed(world):
    server = world.shared("packed", packed)
    first, last = sizes(server)
    expect(first < 30_000_000 < server.saved, (first, server.saved))
    for number in (0, 500, ENTRIES - 1):
        page = server.list(resource=f"r/{number}")
        equal([(one["verified"], len(one["details"]["text"])) for one in page["results"]],
              [(True, ENTRY_BYTES)])
    server.restart()
    equal(sizes(server), [first, last])
    equal(server.list(resource="r/7")["results"][0]["verified"], True)
    # Together with what tells of it, all is sound.
    ends(world, 0, "fsck", "--data", server.data)
    copy = os.path.join(server.home, "copy")
    ends(world, 0, "backup", "--data", server.data, "--out", copy)
    ends(world, 0, "fsck", "--data", copy)


@good(RATE)
@bad(TOLD)
def nothing_is_packed(world):
    server = world.server(settings={"AUDITTRAIL_PACK_RATE": "0"})
    server.post([{"action": "a"}] * 10).ok(201)
    equal(value(server, "packed_segments_total"), 0)
    world.discard(server)


for given in ["100001", "20MiB", "-1", ""]:
    refuses(RATE, {"AUDITTRAIL_PACK_RATE": given}, says="pack-rate")
