use super::*;
use std::process::Command;

#[test]
fn order_of_known_versions() {
    let ascending = [
        "0~~",
        "0~",
        "0~a",
        "0",
        "1.0~rc1-1",
        "1.0",
        "1.0-1",
        "1.0-1+b1",
        "1.0+dfsg-1",
        "1.0.1",
        "1.2",
        "1.10",
        "1.10a",
        "1.10+",
        "2",
        "1:0.1",
        "2:0",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(compare(a, b).unwrap(), i.cmp(&j), "{a} {b}");
        }
    }
    for same in [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("00", "0")] {
        assert_eq!(compare(same.0, same.1).unwrap(), Ordering::Equal, "{same:?}");
    }
    let long = format!("1.{}", "9".repeat(60));
    assert_eq!(compare(&long, "1.5").unwrap(), Ordering::Greater);
}

#[test]
fn what_is_no_version() {
    for wrong in ["", "a1", ":1", "1:", "-1:1", "1-", "1_2", "1 2", "99999999999:1", "1-a:b", "+1:1"] {
        assert!(compare(wrong, "1").is_err(), "{wrong:?}");
    }
}

/// Versions made of the pieces that make dpkg's algorithm branch.
fn arbitrary(seed: &mut u64) -> String {
    let mut next = |n: u64| {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*seed >> 33) % n
    };
    let pieces = ["0", "1", "01", "10", "a", "Z", "~", "~~", "+", ".", "rc", "9"];
    let mut text = String::new();
    if next(4) == 0 {
        text += ["0:", "1:"][next(2) as usize];
    }
    text += ["0", "1", "2"][next(3) as usize];
    for _ in 0..next(6) {
        text += pieces[next(pieces.len() as u64) as usize];
    }
    if next(2) == 0 {
        text += "-";
        for _ in 0..=next(3) {
            text += pieces[next(pieces.len() as u64) as usize];
        }
    }
    text
}

#[test]
fn agrees_with_the_real_dpkg() {
    let mut seed = 20260101;
    let pairs: Vec<_> = (0..400).map(|_| (arbitrary(&mut seed), arbitrary(&mut seed))).collect();
    // One shell for all pairs: 400 processes of dpkg alone take a second.
    let script = r#"while read -r a b; do
        if dpkg --compare-versions "$a" lt "$b"; then echo Less
        elif dpkg --compare-versions "$a" eq "$b"; then echo Equal
        else echo Greater; fi; done"#;
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("pairs");
    let text: String = pairs.iter().map(|(a, b)| format!("{a} {b}\n")).collect();
    std::fs::write(&list, text).unwrap();
    let out = Command::new("sh").args(["-c", script]).stdin(std::fs::File::open(&list).unwrap()).output().unwrap();
    let said: Vec<_> = std::str::from_utf8(&out.stdout).unwrap().lines().collect();
    assert_eq!(said.len(), pairs.len(), "dpkg is needed for this test");
    for ((a, b), dpkg) in pairs.iter().zip(said) {
        assert_eq!(format!("{:?}", compare(a, b).unwrap()), dpkg, "{a} {b}");
    }
}
