//! What programs read is checked against the schemas that are published for it.

use serde_json::Value;

/// Fails unless `value` keeps to `docs/schema/<name>.json`.
#[track_caller]
pub fn check(name: &str, value: &Value) {
    let path = format!("{}/../../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
    // A schema that takes anything would prove nothing.
    assert!(!validator.is_valid(&Value::Object(Default::default())), "{name} takes an empty object");
}
