//! Time as UTC: whole seconds for names, never local time.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in UTC, whole seconds since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment given in seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// `YYYYMMDD-HHMMSS`, the name of a snapshot.
    pub fn compact(self) -> String {
        let (y, mo, d, h, mi, s) = self.civil();
        format!("{y:04}{mo:02}{d:02}-{h:02}{mi:02}{s:02}")
    }

    /// The moment that [`Timestamp::compact`] wrote; `None` for anything else.
    pub fn parse_compact(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('-')?;
        if date.len() != 8 || time.len() != 6 {
            return None;
        }
        let digits = |part: &str| -> Option<i64> {
            part.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            part.parse().ok()
        };
        let (y, mo, d) = (digits(&date[..4])?, digits(&date[4..6])?, digits(&date[6..])?);
        let (h, mi, s) = (digits(&time[..2])?, digits(&time[2..4])?, digits(&time[4..])?);
        let at = Self(days_from_civil(y, mo, d) * 86_400 + h * 3_600 + mi * 60 + s);
        (at.compact() == text).then_some(at)
    }

    fn civil(self) -> (i64, i64, i64, i64, i64, i64) {
        let (days, rest) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (y, m, d) = civil_from_days(days);
        (y, m, d, rest / 3_600, rest / 60 % 60, rest % 60)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, as in `2026-11-23T07:46:22Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, mo, d, h, mi, s) = self.civil();
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
    }
}

/// Where the time comes from; tests own theirs.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that stands still.
    Fixed(Timestamp),
}

impl Clock {
    /// The present moment. A system clock before 1970 counts as 1970.
    pub fn now(self) -> Timestamp {
        match self {
            Clock::Fixed(at) => at,
            Clock::System => Timestamp(
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs().try_into().unwrap_or(i64::MAX)),
            ),
        }
    }
}

/// Proleptic Gregorian calendar, eras of 400 years that begin on 1 March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let doe = shifted.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, compact, long) in [
            (0, "19700101-000000", "1970-01-01T00:00:00Z"),
            (951_782_400, "20000229-000000", "2000-02-29T00:00:00Z"),
            (1_795_419_982, "20261123-074622", "2026-11-23T07:46:22Z"),
        ] {
            let at = Timestamp::from_seconds(seconds);
            assert_eq!(at.compact(), compact);
            assert_eq!(at.to_string(), long);
            assert_eq!(Timestamp::parse_compact(compact), Some(at));
        }
    }

    #[test]
    fn what_is_no_time_stamp() {
        for text in [
            "",
            "20261123",
            "20261323-000000",
            "20260230-000000",
            "2026112３-07462",
            "20261123-074660",
            "+0261123-074622",
        ] {
            assert_eq!(Timestamp::parse_compact(text), None, "{text}");
        }
    }
}
