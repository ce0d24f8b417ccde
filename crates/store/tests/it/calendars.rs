//! Intervals of the calendar, against what the zones' clocks showed.

use audittrail_entry::Timestamp;
use audittrail_store::conformance::{Numbers, ZONES, strange_time};
use audittrail_store::{Calendar, Interval, Span, UnknownZone};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

fn second(text: &str) -> i64 {
    Timestamp::parse(text)
        .unwrap()
        .nanos()
        .div_euclid(1_000_000_000)
}

/// The interval of a moment, as texts of its bounds.
fn bounds(interval: Interval, zone: &str, moment: &str) -> (String, String) {
    let calendar = Calendar::new(interval, zone).unwrap();
    let Span { start, end } = calendar.span(second(moment));
    (calendar.text(start), calendar.text(end))
}

/// Computed by hand from the zones' published rules.
#[test]
fn known_intervals() {
    use Interval::*;
    let cases = [
        // 23 and 25 hours.
        (
            Day,
            "Europe/Berlin",
            "2026-03-29T12:00:00Z",
            "2026-03-29T00:00:00+01:00",
            "2026-03-30T00:00:00+02:00",
        ),
        (
            Day,
            "Europe/Berlin",
            "2026-10-25T12:00:00Z",
            "2026-10-25T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
        ),
        (
            Hour,
            "Europe/Berlin",
            "2026-03-29T01:30:00Z",
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T04:00:00+02:00",
        ),
        // The clock shows this hour twice.
        (
            Hour,
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+01:00",
        ),
        (
            Hour,
            "Europe/Berlin",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ),
        // Half an hour back and forth.
        (
            Hour,
            "Australia/Lord_Howe",
            "2026-04-04T15:10:00Z",
            "2026-04-05T01:30:00+10:30",
            "2026-04-05T02:00:00+10:30",
        ),
        (
            Hour,
            "Australia/Lord_Howe",
            "2026-04-04T14:10:00Z",
            "2026-04-05T01:00:00+11:00",
            "2026-04-05T01:30:00+10:30",
        ),
        (
            Hour,
            "Australia/Lord_Howe",
            "2026-10-03T15:40:00Z",
            "2026-10-04T02:30:00+11:00",
            "2026-10-04T03:00:00+11:00",
        ),
        // Midnight is skipped.
        (
            Day,
            "America/Sao_Paulo",
            "2018-11-04T12:00:00Z",
            "2018-11-04T01:00:00-02:00",
            "2018-11-05T00:00:00-02:00",
        ),
        // Midnight comes twice.
        (
            Day,
            "America/St_Johns",
            "1990-10-28T02:45:00Z",
            "1990-10-28T00:00:00-02:30",
            "1990-10-29T00:00:00-03:30",
        ),
        (
            Day,
            "America/St_Johns",
            "1990-10-28T02:29:59Z",
            "1990-10-27T00:00:00-02:30",
            "1990-10-28T00:00:00-02:30",
        ),
        // A day is skipped.
        (
            Day,
            "Pacific/Apia",
            "2011-12-30T09:59:59Z",
            "2011-12-29T00:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
        ),
        (
            Week,
            "Pacific/Apia",
            "2011-12-30T10:00:00Z",
            "2011-12-26T00:00:00-10:00",
            "2012-01-02T00:00:00+14:00",
        ),
        // An offset that RFC 3339 cannot write.
        (
            Day,
            "Africa/Monrovia",
            "1971-06-01T12:00:00Z",
            "1971-06-01T00:44:30Z",
            "1971-06-02T00:44:30Z",
        ),
        (
            Minute,
            "Asia/Kathmandu",
            "2026-06-01T12:34:56Z",
            "2026-06-01T18:19:00+05:45",
            "2026-06-01T18:20:00+05:45",
        ),
        (
            Hour,
            "Asia/Kathmandu",
            "2026-06-01T12:34:56Z",
            "2026-06-01T18:00:00+05:45",
            "2026-06-01T19:00:00+05:45",
        ),
        // 2026 begins on a Thursday: its first ISO week in 2025.
        (
            Week,
            "UTC",
            "2026-01-04T23:59:59Z",
            "2025-12-29T00:00:00Z",
            "2026-01-05T00:00:00Z",
        ),
        (
            Month,
            "UTC",
            "2024-02-29T23:59:59Z",
            "2024-02-01T00:00:00Z",
            "2024-03-01T00:00:00Z",
        ),
        (
            Quarter,
            "Europe/Berlin",
            "2026-03-31T21:59:59Z",
            "2026-01-01T00:00:00+01:00",
            "2026-04-01T00:00:00+02:00",
        ),
        (
            Quarter,
            "Europe/Berlin",
            "2026-12-31T00:00:00Z",
            "2026-10-01T00:00:00+02:00",
            "2027-01-01T00:00:00+01:00",
        ),
        (
            Year,
            "America/New_York",
            "1970-01-01T04:59:59Z",
            "1969-01-01T00:00:00-05:00",
            "1970-01-01T00:00:00-05:00",
        ),
        (
            Year,
            "Pacific/Kiritimati",
            "2261-12-31T23:59:59Z",
            "2262-01-01T00:00:00+14:00",
            "2263-01-01T00:00:00+14:00",
        ),
    ];
    for (interval, zone, moment, start, end) in cases {
        let found = bounds(interval, zone, moment);
        assert_eq!(
            found,
            (start.to_owned(), end.to_owned()),
            "{interval:?} {zone} {moment}"
        );
    }
}

/// What the clock shows at the beginning of an interval of that length.
fn is_whole(interval: Interval, clock: DateTime) -> bool {
    let first_of_month = clock.day() == 1;
    let day = match interval {
        Interval::Minute => return clock.second() == 0,
        Interval::Hour => return (clock.minute(), clock.second()) == (0, 0),
        Interval::Day => true,
        Interval::Week => clock.weekday() == jiff::civil::Weekday::Monday,
        Interval::Month => first_of_month,
        Interval::Quarter => first_of_month && clock.month() % 3 == 1,
        Interval::Year => first_of_month && clock.month() == 1,
    };
    day && (clock.hour(), clock.minute(), clock.second()) == (0, 0, 0)
}

/// Whatever the moment: intervals follow each other, each begins with a whole one of the clock or
/// where clocks change, and there is no such moment of the clock within.
#[test]
fn intervals_follow_each_other() {
    let mut numbers = Numbers::new(80);
    for _ in 0..6_000 {
        let (interval, name) = (numbers.pick(&Interval::ALL), numbers.pick(&ZONES));
        let calendar = Calendar::new(interval, name).unwrap();
        let zone = TimeZone::get(name).unwrap();
        let clock = |second| zone.to_datetime(jiff::Timestamp::from_second(second).unwrap());
        let moment = strange_time(&mut numbers).div_euclid(1_000_000_000);
        let span = calendar.span(moment);
        assert!(span.contains(moment), "{interval:?} {name} {moment}");
        let inner = [
            span.start,
            span.end - 1,
            span.start + (span.end - span.start) / 2,
        ];
        for other in inner {
            assert_eq!(calendar.span(other), span, "{interval:?} {name} {other}");
        }
        let next = calendar.span(span.end);
        assert_eq!(next.start, span.end, "{interval:?} {name} {moment}");
        // What the clock shows jumps where it changes.
        let jumps =
            clock(span.start) != clock(span.start - 1).saturating_add(jiff::Span::new().seconds(1));
        assert!(
            is_whole(interval, clock(span.start)) || jumps,
            "{interval:?} {name} {moment}"
        );
        for _ in 0..20 {
            let length = (span.end - span.start - 1).max(1) as u64;
            let within = span.start + 1 + numbers.below(length) as i64;
            let first_time = clock(within) > clock(span.start);
            let whole = within < span.end && first_time && is_whole(interval, clock(within));
            assert!(!whole, "{interval:?} {name}: {within} within {span:?}");
        }
    }
}

#[test]
fn names_of_zones() {
    let zone = |name| Calendar::new(Interval::Day, name).map(|found| found.zone().to_owned());
    assert_eq!(zone("europe/berlin").unwrap(), "Europe/Berlin");
    assert_eq!(zone("utc").unwrap(), "UTC");
    for name in [
        "",
        "Europe",
        "Mars/Olympus",
        "../UTC",
        "+02:00",
        "CET-1CEST",
        "Europe/Berlin ",
    ] {
        assert_eq!(zone(name), Err(UnknownZone), "{name}");
    }
}
