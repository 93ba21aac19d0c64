use super::*;

fn change(id: &str, from: Option<Phase>, to: Phase) -> Event {
    Event::Change {
        id: id.into(),
        node: "a".into(),
        by: Box::new(Who { uid: 0, tool: "test".into(), ..Who::default() }),
        why: "because".into(),
        steps: vec![Step { node: "a".into(), from: from.unwrap_or_default(), to }],
        changes: vec![Setting { key: CEILING.into(), from: from.map(|p| p.to_string()), to: Some(to.to_string()) }],
        overridden: None,
    }
}

fn ended(id: &str, outcome: Outcome) -> Event {
    Event::Outcome { id: id.into(), outcome, error: None }
}

fn history(events: impl IntoIterator<Item = Event>) -> Vec<u8> {
    let mut all = Vec::new();
    for (time, event) in (1_795_421_700..).zip(events) {
        let line = append(&all, time, event);
        all.extend(line);
    }
    all
}

fn three() -> Vec<u8> {
    let read_only = Phase::RustReadOnly;
    history([
        change("1", None, Phase::PerlOnly),
        ended("1", Outcome::Done),
        change("2", Some(Phase::PerlOnly), read_only),
        ended("2", Outcome::Done),
        change("3", Some(read_only), Phase::PerlOnly),
    ])
}

#[test]
fn a_chain_is_read_as_it_was_written() {
    let bytes = three();
    let contents = read(&bytes);
    assert_eq!(contents.broken, None);
    assert_eq!((contents.records.len(), contents.cut.len(), contents.ends_cut()), (5, 0, false));
    let last = bytes.strip_suffix(b"\n").unwrap().rsplit(|b| *b == b'\n').next().unwrap();
    assert_eq!(contents.head.as_deref(), Some(sha256(last).as_str()));
    let outcomes: Vec<_> = contents.changes().iter().map(|c| (c.line, c.id.to_owned(), c.outcome)).collect();
    let done = Some(Outcome::Done);
    assert_eq!(outcomes, [(1, "1".into(), done), (3, "2".into(), done), (5, "3".into(), None)]);
    // The third may or may not have lowered it.
    let may = |phases: &[Phase]| phases.iter().map(|p| Some(p.to_string())).collect::<Vec<_>>();
    assert_eq!(contents.ceilings(), may(&[Phase::RustReadOnly, Phase::PerlOnly]));
    assert_eq!(contents.gaps(), [0; 0]);
    assert_eq!(read(b""), Contents::default());
    assert_eq!(read(b"").ceilings(), [None]);
}

/// Written down, so that every version ever shipped stays readable.
#[test]
fn the_format_of_version_1() {
    let text = include_str!("../tests/fixtures/phase-history-1.jsonl");
    let contents = read(text.as_bytes());
    assert_eq!(contents.broken, None);
    let changes = contents.changes();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[0].by.tool, "postinst configure");
    assert_eq!(changes[1].steps[0].to, Phase::RustSdn);
    assert_eq!(changes[1].overridden.map(|o| o.expires), Some(1_795_429_000));
    assert_eq!(changes[1].outcome, Some(Outcome::Done));
    // Events, outcomes and fields of a later version are part of the chain and no reason to despair.
    assert_eq!(contents.records.last().map(|(_, r)| &r.event), Some(&Event::Unknown));
}

#[test]
fn every_altered_byte_is_found_at_its_line() {
    let bytes = three();
    let line_of = |at: usize| 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
    let last = line_of(bytes.len() - 1);
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let contents = read(&altered);
        let line = line_of(at);
        match &contents.broken {
            Some((found, _)) => {
                assert!(*found == line || *found == line + 1, "byte {at} of line {line} is found at {found}");
            }
            // Nothing follows the last line and vouches for it; but its digest is the head.
            None => {
                assert_eq!(line, last, "byte {at}");
                assert_ne!(contents.head, read(&bytes).head);
            }
        }
    }
}

#[test]
fn lines_taken_out_doubled_or_exchanged_are_found() {
    let bytes = three();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    for number in 0..lines.len() - 1 {
        let mut fewer = lines.clone();
        fewer.remove(number);
        assert_eq!(read(&fewer.concat()).broken.map(|(line, _)| line), Some(number + 1));
        let mut twice = lines.clone();
        twice.insert(number, lines[number]);
        assert_eq!(read(&twice.concat()).broken.map(|(line, _)| line), Some(number + 2));
        let mut swapped = lines.clone();
        swapped.swap(number, number + 1);
        assert_eq!(read(&swapped.concat()).broken.map(|(line, _)| line), Some(number + 1));
    }
}

#[test]
fn a_power_cut_at_any_byte_leaves_a_whole_chain_behind_the_next_line() {
    let bytes = three();
    for cut in 0..=bytes.len() {
        let mut left = bytes[..cut].to_vec();
        let whole = left.last().is_none_or(|b| *b == b'\n');
        let before = read(&left);
        assert_eq!(before.broken, None, "cut at {cut}");
        assert_eq!(before.ends_cut(), !whole);
        let line = append(&left, 0, change("after", None, Phase::PerlOnly));
        left.extend(line);
        let after = read(&left);
        assert_eq!(after.broken, None, "cut at {cut}");
        assert_eq!(after.cut.len(), usize::from(!whole));
        assert_eq!(after.changes().last().map(|c| c.id), Some("after"));
        // Piece by piece as in one.
        let mut pieces = Contents::default();
        left.chunks(7).for_each(|piece| pieces.extend(piece));
        assert_eq!(pieces, after);
        // A half-written line that was cut is still a link of the chain.
        if let Some(number) = after.cut.first() {
            let at = left.split_inclusive(|b| *b == b'\n').take(number - 1).map(<[u8]>::len).sum::<usize>();
            left[at] ^= 1;
            assert_eq!(read(&left).broken.map(|(line, _)| line), Some(number + 1));
        }
    }
}

#[test]
fn power_may_be_cut_again_and_again() {
    let mut bytes = Vec::new();
    for round in 0..400 {
        let line = append(&bytes, round, change("x", None, Phase::PerlOnly));
        // Only every seventh comes through whole.
        let cut = if round % 7 == 6 { line.len() } else { usize::try_from(round).unwrap() % line.len() };
        bytes.extend(&line[..cut]);
        assert_eq!(read(&bytes).broken, None, "round {round}");
    }
    let contents = read(&bytes);
    assert!(contents.records.len() >= 50 && contents.cut.len() > 200);
    let first = bytes.iter().position(|b| *b == b'#').unwrap();
    bytes[first - 1] ^= 1;
    assert!(read(&bytes).broken.is_some(), "a cut line, too, is a link of the chain");
}

#[test]
fn a_line_that_cannot_be_read_and_that_nothing_vouches_for_is_a_break() {
    let mut bytes = three();
    bytes.extend(b"{\"format\":1}\n");
    assert_eq!(read(&bytes).broken.map(|(line, _)| line), Some(6));
    bytes.extend(b"rubbish\n");
    assert_eq!(read(&bytes).broken.map(|(line, _)| line), Some(6));
    let later =
        String::from_utf8(three()).unwrap().replace("\"format\":1,\"previous\":null", "\"format\":2,\"previous\":null");
    assert_eq!(read(later.as_bytes()).broken.map(|(line, _)| line), Some(1));
}

#[test]
fn a_change_that_left_no_line_is_a_gap() {
    let sdn = Some(Phase::RustSdn);
    for (events, gaps) in [
        (
            vec![change("1", None, Phase::PerlOnly), ended("1", Outcome::Done), change("2", sdn, Phase::PerlOnly)],
            vec![3],
        ),
        // Interrupted: either may be the case.
        (vec![change("1", None, Phase::RustSdn), change("2", sdn, Phase::PerlOnly)], vec![]),
        (vec![change("1", None, Phase::RustSdn), change("2", None, Phase::PerlOnly)], vec![]),
        (
            vec![change("1", None, Phase::RustSdn), ended("1", Outcome::Failed), change("2", sdn, Phase::PerlOnly)],
            vec![3],
        ),
        (
            vec![
                change("1", None, Phase::RustSdn),
                ended("1", Outcome::ClusterOnly),
                change("2", None, Phase::PerlOnly),
            ],
            vec![],
        ),
        (vec![change("1", sdn, Phase::PerlOnly)], vec![1]),
    ] {
        assert_eq!(read(&history(events.clone())).gaps(), gaps, "{events:?}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(0u8.., 0..200)) {
        let contents = read(&bytes);
        let _ = (contents.changes(), contents.ceilings(), contents.gaps(), contents.open_overrides(0));
    }

    /// Whatever people write into a reason stays on its line.
    #[test]
    fn any_reason_is_one_line(why in "\\PC{0,40}[\n\r\"\\\\\u{2028}]?") {
        let mut event = change("1", None, Phase::PerlOnly);
        if let Event::Change { why: w, .. } = &mut event {
            *w = why.clone();
        }
        let line = append(b"", 0, event);
        proptest::prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        let contents = read(&line);
        proptest::prop_assert_eq!(contents.changes()[0].why, why.as_str());
    }
}
