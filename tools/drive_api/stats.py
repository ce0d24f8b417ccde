"""Statistics, counted here from what was sent; carried out where they are built."""
import collections
import zoneinfo
from datetime import datetime, timedelta, timezone

from . import model
from .cases import equal, expect
from .model import SHOWN
from .pending import optional

SECTION = "Statistics: "
INTERVAL, ZONE, BY, TOP = (SECTION + name for name in ["interval", "time_zone", "by", "top"])
DURATION = "Metrics: audittrail_stats_duration_seconds"
MOST = str(model.LAST)
MEMBERS = ["action", "outcome", "resource", "source_ip", "tenant", "user_id"]


def stats(world, **parameters):
    given = {"index_to": MOST} | parameters
    return world.known.get("/logs/stats/", **given).ok().json()


def moment(entry):
    # The nanoseconds do not matter to intervals of a minute and more.
    return datetime.fromisoformat(entry["timestamp"][:19]).replace(tzinfo=timezone.utc)


def start_of(local, interval):
    """Where the interval of a local time begins."""
    if interval == "minute":
        return local.replace(second=0)
    if interval == "hour":
        return local.replace(minute=0, second=0)
    day = local.replace(hour=0, minute=0, second=0)
    return {
        "day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "year": day.replace(month=1, day=1),
    }[interval]


def buckets(interval, zone):
    counted = collections.Counter(
        start_of(moment(entry).astimezone(zone), interval).timestamp() for entry in SHOWN)
    return sorted(counted.items())


def compare(world, interval, name):
    zone = zoneinfo.ZoneInfo(name)
    answer = stats(world, interval=interval, time_zone=name)
    found = [(datetime.fromisoformat(one["start"].replace("Z", "+00:00")).timestamp(), one["count"])
             for one in answer["buckets"]]
    equal(found, buckets(interval, zone), interval, name)
    equal((answer["count"], answer["failed"]), (len(SHOWN), 0))


@optional(INTERVAL, True)
def every_interval(world):
    for interval in ["minute", "hour", "day", "week", "month", "quarter", "year"]:
        compare(world, interval, "UTC")


@optional(ZONE, True)
def other_calendars(world):
    for name in ["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]:
        for interval in ["hour", "day", "month"]:
            compare(world, interval, name)


@optional(BY, True)
def values_by_frequency(world):
    answer = stats(world, by=",".join(MEMBERS), top="3", outcome__nin="denied")["by"]
    chosen = [entry for entry in SHOWN if entry.get("outcome") != "denied"]
    for member in MEMBERS:
        counted = collections.Counter(entry[member] for entry in chosen if member in entry)
        wanted = sorted(counted.items(), key=lambda one: (-one[1], one[0].encode()))
        found = [(one["value"], one["count"]) for one in answer[member]["values"]]
        equal(found, wanted[:3], member)
        equal(answer[member]["distinct"], len(counted), member)
        equal(answer[member]["missing"], sum(member not in entry for entry in chosen), member)


@optional(TOP, True)
def how_many(world):
    wanted = len({entry["action"] for entry in SHOWN})
    for top in [1, 5, 1000]:
        equal(len(stats(world, by="action", top=str(top))["by"]["action"]["values"]), min(top, wanted))


def refused(row, *cases):
    def check(world):
        for parameters in cases:
            answer = world.known.get("/logs/stats/", **parameters)
            answer.parameter(row.removeprefix(SECTION))
    optional(row, False)(check)


refused(INTERVAL, {"interval": ""}, {"interval": "decade"}, {"interval": "Day"})
refused(ZONE, {"time_zone": "Mars/Base", "interval": "day"}, {"time_zone": "UTC"},
        {"time_zone": "", "interval": "day"})
refused(BY, {"by": ""}, {"by": "details"}, {"by": "action,id"})
refused(TOP, {"top": "0", "by": "action"}, {"top": "1001", "by": "action"}, {"top": "5"})


def timed(world):
    return world.known.metrics()[0].get("audittrail_stats_duration_seconds_count", 0)


@optional(DURATION, True)
def each_is_timed(world):
    before = timed(world)
    stats(world)
    expect(timed(world) > before)


@optional(DURATION, False)
def not_one_that_is_refused(world):
    before = timed(world)
    world.known.get("/logs/stats/", colour="red").parameter("colour")
    equal(timed(world), before)
