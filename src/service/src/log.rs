//! Lines on stderr. Under systemd the journal stamps time, unit and colour, so a line is `<level>`
//! as in sd-daemon(3) and the words; by hand it is level and words.

use std::fmt;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Sends all events of level info and above to stderr.
pub(crate) fn to_stderr() {
    let journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    // A second call (tests) leaves the first one in force.
    let _ = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // It would be said with eprintln!, which panics where stderr is gone, and a service ends by its lost log.
        .log_internal_errors(false)
        .event_format(Lines { journal })
        .try_init();
}

/// `JOURNAL_STREAM` holds device and inode of the stream systemd.exec(5) connected; it is inherited
/// by programs whose stderr was redirected since, hence the comparison.
fn is_journal(variable: Option<&str>) -> bool {
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    variable == Some(format!("{}:{}", meta.dev(), meta.ino()).as_str())
}

struct Lines {
    journal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{}", prefix(self.journal, *event.metadata().level()))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn prefix(journal: bool, level: Level) -> &'static str {
    match (journal, level) {
        (true, Level::ERROR) => "<3>",
        (true, Level::WARN) => "<4>",
        (true, Level::INFO) => "<6>",
        (true, _) => "<7>",
        (false, Level::ERROR) => "error: ",
        (false, Level::WARN) => "warning: ",
        (false, _) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_stream_that_systemd_made_is_the_journal() {
        let meta = std::fs::metadata("/proc/self/fd/2").unwrap();
        let ours = format!("{}:{}", meta.dev(), meta.ino());
        assert!(is_journal(Some(&ours)));
        assert!(!is_journal(Some("1:1")));
        assert!(!is_journal(None));
    }
}
