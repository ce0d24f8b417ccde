//! Times with nanoseconds, RFC 3339, and the sources of time and randomness.

use std::fmt;

use uuid::Uuid;

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// The bytes of a time as it is written.
const TEXT_LEN: usize = 30;

/// A time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no time that an entry can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("it is not of the form 2026-11-23T08:30:00Z")]
    Form,
    /// No such day or time of day.
    #[error("there is no such date or time")]
    Range,
    /// More than nine digits of a second.
    #[error("it is finer than a nanosecond")]
    Fraction,
    /// RFC 3339 allows second 60; no clock here can say when it was.
    #[error("it is a leap second; write second 59")]
    LeapSecond,
    /// 64 bits hold nanoseconds from 1970 to 2261.
    #[error("its year is not from 1970 to 2261")]
    Year,
}

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Reads a date-time of RFC 3339 section 5.6, with a space in place of the T if need be.
    ///
    /// # Errors
    /// If it is not one, or lies outside the years 1970 to 2261.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let bytes = text.as_bytes();
        let (head, rest) = bytes.split_at_checked(19).ok_or(TimeError::Form)?;
        let separators = [
            (4, b"--"),
            (7, b"--"),
            (10, b"Tt"),
            (13, b"::"),
            (16, b"::"),
        ];
        let sound = separators
            .iter()
            .all(|(at, allowed)| allowed.contains(&head[*at]) || (*at == 10 && head[*at] == b' '));
        if !sound {
            return Err(TimeError::Form);
        }
        let year = number(&head[..4])?;
        let (month, day) = (number(&head[5..7])?, number(&head[8..10])?);
        let time = (
            number(&head[11..13])?,
            number(&head[14..16])?,
            number(&head[17..19])?,
        );
        let (fraction, rest) = parse_fraction(rest)?;
        let offset = parse_offset(rest)?;
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return Err(TimeError::Range);
        }
        let (hour, minute, second) = time;
        match (hour, minute, second) {
            (0..=23, 0..=59, 0..=59) => {}
            (0..=23, 0..=59, 60) => return Err(TimeError::LeapSecond),
            _ => return Err(TimeError::Range),
        }
        let seconds =
            days_from_civil(year, month, day) * DAY_SECONDS + hour * 3_600 + minute * 60 + second
                - offset;
        let nanos = seconds
            .checked_mul(NANOS)
            .and_then(|nanos| nanos.checked_add(fraction));
        let time = Self(nanos.ok_or(TimeError::Year)?);
        // The years are those of UTC.
        if (1970..=2261).contains(&time.civil().0) {
            Ok(time)
        } else {
            Err(TimeError::Year)
        }
    }

    /// Year, month, day in UTC.
    fn civil(self) -> (i64, i64, i64) {
        civil_from_days(self.0.div_euclid(NANOS * DAY_SECONDS))
    }

    /// `YYYY-MM-DDTHH:MM:SS.fffffffffZ`, always nine digits, so that text order is time order.
    pub fn to_text(self) -> [u8; TEXT_LEN] {
        let (year, month, day) = self.civil();
        let in_day = self.0.rem_euclid(NANOS * DAY_SECONDS);
        let (seconds, nanos) = (in_day / NANOS, in_day % NANOS);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        // Years from 1677 to 2262 are all that 64 bits hold.
        digits(&mut text[..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], seconds / 3_600);
        digits(&mut text[14..16], seconds / 60 % 60);
        digits(&mut text[17..19], seconds % 60);
        digits(&mut text[20..29], nanos);
        text
    }
}

impl fmt::Display for Timestamp {
    /// As [`Timestamp::to_text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits and separators are ASCII.
        f.write_str(std::str::from_utf8(&self.to_text()).unwrap_or_default())
    }
}

/// Writes the last digits of a number that is not negative.
fn digits(text: &mut [u8], mut value: i64) {
    for place in text.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn number(digits: &[u8]) -> Result<i64, TimeError> {
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + i64::from(digit - b'0')),
        _ => Err(TimeError::Form),
    })
}

fn parse_fraction(bytes: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some(rest) = bytes.strip_prefix(b".") else {
        return Ok((0, bytes));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match digits {
        0 => Err(TimeError::Form),
        1..=9 => {
            let value = number(&rest[..digits])?;
            Ok((value * 10_i64.pow(9 - digits as u32), &rest[digits..]))
        }
        _ => Err(TimeError::Fraction),
    }
}

/// Seconds east of UTC.
fn parse_offset(bytes: &[u8]) -> Result<i64, TimeError> {
    let (sign, hour, minute) = match bytes {
        b"Z" | b"z" => return Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            (*sign, number(&[*h1, *h2])?, number(&[*m1, *m2])?)
        }
        _ => return Err(TimeError::Form),
    };
    if hour > 23 || minute > 59 {
        return Err(TimeError::Range);
    }
    let seconds = hour * 3_600 + minute * 60;
    Ok(if sign == b'-' { -seconds } else { seconds })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days before a year, counted from the year 0 of the proleptic Gregorian calendar.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    year * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) + 1
}

/// Days from 1970-01-01.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    days_before_year(year) - days_before_year(1970) + months + day - 1
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let since_zero = days + days_before_year(1970);
    // 146,097 days are 400 years; the estimate is off by one year at most.
    let mut year = since_zero * 400 / 146_097;
    while days_before_year(year + 1) <= since_zero {
        year += 1;
    }
    while days_before_year(year) > since_zero {
        year -= 1;
    }
    let mut day = since_zero - days_before_year(year);
    let mut month = 1;
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// Where a program takes the time from.
pub trait Clock: Send + Sync {
    /// The time now. It may step back.
    fn now(&self) -> Timestamp;
}

/// Where a program takes random numbers from. Salts depend on them: they have to be fit for
/// cryptography.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// A UUIDv7 of RFC 9562 section 5.7: milliseconds, then random bits.
pub fn uuid_v7(now: Timestamp, random: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// A UUIDv8 of RFC 9562 section 5.8 from the first 16 bytes of a digest.
pub fn uuid_v8(digest: &[u8]) -> Uuid {
    let mut bytes = [0; 16];
    let len = digest.len().min(16);
    bytes[..len].copy_from_slice(&digest[..len]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
