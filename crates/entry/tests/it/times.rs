//! Times: what is read, what is refused, and the text that keeps their order.

use audittrail_entry::{Random, TimeError, Timestamp, uuid_v7, uuid_v8};
use proptest::prelude::*;

const DAY: i64 = 86_400_000_000_000;

/// 2261-12-31T23:59:59.999999999Z: the last that is read.
const LAST: i64 = 9_214_646_399_999_999_999;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn accepted() {
    for (text, written) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"),
        (
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T00:00:00.000000001Z",
        ),
        ("2026-11-23T08:30:00z", "2026-11-23T08:30:00.000000000Z"),
        ("2026-11-23t08:30:00Z", "2026-11-23T08:30:00.000000000Z"),
        ("2026-11-23 08:30:00Z", "2026-11-23T08:30:00.000000000Z"),
        ("2026-11-23T08:30:00.5Z", "2026-11-23T08:30:00.500000000Z"),
        ("2026-11-23T08:30:00.050Z", "2026-11-23T08:30:00.050000000Z"),
        (
            "2026-11-23T08:30:00.123456789Z",
            "2026-11-23T08:30:00.123456789Z",
        ),
        (
            "2026-11-23T08:30:00+00:00",
            "2026-11-23T08:30:00.000000000Z",
        ),
        (
            "2026-11-23T08:30:00-00:00",
            "2026-11-23T08:30:00.000000000Z",
        ),
        (
            "2026-11-23T08:30:00.9+05:45",
            "2026-11-23T02:45:00.900000000Z",
        ),
        (
            "2026-12-31T23:30:00-01:00",
            "2027-01-01T00:30:00.000000000Z",
        ),
        (
            "2024-03-01T00:30:00+01:00",
            "2024-02-29T23:30:00.000000000Z",
        ),
        (
            "2023-03-01T00:30:00+01:00",
            "2023-02-28T23:30:00.000000000Z",
        ),
        ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000000000Z"),
        (
            "2026-11-23T23:59:59+23:59",
            "2026-11-23T00:00:59.000000000Z",
        ),
        (
            "2026-11-23T00:00:00-23:59",
            "2026-11-23T23:59:00.000000000Z",
        ),
        // The years are those of UTC: an offset leads into them and out of them.
        (
            "1969-12-31T23:59:59.5-00:01",
            "1970-01-01T00:00:59.500000000Z",
        ),
        (
            "2262-01-01T00:59:59+01:00",
            "2261-12-31T23:59:59.000000000Z",
        ),
        (
            "2261-12-31T23:59:59.999999999Z",
            "2261-12-31T23:59:59.999999999Z",
        ),
    ] {
        assert_eq!(time(text).to_string(), written, "{text}");
        assert_eq!(time(written), time(text), "{text}");
    }
}

#[test]
fn refused() {
    use TimeError::{Form, Fraction, LeapSecond, Range, Year};
    for (text, error) in [
        ("", Form),
        ("2026", Form),
        ("2026-11-23", Form),
        ("2026-11-23T08:30Z", Form),
        ("2026-11-23T08:30:00", Form),
        ("2026-11-23T08:30:00.5", Form),
        ("2026-11-23T08:30:00.Z", Form),
        ("2026-11-23T08:30:00,5Z", Form),
        ("2026-11-23T08:30:00ZZ", Form),
        ("2026-11-23T08:30:00 Z", Form),
        ("2026-11-23T08:30:00Z ", Form),
        (" 2026-11-23T08:30:00Z", Form),
        ("2026-11-23_08:30:00Z", Form),
        ("2026/11/23T08:30:00Z", Form),
        ("2026-11-23T08.30.00Z", Form),
        ("20261123T083000Z", Form),
        ("2026-W48-1T08:30:00Z", Form),
        ("+026-11-23T08:30:00Z", Form),
        ("-026-11-23T08:30:00Z", Form),
        ("12026-11-23T08:30:00Z", Form),
        ("2026-11-23T08:30:+0Z", Form),
        ("2026-11-23T08:30:00+1:00", Form),
        ("2026-11-23T08:30:00+01", Form),
        ("2026-11-23T08:30:00+0100", Form),
        ("2026-11-23T08:30:00+01:00:00", Form),
        ("2026-11-23T08:30:00+01:+1", Form),
        ("2026-11-23T08:30:00\u{2212}01:00", Form),
        ("2026-11-23T08:30:00UTC", Form),
        ("2026-11-23T08:30:0\u{0661}Z", Form),
        ("2026-11-2\u{0661}T08:30:00Z", Form),
        ("2026-00-23T08:30:00Z", Range),
        ("2026-13-23T08:30:00Z", Range),
        ("2026-11-00T08:30:00Z", Range),
        ("2026-11-31T08:30:00Z", Range),
        ("2026-12-32T08:30:00Z", Range),
        ("2026-02-29T08:30:00Z", Range),
        ("2024-02-30T08:30:00Z", Range),
        ("2100-02-29T08:30:00Z", Range),
        ("2026-11-23T24:00:00Z", Range),
        ("2026-11-23T23:60:00Z", Range),
        ("2026-11-23T23:59:61Z", Range),
        ("2026-11-23T24:00:60Z", Range),
        ("2026-11-23T08:30:00+24:00", Range),
        ("2026-11-23T08:30:00-01:60", Range),
        ("2016-12-31T23:59:60Z", LeapSecond),
        ("2016-12-31T15:59:60.5-08:00", LeapSecond),
        ("2026-11-23T08:30:00.1234567890Z", Fraction),
        ("2026-11-23T08:30:00.0000000000Z", Fraction),
        ("1969-12-31T23:59:59.999999999Z", Year),
        ("1970-01-01T00:59:59.999999999+01:00", Year),
        ("2262-01-01T00:00:00Z", Year),
        ("2261-12-31T23:59:59-00:01", Year),
        // 64 bits end on 2262-04-11, and began in 1677.
        ("2262-04-12T00:00:00Z", Year),
        ("1677-09-01T00:00:00Z", Year),
        ("0000-01-01T00:00:00Z", Year),
        ("9999-12-31T23:59:59.999999999Z", Year),
    ] {
        assert_eq!(Timestamp::parse(text), Err(error), "{text}");
    }
}

#[test]
fn days_since_the_epoch() {
    // Days from another calendar implementation.
    for (text, days) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1972-02-29T00:00:00Z", 789),
        ("2000-02-29T00:00:00Z", 11_016),
        ("2026-11-23T00:00:00Z", 20_780),
        ("2100-03-01T00:00:00Z", 47_541),
        ("2261-12-31T00:00:00Z", 106_650),
    ] {
        assert_eq!(time(text).nanos(), days * DAY, "{text}");
    }
    assert_eq!(time("2261-12-31T23:59:59.999999999Z").nanos(), LAST);
}

#[test]
fn each_day_follows_the_one_before() {
    // Of all years that are read, with a calendar that only counts.
    let (mut year, mut month, mut day, mut nanos) = (1970, 1, 1, 0);
    while year < 2262 {
        let text = format!("{year}-{month:02}-{day:02}T00:00:00.000000000Z");
        assert_eq!(time(&text).nanos(), nanos, "{text}");
        assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
        let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        let days = [
            31,
            28 + i32::from(leap),
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        nanos += DAY;
        day += 1;
        if day > days[month - 1] {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    assert_eq!(nanos, LAST + 1);
}

#[test]
fn before_1970_and_at_the_ends_of_64_bits() {
    for (nanos, text) in [
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-DAY, "1969-12-31T00:00:00.000000000Z"),
        (-DAY - 1, "1969-12-30T23:59:59.999999999Z"),
        // 1900 was no leap year.
        (-2_203_891_200_000_000_000, "1900-03-01T00:00:00.000000000Z"),
        (-2_203_891_200_000_000_001, "1900-02-28T23:59:59.999999999Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        (LAST + 1, "2262-01-01T00:00:00.000000000Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
    ] {
        assert_eq!(Timestamp::from_nanos(nanos).to_string(), text);
        assert_eq!(Timestamp::parse(text), Err(TimeError::Year), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_is_read_back(nanos in 0..=LAST) {
        let time = Timestamp::from_nanos(nanos);
        prop_assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
    }

    #[test]
    fn text_order_is_time_order(a in any::<i64>(), b in any::<i64>(), near in -2_000_000_000..2_000_000_000_i64) {
        for other in [b, a.saturating_add(near)] {
            let (one, two) = (Timestamp::from_nanos(a), Timestamp::from_nanos(other));
            prop_assert_eq!(one.to_string().cmp(&two.to_string()), a.cmp(&other));
            prop_assert_eq!(one.cmp(&two), a.cmp(&other));
        }
    }

    #[test]
    fn an_offset_moves_the_clock_not_the_time(
        nanos in DAY..LAST - DAY,
        hours in 0..24_i64,
        minutes in 0..60_i64,
        west in any::<bool>(),
    ) {
        let east = (hours * 60 + minutes) * 60_000_000_000 * if west { -1 } else { 1 };
        let local = Timestamp::from_nanos(nanos + east).to_string();
        let sign = if west { '-' } else { '+' };
        let text = format!("{}{sign}{hours:02}:{minutes:02}", local.trim_end_matches('Z'));
        prop_assert_eq!(Timestamp::parse(&text), Ok(Timestamp::from_nanos(nanos)), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[0-9TtZz:.+\\- ]{18,36}") {
        if let Ok(time) = Timestamp::parse(&text) {
            prop_assert!((0..=LAST).contains(&time.nanos()));
        }
    }
}

struct Ones;

impl Random for Ones {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0xff);
    }
}

#[test]
fn uuids() {
    // RFC 9562 appendix A.6 has this time: 2022-02-22T14:22:22-05:00.
    let id = uuid_v7(time("2022-02-22T14:22:22-05:00"), &Ones).to_string();
    assert_eq!(id, "017f22e2-79b0-7fff-bfff-ffffffffffff");
    // A clock before 1970 is a wrong clock, and no reason to stop.
    let id = uuid_v7(Timestamp::from_nanos(-1), &Ones).to_string();
    assert_eq!(id, "00000000-0000-7fff-bfff-ffffffffffff");
    assert_eq!(
        uuid_v8(&[0xff; 32]).to_string(),
        "ffffffff-ffff-8fff-bfff-ffffffffffff"
    );
    assert_eq!(
        uuid_v8(&[]).to_string(),
        "00000000-0000-8000-8000-000000000000"
    );
}
