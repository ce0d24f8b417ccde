//! Intervals of the calendar in a time zone.
//!
//! The rules of time zones are those of the tz database within the program, whatever the system
//! has.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day, of 23 to 25 hours where clocks change.
    Day,
    /// A week of ISO 8601, from Monday.
    Week,
    /// A month.
    Month,
    /// Three months, from January, April, July and October.
    Quarter,
    /// A year.
    Year,
}

impl Interval {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
    ];

    /// The value of the `interval` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// The interval of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The first day of the interval that a day is in.
    fn first_day(self, date: Date) -> Date {
        match self {
            Self::Minute | Self::Hour | Self::Day => date,
            Self::Week => {
                let since_monday = date.weekday().to_monday_zero_offset();
                date.saturating_sub(i64::from(since_monday).days())
            }
            Self::Month => date.first_of_month(),
            Self::Quarter => {
                let first = date.first_of_month();
                first.saturating_sub(i64::from((date.month() - 1) % 3).months())
            }
            Self::Year => date.first_of_year(),
        }
    }

    /// The first day of the next interval.
    fn next(self, first: Date) -> Date {
        let span = match self {
            Self::Minute | Self::Hour | Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Quarter => 3.months(),
            Self::Year => 1.year(),
        };
        first.saturating_add(span)
    }
}

/// A stretch of time, in seconds since the Unix epoch: intervals begin at whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first second.
    pub start: i64,
    /// The second after the last.
    pub end: i64,
}

impl Span {
    /// Whether a second lies within.
    pub fn contains(&self, second: i64) -> bool {
        self.start <= second && second < self.end
    }
}

/// No time zone of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tz database has no such time zone")]
pub struct UnknownZone;

/// Divides time into intervals, one after the other without a gap.
///
/// A day begins with its first moment: where clocks skip midnight that is later, and where
/// midnight comes twice it is the first. A longer interval begins with its first day. A minute or
/// an hour begins when the clock shows a whole one, and whenever the offset from UTC changes: an
/// hour that the clock shows twice is two.
#[derive(Debug, Clone)]
pub struct Calendar {
    interval: Interval,
    zone: TimeZone,
}

impl Calendar {
    /// Intervals in the time zone of an IANA name.
    ///
    /// # Errors
    /// If there is no such time zone.
    pub fn new(interval: Interval, zone: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZoneDatabase::bundled().get(zone);
        Ok(Self {
            interval,
            zone: zone.map_err(|_| UnknownZone)?,
        })
    }

    /// How long the intervals are.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The time zone's name, as the tz database writes it.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The interval that a second lies in.
    pub fn span(&self, second: i64) -> Span {
        match self.interval {
            Interval::Minute => self.of_clock(second, MINUTE),
            Interval::Hour => self.of_clock(second, HOUR),
            _ => self.of_days(second),
        }
    }

    /// A second as RFC 3339, with the offset that holds then. Where that is no whole number of
    /// minutes, which RFC 3339 cannot write, in UTC.
    pub fn text(&self, second: i64) -> String {
        let moment = moment(second);
        let offset = self.zone.to_offset(moment);
        if offset.is_zero() || i64::from(offset.seconds()) % MINUTE != 0 {
            return moment.to_string();
        }
        moment.display_with_offset(offset).to_string()
    }

    fn of_clock(&self, second: i64, unit: i64) -> Span {
        let offset = self.offset(second);
        let start = second - (second + offset).rem_euclid(unit);
        let end = start + unit;
        let changed = self.last_change(second);
        let changes = self
            .zone
            .following(moment(second))
            .map(|change| change.timestamp().as_second())
            .take_while(|at| *at < end)
            .find(|at| self.offset(*at) != offset);
        Span {
            start: changed.map_or(start, |at| start.max(at)),
            end: changes.unwrap_or(end),
        }
    }

    fn of_days(&self, second: i64) -> Span {
        let date = self.zone.to_datetime(moment(second)).date();
        let mut first = self.interval.first_day(date);
        let mut span = self.beginning(first);
        // Where the clock goes back over midnight the old date comes once more after the new
        // day has begun.
        while second >= span.end {
            first = self.interval.next(first);
            span = self.beginning(first);
        }
        span
    }

    fn beginning(&self, first: Date) -> Span {
        Span {
            start: self.first_second(first),
            end: self.first_second(self.interval.next(first)),
        }
    }

    /// When a day begins.
    fn first_second(&self, date: Date) -> i64 {
        let midnight = date.at(0, 0, 0, 0);
        let as_utc = Offset::UTC
            .to_timestamp(midnight)
            .map_or(i64::MAX, Timestamp::as_second);
        let at = |offset: Offset| as_utc.saturating_sub(i64::from(offset.seconds()));
        match self.zone.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            // Clocks were put forward over midnight at this moment or a little before.
            AmbiguousOffset::Gap { before, .. } => {
                self.last_change(at(before)).unwrap_or_else(|| at(before))
            }
        }
    }

    fn offset(&self, second: i64) -> i64 {
        i64::from(self.zone.to_offset(moment(second)).seconds())
    }

    /// When the offset that holds at a second began to.
    fn last_change(&self, second: i64) -> Option<i64> {
        let offset = self.offset(second);
        self.zone
            .preceding(moment(second + 1))
            .map(|change| change.timestamp().as_second())
            .find(|at| self.offset(at - 1) != offset)
    }
}

/// What lies beyond the range of jiff, the years -9999 to 9999, is its end: no timestamp does.
fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
