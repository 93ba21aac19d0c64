//! What is tried, and how it is named: `upgrade!prerm:upgrade/preinst:upgrade#17/kill-script`.
//!
//! A flow is something that dpkg is told to do. In a scenario of it, some of the script calls fail:
//! `!prerm:upgrade` before it does anything, `!prerm:upgrade@end` after it has done all. A case is
//! a scenario with at most one fault at one system call.

use std::fmt;
use std::str::FromStr;

use host::{Error, Kind, Result};

use crate::fault::Fault;
use crate::flow::Flow;

/// The label of a point after the last call.
pub const END: &str = "end";

/// A script call that fails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Failing {
    /// Its label, such as `prerm:upgrade`.
    pub label: String,
    /// After it has done its work rather than before.
    pub at_end: bool,
}

/// A flow in which some script calls fail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scenario {
    /// The flow.
    pub flow: Flow,
    /// In the order in which they are called.
    pub failing: Vec<Failing>,
}

impl Scenario {
    /// The flow as it is meant to go.
    pub fn plain(flow: Flow) -> Self {
        Self { flow, failing: Vec::new() }
    }

    /// The same where this call fails besides.
    pub fn with(&self, label: &str, at_end: bool) -> Self {
        let mut failing = self.failing.clone();
        failing.push(Failing { label: label.to_owned(), at_end });
        Self { failing, ..*self }
    }
}

/// One fault at one call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The script call.
    pub label: String,
    /// Which changing system call of it, from 1.
    pub number: u32,
    /// What happens there.
    pub fault: Fault,
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    /// The scenario.
    pub scenario: Scenario,
    /// The fault, if any.
    pub point: Option<Point>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.flow.name())?;
        for failing in &self.failing {
            write!(f, "!{}{}", failing.label, if failing.at_end { "@end" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario)?;
        match &self.point {
            Some(point) => write!(f, "/{}#{}/{}", point.label, point.number, point.fault),
            None => Ok(()),
        }
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::of(
                Kind::Usage,
                format!("{text:?} is no case; one is upgrade!prerm:upgrade/preinst:upgrade#17/kill-script"),
            )
        };
        let mut parts = text.split('/');
        let mut words = parts.next().unwrap_or_default().split('!');
        let flow = words.next().unwrap_or_default().parse()?;
        let failing = words.map(|word| match word.strip_suffix("@end") {
            Some(label) => Failing { label: label.to_owned(), at_end: true },
            None => Failing { label: word.to_owned(), at_end: false },
        });
        let scenario = Scenario { flow, failing: failing.collect() };
        let point = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => None,
            (Some(place), Some(fault), None) => {
                let (label, number) = place.split_once('#').ok_or_else(wrong)?;
                let number = number.parse().map_err(|_| wrong())?;
                Some(Point { label: label.to_owned(), number, fault: fault.parse()? })
            }
            _ => return Err(wrong()),
        };
        Ok(Self { scenario, point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        for name in [
            "install",
            "upgrade!prerm:upgrade",
            "upgrade!prerm:upgrade!prerm:failed-upgrade@end",
            "remove/prerm:remove#1/enospc-from",
            "upgrade!postinst:configure@end/postinst:abort-upgrade~2#17/kill-script",
        ] {
            assert_eq!(name.parse::<Case>().unwrap().to_string(), name);
        }
        for wrong in
            ["", "fly", "install/x", "install/x#1", "install/x#y/hup", "install/x#1/nothing", "install/x#1/hup/x"]
        {
            assert_eq!(wrong.parse::<Case>().unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }
}
