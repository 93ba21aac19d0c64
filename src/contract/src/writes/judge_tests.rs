use serde_json::json;

use super::*;

fn seen(status: u16, body: Value, pending: &[&str]) -> Seen {
    let files = if pending.is_empty() { json!({}) } else { json!({"interfaces.new": pending}) };
    Seen { answer: Answer { status, body }, files }
}

fn done(pending: &[&str]) -> Seen {
    seen(200, json!({"data": null}), pending)
}

fn refused(status: u16, message: &str) -> Seen {
    seen(status, json!({"data": null, "message": message}), &[])
}

fn wrong(name: &str, text: &str) -> Seen {
    let body = json!({"data": null, "message": "Parameter verification failed.\n", "errors": {name: text}});
    seen(400, body, &[])
}

/// Fields and kinds of what differs, and of what is suppressed.
fn judged(perl: [&Seen; 2], rust: &Seen) -> (Verdict, Vec<String>, Vec<String>) {
    let judged = judge(perl, rust, &json!({}));
    assert_eq!(judged.stricter, None);
    let names = |list: &[Difference]| list.iter().map(|d| format!("{} {}", d.kind, d.field)).collect::<Vec<_>>();
    let Outcome { verdict, differences, suppressed } = judged.outcome;
    (verdict, names(&differences), names(&suppressed))
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn the_same_answer_and_the_same_bytes_are_equal() {
    let one = done(&["auto lo\n", "iface lo inet loopback\n"]);
    assert_eq!(judged([&one, &one], &one), (Verdict::Equal, none(), none()));
    let refused = wrong("iface", "interface already exists");
    assert_eq!(judged([&refused, &refused], &refused), (Verdict::Equal, none(), none()));
}

#[test]
fn every_byte_status_and_error_counts() {
    let one = done(&["auto lo\n", "iface lo inet loopback\n"]);
    let cases: [(Seen, &[&str]); 5] = [
        (done(&["auto lo\n", "iface lo inet loopback"]), &["value interfaces.new[1]"]),
        (done(&["auto lo\n"]), &["missing interfaces.new[1]"]),
        (done(&[]), &["missing interfaces.new"]),
        (done(&["iface lo inet loopback\n", "auto lo\n"]), &["order interfaces.new"]),
        (refused(500, "no\n"), &["status status", "extra message", "missing interfaces.new"]),
    ];
    for (rust, expected) in cases {
        let (verdict, found, _) = judged([&one, &one], &rust);
        assert_eq!((verdict, found), (Verdict::Differing, expected.iter().map(|e| (*e).to_owned()).collect()));
    }
    let perl = wrong("iface", "interface already exists");
    for rust in [wrong("iface", "interface exists already"), wrong("type", "interface already exists")] {
        let (verdict, found, _) = judged([&perl, &perl], &rust);
        assert!(
            verdict == Verdict::Differing && found.iter().all(|d| d.starts_with("error-body errors.")),
            "{found:?}"
        );
    }
}

#[test]
fn many_lines_are_told_as_what_only_one_side_has() {
    let perl = done(&["a\n", "b\n", "c\n", "d\n", "e\n"]);
    let rust = done(&["x\n", "a\n", "b\n", "c\n", "d\n", "e\n"]);
    let judged = judge([&perl, &perl], &rust, &json!({}));
    let [only] = judged.outcome.differences.as_slice() else { panic!("{judged:?}") };
    assert_eq!((only.field.as_str(), &only.perl, &only.rust), ("interfaces.new", &json!([]), &json!(["x\n"])));
}

#[test]
fn an_order_of_words_or_a_name_that_perl_changes_is_noise_and_nothing_else() {
    let line = |words: &str| done(&["iface bond0 inet manual\n", &format!("\tovs_options {words}\n")]);
    let (first, second) = (line("a=1 b=2 c=3"), line("c=3 b=2 a=1"));
    assert_eq!(
        judged([&first, &second], &line("b=2 a=1 c=3")),
        (Verdict::Equal, none(), vec!["value interfaces.new[1]".into()])
    );
    assert_eq!(judged([&first, &second], &line("b=2 a=1 c=4")).0, Verdict::Differing);
    assert_eq!(judged([&first, &first], &line("b=2 a=1 c=3")).0, Verdict::Differing);
    // Several interfaces break a rule, and Perl names one of them.
    let named = |name: &str| refused(500, &format!("vlan '{name}' - unable to find parent 'bond0'\n"));
    let (first, second) = (named("bond0.30"), named("bond0.40"));
    assert_eq!(
        judged([&first, &second], &named("bond0.20")),
        (Verdict::Equal, none(), vec!["error-body message".into()])
    );
    let other = refused(500, "bridge 'bond0.20' - unable to find parent 'bond0'\n");
    assert_eq!(judged([&first, &second], &other).0, Verdict::Differing);
    let judged = judge([&first, &first], &named("bond0.20"), &json!({}));
    assert!(may_be_noise(&judged.outcome), "{judged:?}");
}

#[test]
fn where_perl_contradicts_itself_nobody_can_say() {
    let (one, other) = (done(&["a\n"]), done(&[]));
    for (perl, rust) in [([&one, &other], &one), ([&refused(500, "x\n"), &one], &one)] {
        assert!(matches!(judged(perl, rust).0, Verdict::Inconclusive(_)));
    }
}

#[test]
fn nobody_may_touch_another_file_not_even_both() {
    let mut touched = done(&["a\n"]);
    touched.files["interfaces"] = json!(["b\n"]);
    let good = done(&["a\n"]);
    assert_eq!(judged([&touched, &touched], &good).1, ["missing interfaces"]);
    assert_eq!(judged([&good, &good], &touched).1, ["extra interfaces"]);
    assert_eq!(judged([&touched, &touched], &touched).1, ["value interfaces"]);
}

#[test]
fn a_reviewed_hole_is_stricter_and_no_other_refusal_is() {
    let perl = done(&["a\n"]);
    let hole = wrong("iface", "lo goes from the file for good (PVN043); leave it");
    let judged = judge([&perl, &perl], &hole, &json!({}));
    let stricter = judged.stricter.unwrap();
    assert_eq!(
        (judged.outcome.verdict, stricter.kind, stricter.field.as_str()),
        (Verdict::Equal, Kind::Stricter, "errors.iface")
    );
    assert!(stricter.rust.as_str().unwrap().starts_with("PVN043: lo goes"));
    let mut wrote = hole.clone();
    wrote.files = json!({"interfaces.new": ["b\n"]});
    let mut two = hole.clone();
    two.answer.body["errors"]["type"] = "x".into();
    let late = Seen { answer: Answer { status: 500, ..hole.answer.clone() }, ..hole.clone() };
    let unknown = wrong("iface", "something new (PVN012)");
    for rust in [wrote, two, late, unknown] {
        let judged = judge([&perl, &perl], &rust, &json!({}));
        assert_eq!((judged.stricter, judged.outcome.verdict), (None, Verdict::Differing), "{rust:?}");
    }
    // Perl refuses as well, in other words: that is a difference.
    let no = refused(500, "no\n");
    assert_eq!(judge([&no, &no], &hole, &json!({})).stricter, None);
    assert_eq!(judge([&perl, &no], &hole, &json!({})).stricter, None);
}

#[test]
fn pvesh_s_blind_spot_is_no_difference() {
    let ours = json!({"errors": {"iface": "invalid format - x\n", "cidr": "y"}});
    let answer = |body: Value| Answer { status: 400, body };
    let theirs = answer(json!({"errors": {"cidr": "y"}}));
    assert!(blind("PUT", &theirs, &answer(ours.clone())).is_some());
    assert!(blind("POST", &theirs, &answer(ours.clone())).is_none());
    assert!(blind("PUT", &answer(ours.clone()), &answer(ours)).is_none());
    assert!(blind("PUT", &theirs, &answer(json!({"errors": {"cidr": "y"}}))).is_none());
}

#[test]
fn what_a_write_left_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("interfaces"), "a\n").unwrap();
    let before = Tree::read(dir.path()).unwrap();
    assert_eq!(files(&before, &before), json!({}));
    std::fs::write(dir.path().join(".pve-interfaces.lock"), "").unwrap();
    std::fs::write(dir.path().join("interfaces.new"), b"a\nb\xff").unwrap();
    assert_eq!(files(&before, &Tree::read(dir.path()).unwrap()), json!({"interfaces.new": ["a\n", "b\\xff"]}));
    std::fs::write(dir.path().join("interfaces"), "c").unwrap();
    std::fs::create_dir(dir.path().join("more")).unwrap();
    let expected = json!({"interfaces.new": ["a\n", "b\\xff"], "interfaces": ["c"], "more": "changed"});
    assert_eq!(files(&before, &Tree::read(dir.path()).unwrap()), expected);
}
