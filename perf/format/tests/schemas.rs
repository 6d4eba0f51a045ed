//! The JSON Schemas in `perf/schemas/` are the types' own, and the contract's files fit them.
//!
//! After a change of a type: `UPDATE_SCHEMAS=1 cargo test -p cp1_format --test schemas`.

use std::path::{Path, PathBuf};

use cp1_format::{
    Answer, Bisection, Difference, Event, Explanation, Figure, Policy, Record, Report, Request,
    Trend, Variants, Verdict, Waivers, read_file, write_atomically,
};

fn perf(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}

#[test]
fn schemas_do_not_drift_from_the_types() {
    let schemas = [
        ("report", schemars::schema_for!(Report)),
        ("policy", schemars::schema_for!(Policy)),
        ("verdict", schemars::schema_for!(Verdict)),
        ("record", schemars::schema_for!(Record)),
        ("bisection", schemars::schema_for!(Bisection)),
        ("waivers", schemars::schema_for!(Waivers)),
        ("request", schemars::schema_for!(Request)),
        ("event", schemars::schema_for!(Event)),
        ("trend", schemars::schema_for!(Trend)),
        ("difference", schemars::schema_for!(Difference)),
        ("explanation", schemars::schema_for!(Explanation)),
        ("answer", schemars::schema_for!(Answer)),
        ("figure", schemars::schema_for!(Figure)),
        ("variants", schemars::schema_for!(Variants)),
    ];
    for (name, schema) in schemas {
        let path = perf(&format!("schemas/{name}.schema.json"));
        let generated = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            write_atomically(&path, generated.as_bytes()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "{} is not what the types say; run: \
             UPDATE_SCHEMAS=1 cargo test -p cp1_format --test schemas",
            path.display()
        );
    }
}

#[test]
fn the_frozen_files_fit_reader_and_schema() {
    let validator = |name: &str| {
        let text = std::fs::read_to_string(perf(&format!("schemas/{name}.schema.json"))).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let json = |relative: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(perf(relative)).unwrap()).unwrap()
    };
    read_file::<Report>(&perf("baseline_cp1.json")).unwrap();
    read_file::<Policy>(&perf("policy_cp1.json")).unwrap();
    validator("report").validate(&json("baseline_cp1.json")).unwrap();
    validator("policy").validate(&json("policy_cp1.json")).unwrap();
}
