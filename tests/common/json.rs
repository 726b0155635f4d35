//! The log as JSON lines, each checked against the schema in `docs/`. What is in
//! them is for the tests to say.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/json.schema.json");

/// The schema, which is checked itself by being compiled.
pub static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
});

/// The schema's version, by its id.
pub fn version() -> String {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    schema["$id"].as_str().unwrap().rsplit('/').next().unwrap().to_string()
}

/// The objects in `log`, whole lines each.
pub fn objects(log: &str) -> Vec<Value> {
    assert!(log.is_empty() || log.ends_with('\n'), "the last line is whole");
    log.lines()
        .map(|line| {
            let object: Value =
                serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"));
            if let Err(err) = VALIDATOR.validate(&object) {
                panic!("{err}, in {line}");
            }
            object
        })
        .collect()
}

/// How many packets objects stand for: one by one, and in summaries.
pub fn packets(objects: &[Value]) -> (u64, u64) {
    let (summaries, packets): (Vec<_>, Vec<_>) =
        objects.iter().partition(|object| object.get("event").is_some());
    (packets.len() as u64, summaries.iter().map(|object| object["count"].as_u64().unwrap()).sum())
}
