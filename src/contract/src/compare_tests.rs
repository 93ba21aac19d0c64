use super::*;
use serde_json::json;

fn ok(body: Value) -> Answer {
    Answer { status: 200, body: json!({"data": body}) }
}

fn found(outcome: &Outcome) -> Vec<(String, Kind)> {
    outcome.differences.iter().map(|d| (d.field.clone(), d.kind)).collect()
}

#[test]
fn each_kind_of_difference() {
    let perl = ok(
        json!([{"iface": "eno1", "mtu": "9000", "families": ["inet", "inet6"], "exists": null}, {"iface": "vmbr0"}]),
    );
    let cases = [
        (
            json!([{"iface": "eno1", "mtu": "9000", "families": ["inet", "inet6"]}, {"iface": "vmbr0"}]),
            "data[eno1].exists",
            Kind::Missing,
        ),
        (
            json!([{"iface": "eno1", "mtu": "9000", "families": ["inet", "inet6"], "exists": null, "x": 1}, {"iface": "vmbr0"}]),
            "data[eno1].x",
            Kind::Extra,
        ),
        (
            json!([{"iface": "eno1", "mtu": 9000, "families": ["inet", "inet6"], "exists": null}, {"iface": "vmbr0"}]),
            "data[eno1].mtu",
            Kind::Type,
        ),
        (
            json!([{"iface": "eno1", "mtu": "1500", "families": ["inet", "inet6"], "exists": null}, {"iface": "vmbr0"}]),
            "data[eno1].mtu",
            Kind::Value,
        ),
        (
            json!([{"iface": "eno1", "mtu": "9000", "families": ["inet6", "inet"], "exists": null}, {"iface": "vmbr0"}]),
            "data[eno1].families",
            Kind::Order,
        ),
        (
            json!([{"iface": "vmbr0"}, {"iface": "eno1", "mtu": "9000", "families": ["inet", "inet6"], "exists": null}]),
            "data",
            Kind::Order,
        ),
        (
            json!([{"iface": "eno1", "mtu": "9000", "families": ["inet", "inet6"], "exists": null}]),
            "data[vmbr0]",
            Kind::Missing,
        ),
        (json!([]), "data[eno1]", Kind::Missing),
        (json!({}), "data", Kind::Type),
        (Value::Null, "data", Kind::Type),
    ];
    for (rust, field, kind) in cases {
        let outcome = compare([&perl, &perl], &ok(rust.clone()));
        assert_eq!(outcome.verdict, Verdict::Differing, "{rust}");
        assert_eq!(found(&outcome)[0], (field.to_owned(), kind), "{rust}");
        assert_eq!(outcome.suppressed, []);
    }
    assert_eq!(compare([&perl, &perl], &perl).verdict, Verdict::Equal);
}

#[test]
fn a_status_and_the_words_of_an_error() {
    let perl = Answer { status: 400, body: json!({"data": null, "message": "a\n", "errors": {"iface": "b"}}) };
    let other = Answer { status: 404, body: json!({"data": null, "message": "a\n"}) };
    let outcome = compare([&perl, &perl], &other);
    assert_eq!(found(&outcome), [("status".to_owned(), Kind::Status), ("errors".to_owned(), Kind::ErrorBody)]);
    let words = Answer { status: 400, body: json!({"data": null, "message": "x\n", "errors": {"iface": "b"}}) };
    assert_eq!(found(&compare([&perl, &perl], &words)), [("message".to_owned(), Kind::ErrorBody)]);
}

#[test]
fn noise_hides_values_and_order_alone_and_is_listed() {
    let first = ok(json!([{"iface": "a", "n": 1}, {"iface": "b"}]));
    let second = ok(json!([{"iface": "b"}, {"iface": "a", "n": 2}]));
    let outcome = compare([&first, &second], &ok(json!([{"iface": "b"}, {"iface": "a", "n": 3}])));
    assert_eq!(outcome.verdict, Verdict::Equal);
    let suppressed: Vec<_> = outcome.suppressed.iter().map(|d| (d.field.as_str(), d.kind)).collect();
    assert_eq!(suppressed, [("data[a].n", Kind::Value), ("data", Kind::Order)]);
    // A type or a missing field is never noise.
    for (rust, kind) in [(json!("3"), Kind::Type), (json!({}), Kind::Type)] {
        let outcome = compare([&first, &second], &ok(json!([{"iface": "b"}, {"iface": "a", "n": rust}])));
        assert_eq!(found(&outcome), [("data[a].n".to_owned(), kind)]);
    }
    let outcome = compare([&first, &second], &ok(json!([{"iface": "b"}, {"iface": "a"}])));
    assert_eq!(found(&outcome), [("data[a].n".to_owned(), Kind::Missing)]);
}

#[test]
fn where_perl_disagrees_with_itself_nobody_can_say() {
    let cases = [
        (ok(json!({"a": 1})), Answer { status: 500, body: json!({}) }),
        (ok(json!({"a": 1})), ok(json!({}))),
        (ok(json!({"a": 1})), ok(json!({"a": "1"}))),
        (ok(json!([])), ok(json!([{"iface": "new"}]))),
    ];
    for (first, second) in cases {
        let outcome = compare([&first, &second], &first);
        assert!(matches!(outcome.verdict, Verdict::Inconclusive(_)), "{first:?} {second:?} {outcome:?}");
    }
}

fn anything() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]|iface", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest::proptest! {
    /// Equal exactly where the bodies are, if Perl has no noise.
    #[test]
    fn without_noise_equal_means_the_same(perl in anything(), rust in anything()) {
        let (perl, rust) = (ok(perl), ok(rust));
        let outcome = compare([&perl, &perl], &rust);
        proptest::prop_assert_eq!(outcome.verdict == Verdict::Equal, perl == rust, "{:?}", outcome);
        proptest::prop_assert!(outcome.suppressed.is_empty());
    }
}
