//! When promotions may happen, as an operator writes it: `Mon-Thu 07:00-15:00`, in UTC as every time here.

use std::fmt;

/// Days of the week and a time of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeWindow {
    text: String,
    /// From Monday on.
    days: [bool; 7],
    /// Minutes since midnight.
    from: u16,
    /// The same; not after `from` if the window ends on the day after it began.
    to: u16,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Minutes.
const DAY: u16 = 24 * 60;

impl ChangeWindow {
    /// What may be written.
    pub const ALLOWED: &'static str = "days and hours in UTC: Mon-Thu 07:00-15:00";

    /// Understands a text.
    pub fn parse(text: &str) -> Option<Self> {
        let (days, hours) = text.split_once(' ')?;
        let day = |name: &str| DAYS.iter().position(|day| *day == name);
        let mut on = [false; 7];
        for part in days.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut at, last) = (day(first)?, day(last)?);
            on[at] = true;
            while at != last {
                at = (at + 1) % 7;
                on[at] = true;
            }
        }
        let minutes = |text: &str| -> Option<u16> {
            let (h, m) = text.split_once(':')?;
            let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            let (hours, minutes): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (digits(h) && digits(m) && hours <= 24 && minutes < 60 && hours * 60 + minutes <= DAY)
                .then(|| hours * 60 + minutes)
        };
        let (from, to) = hours.split_once('-')?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        (from != to && from < DAY && to > 0).then(|| Self { text: text.to_owned(), days: on, from, to })
    }

    /// Whether a moment, in seconds since the epoch, lies in it.
    pub fn contains(&self, seconds: i64) -> bool {
        let minute = seconds.div_euclid(60);
        // 1 January 1970 was a Thursday.
        let on = |day: i64| usize::try_from((day + 3).rem_euclid(7)).is_ok_and(|day| self.days[day]);
        let (day, at) = (minute.div_euclid(DAY.into()), minute.rem_euclid(DAY.into()));
        let (from, to) = (i64::from(self.from), i64::from(self.to));
        if from < to { on(day) && (from..to).contains(&at) } else { on(day) && at >= from || on(day - 1) && at < to }
    }
}

impl fmt::Display for ChangeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Timestamp;

    fn at(text: &str) -> i64 {
        Timestamp::parse_compact(text).unwrap().seconds()
    }

    #[test]
    fn days_and_hours() {
        let week = ChangeWindow::parse("Mon-Thu 07:00-15:00").unwrap();
        // 23 November 2026 is a Monday.
        for (time, inside) in [
            ("20261123-070000", true),
            ("20261123-065959", false),
            ("20261126-145959", true),
            ("20261126-150000", false),
            ("20261127-100000", false),
            ("20261122-100000", false),
        ] {
            assert_eq!(week.contains(at(time)), inside, "{time}");
        }
        let night = ChangeWindow::parse("Sat,Sun 22:00-02:00").unwrap();
        for (time, inside) in [
            ("20261128-230000", true),
            ("20261129-010000", true),
            ("20261130-015959", true),
            ("20261130-020000", false),
            ("20261128-010000", false),
        ] {
            assert_eq!(night.contains(at(time)), inside, "{time}");
        }
        let around = ChangeWindow::parse("Fri-Mon 00:00-24:00").unwrap();
        assert!(around.contains(at("20261123-235959")) && !around.contains(at("20261124-000000")));
        assert_eq!(around.to_string(), "Fri-Mon 00:00-24:00");
    }

    #[test]
    fn what_is_no_window() {
        for text in [
            "",
            "Mon",
            "Mon 7:00-15:00",
            "mon 07:00-15:00",
            "Mon 07:00",
            "Mon 07:00-07:00",
            "Mon 24:00-01:00",
            "Mon-Xyz 07:00-15:00",
            "Mon 07:60-15:00",
            "Mon 07:00-25:00",
            "07:00-15:00",
            "Mon, 07:00-15:00",
            "Mon 07:00-15:00 ",
            "Mon +7:00-15:00",
            "Mon 22:00-00:00",
        ] {
            assert_eq!(ChangeWindow::parse(text), None, "{text}");
        }
    }
}
