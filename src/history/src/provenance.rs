//! Who wrote what stands at a path: the question on which every going-back turns.

use std::collections::BTreeMap;
use std::path::Path;

use host::{Result, files};

use crate::PathText;
use crate::journal::{Backend, Event, Journal, Written};

/// What the journal says of every content it ever saw.
#[derive(Debug, Clone)]
pub enum Provenance {
    /// There is no journal, or it can't be read.
    Unknown {
        /// The reason, for a person.
        why: String,
    },
    /// What it says.
    Known(Known),
}

/// Contents by path. There is one more with each write, so each is held in few bytes.
#[derive(Debug, Clone, Default)]
pub struct Known {
    places: BTreeMap<Box<Path>, Place>,
}

/// What was seen at one path.
#[derive(Debug, Clone, Default)]
struct Place {
    /// Contents, numbered as they were first seen.
    numbers: BTreeMap<Digest, u32>,
    /// Whose each of them is, by number.
    whose: Vec<Whose>,
    /// Each write there, in their order: the number of what stood before, and after.
    writes: Vec<(u32, u32)>,
}

/// Whose a content is.
#[derive(Debug, Clone)]
enum Whose {
    /// Only a going-back has put it there: nothing is known of it.
    Nobody,
    /// It stood there before Rust ever wrote it, or somebody else wrote it.
    Foreign,
    /// Only Rust has written it there; the last operation that did.
    Trial(Box<str>),
}

/// A digest as [`crate::What::digest`] gives it: of a file, or a word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Digest {
    Sha256([u8; 32]),
    Word(Box<str>),
}

impl Digest {
    fn of(text: &str) -> Self {
        Self::sha256(text.as_bytes()).map_or_else(|| Self::Word(text.into()), Self::Sha256)
    }

    /// Lower case only: what is not written so is another text.
    fn sha256(hex: &[u8]) -> Option<[u8; 32]> {
        let mut out = [0; 32];
        if hex.len() != 2 * out.len() {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
            for digit in pair {
                let digit = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                *byte = *byte << 4 | digit;
            }
        }
        Some(out)
    }

    fn text(&self) -> String {
        match self {
            Self::Sha256(bytes) => files::hex(bytes),
            Self::Word(word) => word.as_ref().to_owned(),
        }
    }
}

impl Place {
    fn number(&mut self, digest: &str) -> u32 {
        let next = self.whose.len() as u32;
        let number = *self.numbers.entry(Digest::of(digest)).or_insert(next);
        if number == next {
            self.whose.push(Whose::Nobody);
        }
        number
    }

    fn whose(&mut self, number: u32) -> Option<&mut Whose> {
        self.whose.get_mut(number as usize)
    }

    fn trial(&self, number: u32) -> Option<&str> {
        match self.whose.get(number as usize) {
            Some(Whose::Trial(id)) => Some(id),
            _ => None,
        }
    }

    fn wrote(&mut self, id: &str, backend: Backend, written: &Written) {
        let (before, after) = (self.number(&written.before), self.number(&written.after));
        self.writes.push((before, after));
        if let Some(whose @ Whose::Nobody) = self.whose(before) {
            *whose = Whose::Foreign;
        }
        match (backend, self.whose(after)) {
            (Backend::Rust, Some(whose @ (Whose::Nobody | Whose::Trial(_)))) => *whose = Whose::Trial(id.into()),
            (Backend::Legacy, Some(whose)) => *whose = Whose::Foreign,
            _ => {}
        }
    }

    fn accepted(&mut self, digest: &str) {
        let number = self.number(digest);
        if let Some(whose) = self.whose(number) {
            *whose = Whose::Foreign;
        }
    }
}

impl Known {
    /// Reads it from the journal, whose events `also` sees as well; `None` if there is no journal.
    ///
    /// # Errors
    /// The journal can't be read.
    pub(crate) fn read(journal: &Journal, also: &mut dyn FnMut(&Event)) -> Result<Option<Self>> {
        let mut known = Self::default();
        let read = journal.each(&mut |event| {
            known.add(&event);
            also(&event);
        })?;
        Ok(read.map(|_| known))
    }

    /// Takes in the next event.
    ///
    /// A content is on trial if Rust wrote it and nothing shows it there earlier: so `A -> B -> A`
    /// by Rust leaves `A` the admin's, who had it first.
    pub(crate) fn add(&mut self, event: &Event) {
        match event {
            Event::Begin { id, backend, paths, .. } => self.wrote(id, *backend, paths),
            Event::Accept { paths, .. } => {
                for (path, digest) in paths {
                    self.place(path).accepted(digest);
                }
            }
            Event::End { .. } | Event::Note { .. } | Event::Unknown => {}
        }
    }

    /// Takes in a write.
    pub(crate) fn wrote(&mut self, id: &str, backend: Backend, paths: &BTreeMap<PathText, Written>) {
        for (path, written) in paths {
            self.place(path).wrote(id, backend, written);
        }
    }

    fn place(&mut self, path: &PathText) -> &mut Place {
        self.places.entry(path.as_path().into()).or_default()
    }
}

impl Provenance {
    const MISSING: &'static str = "the operation journal is missing";

    /// Reads it from the journal.
    pub fn read(journal: &Journal) -> Self {
        Self::from_read(Known::read(journal, &mut |_| {}))
    }

    pub(crate) fn from_read(read: Result<Option<Known>>) -> Self {
        match read {
            Ok(Some(known)) => Self::Known(known),
            Ok(None) => Self::Unknown { why: Self::MISSING.into() },
            Err(error) => Self::Unknown { why: error.to_string() },
        }
    }

    /// Reads it from events in the order in which they were written.
    pub fn of(events: &[Event]) -> Self {
        let mut known = Known::default();
        events.iter().for_each(|event| known.add(event));
        Self::Known(known)
    }

    fn place(&self, path: &Path) -> Option<&Place> {
        match self {
            Self::Unknown { .. } => None,
            Self::Known(known) => known.places.get(path),
        }
    }

    /// The operation that put `digest` at `path`, if that content is Rust's and not yet accepted.
    pub fn on_trial(&self, path: &Path, digest: &str) -> Option<&str> {
        let place = self.place(path)?;
        place.trial(*place.numbers.get(&Digest::of(digest))?)
    }

    /// Paths that an operation wrote.
    pub(crate) fn written(&self) -> Vec<&Path> {
        match self {
            Self::Unknown { .. } => Vec::new(),
            Self::Known(known) => {
                known.places.iter().filter(|(_, place)| !place.writes.is_empty()).map(|(path, _)| &**path).collect()
            }
        }
    }

    /// What stood at `path` before the chain of Rust writes that led to `digest` began; `None` if the
    /// journal does not reach back that far.
    pub(crate) fn before_trial(&self, path: &Path, digest: &str) -> Option<String> {
        let known = self.place(path).and_then(|place| Some((place, *place.numbers.get(&Digest::of(digest))?)));
        let Some((place, mut at)) = known else { return Some(digest.to_owned()) };
        for (before, after) in place.writes.iter().rev() {
            if place.trial(at).is_none() {
                break;
            }
            if *after == at {
                at = *before;
            }
        }
        if place.trial(at).is_some() {
            return None;
        }
        place.numbers.iter().find(|(_, number)| **number == at).map(|(digest, _)| digest.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Written;

    fn wrote(backend: Backend, before: &str, after: &str) -> Event {
        Event::Begin {
            id: format!("{before}{after}"),
            time: 0,
            backend,
            tool: "t".into(),
            phase: "rust-full".into(),
            snapshot: None,
            transaction: None,
            paths: [("/f".into(), Written { before: before.into(), after: after.into() })].into(),
        }
    }

    fn accept(digest: &str) -> Event {
        Event::Accept { time: 0, by: "admin".into(), reason: "r".into(), paths: [("/f".into(), digest.into())].into() }
    }

    #[test]
    fn who_wrote_what() {
        use Backend::{Legacy, Restore, Rust};
        let cases: &[(&str, Vec<Event>, &[&str])] = &[
            ("nothing written", vec![], &[]),
            ("Rust wrote B", vec![wrote(Rust, "A", "B")], &["B"]),
            ("Rust there and back: A was the admin's", vec![wrote(Rust, "A", "B"), wrote(Rust, "B", "A")], &["B"]),
            ("Perl wrote the same", vec![wrote(Rust, "A", "B"), wrote(Legacy, "A", "B")], &[]),
            ("Perl wrote after", vec![wrote(Rust, "A", "B"), wrote(Legacy, "B", "C")], &["B"]),
            (
                "restored, then on top of the admin's C",
                vec![wrote(Rust, "A", "B"), wrote(Restore, "B", "A"), wrote(Rust, "C", "D")],
                &["B", "D"],
            ),
            ("accepted", vec![wrote(Rust, "A", "B"), accept("B"), wrote(Rust, "B", "C")], &["C"]),
            (
                "accepted before it was written counts for what stood then",
                vec![accept("B"), wrote(Rust, "A", "B")],
                &[],
            ),
            ("Rust deleted it", vec![wrote(Rust, "A", "absent")], &["absent"]),
        ];
        for (name, events, trial) in cases {
            let provenance = Provenance::of(events);
            for digest in ["A", "B", "C", "D", "absent"] {
                let is = provenance.on_trial(Path::new("/f"), digest).is_some();
                assert_eq!(is, trial.contains(&digest), "{name}: {digest}");
            }
            assert!(provenance.on_trial(Path::new("/other"), "B").is_none());
        }
    }

    /// The rules as they are told, from all events at once.
    fn plainly(events: &[Event], path: &str, digest: &str) -> (Option<String>, Option<String>) {
        let mut trial: BTreeMap<&str, &str> = BTreeMap::new();
        let mut foreign: Vec<&str> = Vec::new();
        let mut writes = Vec::new();
        for event in events {
            match event {
                Event::Begin { id, backend, paths, .. } => {
                    let Some(written) = paths.get(&PathText::from(path)) else { continue };
                    writes.push(written);
                    if !trial.contains_key(&*written.before) {
                        foreign.push(&written.before);
                    }
                    match backend {
                        Backend::Rust if !foreign.contains(&&*written.after) => {
                            trial.insert(&written.after, id);
                        }
                        Backend::Legacy => {
                            trial.remove(&*written.after);
                            foreign.push(&written.after);
                        }
                        Backend::Rust | Backend::Restore => {}
                    }
                }
                Event::Accept { paths, .. } => {
                    let Some(digest) = paths.get(&PathText::from(path)) else { continue };
                    trial.remove(&**digest);
                    foreign.push(digest);
                }
                _ => {}
            }
        }
        let mut at = digest;
        for written in writes.iter().rev() {
            if trial.contains_key(at) && written.after == at {
                at = &written.before;
            }
        }
        (trial.get(digest).map(ToString::to_string), (!trial.contains_key(at)).then(|| at.to_owned()))
    }

    #[test]
    fn read_as_it_comes_it_is_what_all_events_at_once_say() {
        let hex = |byte: u8| files::hex(&[byte; 32]);
        // The last two are no digests of a file, and neither is one in capitals.
        let digests = [hex(0), hex(0xab), hex(0xff), "absent".into(), "link:/x".into(), hex(0xab).to_uppercase()];
        let paths = ["/f", "/g"];
        // Numerical Recipes' generator: the same journals at each run.
        let mut seed = 1u32;
        let mut below = move |n: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % n
        };
        for round in 0..400 {
            let dir = tempfile::tempdir().unwrap();
            let journal = Journal::at(dir.path().join("j"));
            let mut lines = Vec::new();
            for number in 0..below(14) {
                let digest = |at: usize| digests[at].clone();
                let event = match below(8) {
                    0 => Event::Accept {
                        time: 0,
                        by: "b".into(),
                        reason: "r".into(),
                        paths: [(paths[below(2)].into(), digest(below(6)))].into(),
                    },
                    kind => {
                        let backend = [Backend::Rust, Backend::Legacy, Backend::Restore][kind.saturating_sub(5)];
                        let written = Written { before: digest(below(6)), after: digest(below(6)) };
                        let mut event = wrote(backend, "", "");
                        if let Event::Begin { id, paths: of, .. } = &mut event {
                            *id = format!("o{number}");
                            *of = [(paths[below(2)].into(), written)].into();
                        }
                        event
                    }
                };
                lines.extend(serde_json::to_vec(&event).unwrap());
                lines.extend_from_slice(if below(5) == 0 { b"\nhalf a li\n" } else { b"\n" });
            }
            std::fs::write(journal.path(), lines).unwrap();
            let events = journal.read().unwrap().unwrap().events;
            let (came, at_once) = (Provenance::read(&journal), Provenance::of(&events));
            for path in paths {
                for digest in &digests {
                    let (trial, before) = plainly(&events, path, digest);
                    for provenance in [&came, &at_once] {
                        let said = provenance.on_trial(Path::new(path), digest);
                        assert_eq!(said, trial.as_deref(), "{round}: {path} {digest} {events:?}");
                        let said = provenance.before_trial(Path::new(path), digest);
                        assert_eq!(said, before, "{round}: {path} {digest} {events:?}");
                    }
                }
                let wrote = events
                    .iter()
                    .any(|e| matches!(e, Event::Begin { paths, .. } if paths.contains_key(&PathText::from(path))));
                assert_eq!(came.written().contains(&Path::new(path)), wrote, "{round}");
            }
        }
    }
}
