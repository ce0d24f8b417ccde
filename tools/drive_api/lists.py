"""Parameters of the list: orders, pages, cursors, counts; entries that fail to verify."""
import os
import urllib.parse

from . import model
from .cases import bad, equal, expect, good

SECTION = "Reading: "
ORDER, SIZE, CURSOR = SECTION + "order, ordering", SECTION + "page_size", SECTION + "cursor"
PAGE, COUNT, FAILED = SECTION + "page", SECTION + "count", SECTION + "verified=false"
MOST = str(model.LAST)


@good(ORDER)
def four_orders_by_both_names(world):
    for name in ["order", "ordering"]:
        for order in model.ORDERS:
            page = world.known.list(page_size="1000", index_to=MOST, **{name: order})
            equal(model.found(page["results"]), model.ordered(range(model.LAST + 1), order), order)
            equal("resume" in page, order == "index", "resume with", order)
    default = world.known.list(page_size="1000", index_to=MOST)["results"]
    equal(model.found(default), model.ordered(range(model.LAST + 1), "-timestamp"), "the default")


@bad(ORDER)
def another_order(world):
    for order in ["", "Index", "+index", "user_id", "timestamp,index"]:
        world.known.get("/logs/list/", order=order).parameter("order")
    world.known.get("/logs/list/", order="index", ordering="index").parameter("ordering")


@good(ORDER)
def resume_is_what_comes_later(world):
    """A poller that follows it sees each entry once, however it falls between pages."""
    server = world.plain
    sent = [{"action": "poll.tried", "resource": str(number)} for number in range(10)]
    server.post(sent[:3]).ok(201)
    page = server.list(order="index", action="poll.tried", page_size="2")
    seen = [one["resource"] for one in page["results"]]
    for number in range(3, 10):
        server.post(sent[number]).ok(201)
        page = server.follow(page["resume"])
        seen += [one["resource"] for one in page["results"]]
    while page["results"]:
        page = server.follow(page["resume"])
        seen += [one["resource"] for one in page["results"]]
    equal(seen, [one["resource"] for one in sent])


@good(SIZE)
def default_and_most(world):
    equal(len(world.large.list()["results"]), 20, "the default")
    for size in [1, 7, 1000]:
        page = world.large.list(page_size=str(size), order="index", count="none")
        equal([one["index"] for one in page["results"]], list(range(size)))


@bad(SIZE)
def other_sizes(world):
    for size in ["0", "1001", "-1", "", "1e2", "20.0"]:
        world.large.get("/logs/list/", page_size=size).parameter("page_size")


@good(CURSOR)
def pages_show_the_log_as_it_was(world):
    server = world.plain
    server.post([{"action": "turn.tried", "resource": str(number)} for number in range(25)]).ok(201)
    for order in model.ORDERS:
        first = server.list(action="turn.tried", page_size="10", order=order)
        pages, count = [first], first["count"]
        while pages[-1]["next"]:
            # What comes between changes neither pages nor count.
            server.post({"action": "turn.tried"}).ok(201)
            pages.append(server.follow(pages[-1]["next"]))
        equal({page["count"] for page in pages}, {count}, "counts")
        equal(sum(len(page["results"]) for page in pages), count)
        back = [pages[-1]]
        while back[-1]["previous"]:
            back.append(server.follow(back[-1]["previous"]))
        expect(pages[0]["previous"] is None, "before the first page")
        equal([page["results"] for page in reversed(back)], [page["results"] for page in pages])


def cursor_of(page):
    query = urllib.parse.urlsplit(page["next"]).query
    return urllib.parse.parse_qs(query)["cursor"][0]


@bad(CURSOR)
def cursors_of_another_list(world):
    server = world.known
    cursor = cursor_of(server.list(page_size="5", outcome="denied"))
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "E")
    cases = [{"cursor": ""}, {"cursor": "x"}, {"cursor": "AAAA"}, {"cursor": cursor + "A"},
             {"cursor": cursor}, {"cursor": cursor, "outcome": "failure"},
             {"cursor": cursor, "outcome": "denied", "order": "index"}]
    for parameters in cases:
        server.get("/logs/list/", **parameters).parameter("cursor")
    # Of another caller's view.
    server.get("/logs/list/", server.token(tenant="acme"), cursor=cursor,
               outcome="denied").parameter("cursor")
    expect(server.get("/logs/list/", cursor=changed, outcome="denied").status in (200, 400))


@good(PAGE)
def by_number(world):
    for page in [1, 2, 10]:
        found = world.large.list(page=str(page), page_size="1000", order="index", count="none")
        start = (page - 1) * 1000
        equal([one["index"] for one in found["results"]], list(range(start, start + 1000)))
    beyond = world.known.list(page="100", page_size="100", action="door")
    equal((beyond["results"], beyond["next"]), ([], None), "a page behind the last")


@bad(PAGE)
def beyond_the_ten_thousandth(world):
    world.large.get("/logs/list/", page="11", page_size="1000").parameter("page")
    world.large.get("/logs/list/", page="501").parameter("page")
    for page in ["0", "-1", "", "x", "10001"]:
        world.large.get("/logs/list/", page=page, page_size="1").parameter("page")
    cursor = cursor_of(world.large.list(count="none"))
    world.large.get("/logs/list/", page="1", cursor=cursor).parameter("page")


@good(COUNT)
def limited_exact_none(world):
    size = 100_001
    limited = world.large.list(page_size="1")
    equal((limited["count"], limited.get("count_exact")), (100_000, False), "limited")
    exact = world.large.list(page_size="1", count="exact")
    equal((exact["count"], "count_exact" in exact), (size, False), "exact")
    equal("count" in world.large.list(page_size="1", count="none"), False)
    fewer = world.large.list(page_size="1", action="load.run", count="limited")
    equal((fewer["count"], "count_exact" in fewer), (100_000, False), "exactly the limit")


@bad(COUNT)
def another_count(world):
    for count in ["", "all", "Exact", "100"]:
        world.large.get("/logs/list/", count=count).parameter("count")


@good(FAILED)
def one_that_was_changed_on_disk(world):
    """It is returned and marked, listed under every filter, and counted."""
    server = world.server()
    for resource in ["first", "second", "third"]:
        server.post({"action": "disk.tried", "resource": resource, "user_id": "eve"},
                    ack="published").ok(201)
    server.stop()
    change(server, b'"resource":"second"', b'"resource":"sEcond"')
    server.start()
    results = server.list(action="disk.tried", order="index")["results"]
    equal([one["verified"] for one in results], [True, False, True])
    expect(results[1]["verification_error"], results[1])
    page = server.list(verified="false")
    equal([one["index"] for one in page["results"]], [1])
    equal((page["count"], page["failed_entries"]), (1, 1))
    # What it says can no longer show that a filter does not apply.
    page = server.list(action="nothing.like.it")
    equal([one["index"] for one in page["results"]], [1])
    equal([one["index"] for one in server.list(index_from="2")["results"]], [2])
    values, _ = server.metrics()
    equal(values["audittrail_failed_entries"], 1)
    world.tampered = server


def change(server, old, new):
    """Changes bytes in the log, as somebody would who has the disk."""
    folder = os.path.join(server.data, "log")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            data = file.read()
        if old in data:
            with open(path, "r+b") as file:
                file.seek(data.index(old))
                file.write(new)
            return
    raise AssertionError(f"{old} is not in the log")
