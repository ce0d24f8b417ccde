"""Streams: where they begin, what ids they tell, how they end."""
import time

from . import model
from .cases import bad, equal, expect, good
from .endpoints import STREAM


@good(STREAM)
def from_an_index_or_an_id(world):
    server = world.known
    with server.stream(index_from="7", index_to=str(model.LAST)) as stream:
        equal(model.found(stream.entries(3)), [7, 8, 9])
    for last, parameter in [(9, {}), (-1, {}), (None, {"last_event_id": "9"}),
                            # The header counts where both are there.
                            (9, {"last_event_id": "300"})]:
        with server.stream(last=last, index_to=str(model.LAST), **parameter) as stream:
            start = 0 if last == -1 else 10
            equal(model.found(stream.entries(2)), [start, start + 1], last)


@good(STREAM)
def those_that_are_selected_and_may_be_seen(world):
    server = world.known
    wanted = model.selected(lambda entry: entry.get("tenant") == "acme"
                            and entry.get("outcome") == "denied")
    token = server.token(tenant="acme")
    with server.stream(token, index_from="0", outcome="denied", index_to=str(model.LAST)) as stream:
        equal(model.found(stream.entries(len(wanted))), wanted)
        expect(int(stream.last) == wanted[-1], "an id that tells of others:", stream.last)


@good(STREAM)
def ends_with_the_token(world):
    # Exp plus the leeway of 60 seconds is in a moment.
    server = world.plain
    token = server.token(exp=int(time.time()) - 57)
    with server.stream(token) as stream:
        equal(stream.event(), (None, None))
        # It looks when there is something to send.
        while True:
            server.post({"action": "token.outlived"}).ok(201)
            kind, data = stream.event()
            if kind == "end":
                break
        equal((data["status"], data["type"]), (401, "urn:audittrail:problem:unauthenticated"))


@good(STREAM)
def ends_when_the_server_stops(world):
    server = world.server()
    with server.stream() as stream:
        equal(stream.event(), (None, None))
        server.process.terminate()
        kind, data = stream.event()
        equal((kind, data["status"]), ("end", 503))
    # A second signal would end it at once.
    equal(server.process.wait(60), 0, "the exit code")
    world.servers.remove(server)


@bad(STREAM)
def ids_that_are_none(world):
    server = world.known
    for last in ["x", "1.5", "-2", "+1", "18446744073709551616", "99999999"]:
        server.stream(last=last).response.problem(400, "invalid-header")
        server.stream(last_event_id=last).response.parameter("last_event_id")
    # Not the id of an entry that the caller may see.
    other = model.selected(lambda entry: entry.get("tenant") != "acme")[0]
    server.stream(server.token(tenant="acme"), last=other).response.problem(400, "invalid-header")
