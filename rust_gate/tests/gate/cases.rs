//! The verdict as Erlang terms, and the pictures in it.

use crate::common::{Room, full, minimal, pair};
use serde_json::json;

fn judged(room: &Room, further: &[&str]) -> String {
    let usual = ["--candidate=candidate.json", "--artifacts=out", "--label=one"];
    room.check_with(&[usual.as_slice(), further].concat());
    room.text("out/perf_cases_one.terms")
}

/// A term's quoted texts as they are meant, and what is around them.
fn read(term: &str) -> (Vec<String>, String) {
    let (mut texts, mut around) = (Vec::new(), String::new());
    let mut characters = term.chars();
    while let Some(character) = characters.next() {
        if character != '"' {
            around.push(character);
            continue;
        }
        let mut text = String::new();
        loop {
            match characters.next().expect("a string ends") {
                '"' => break,
                '\\' => match characters.next().unwrap() {
                    'x' => {
                        let hex: String =
                            characters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                        text.push(char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap());
                    }
                    quoted => text.push(quoted),
                },
                other => text.push(other),
            }
        }
        texts.push(text);
        around.push('T');
    }
    (texts, around)
}

fn statuses(terms: &str) -> Vec<String> {
    terms.lines().map(|term| read(term).1).collect()
}

#[test]
fn each_rule_is_a_term_with_its_figures_and_a_picture() {
    let room = Room::with(&full());
    room.set("candidate.json", "blocks.1.disturbed", json!(["host_stall"]));
    room.change("candidate.json", |report| {
        // Of one block, so that the whole is not taken for another load.
        report["blocks"][2]["errors"]["router"] = json!(4);
        report["blocks"][2]["metrics"]["errors_total"] = json!(4);
        report["metrics"]["errors_total"] = json!(4);
    });
    let terms = judged(&room, &[]);
    assert!(terms.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{terms}");
    insta::assert_snapshot!("regression", terms);
    assert_eq!(
        statuses(&terms),
        [
            "{verdict, failed, T, []}.",
            "{rule, latency_p95_ms, passed, T, T}.",
            "{rule, latency_p99_ms, passed, T, T}.",
            "{rule, rps, passed, T, T}.",
            "{rule, mem_mb_total_erlang, passed, T, T}.",
            "{rule, errors_total, failed, T, T}.",
            "{rule, backpressure_active_total, passed, T, T}.",
        ]
    );
    for term in terms.lines().skip(1) {
        let picture = &read(term).0[1];
        let document = roxmltree::Document::parse(picture).unwrap();
        let count = |tag| document.descendants().filter(|node| node.has_tag_name(tag)).count();
        let svg = ("http://www.w3.org/2000/svg", "circle");
        assert_eq!(count(svg), 6, "three blocks of each side: {picture}");
        assert_eq!(count((svg.0, "path")), 1, "one of them disturbed: {picture}");
    }
}

#[test]
fn sides_that_were_measured_in_turn_stand_above_each_other() {
    let mut report = full();
    pair(&mut report, "candidate");
    let room = Room::with(&report);
    let mut frozen = report.clone();
    pair(&mut frozen, "frozen");
    room.json("replay.json", &frozen);
    let terms = judged(&room, &["--replay=replay.json"]);
    let picture = &read(terms.lines().nth(3).unwrap()).0[1];
    let document = roxmltree::Document::parse(picture).unwrap();
    let circles = document.descendants().filter(|node| node.has_attribute("cx"));
    let places: Vec<_> = circles.map(|circle| circle.attribute("cx").unwrap()).collect();
    assert_eq!(places.len(), 6, "{picture}");
    assert_eq!(places[..3], places[3..], "{picture}");
    assert!(picture.contains("frozen commit"), "{picture}");
}

#[test]
fn nothing_passes_where_the_figures_are_in_doubt() {
    let room = Room::new();
    assert!(!judged(&room, &[]).contains("failed"), "the fixture passes");
    room.set("candidate.json", "run.planted_fault", json!("delay_us=200"));
    let terms = judged(&room, &[]);
    assert_eq!(terms.matches(", failed, ").count(), 7, "{terms}");
    assert!(!terms.contains(", passed, "), "{terms}");
    assert!(read(&terms).0[1].contains("delay_us=200"), "the reason: {terms}");

    let room = Room::new();
    room.set("candidate.json", "env.cpu_model", json!("another"));
    let terms = judged(&room, &[]);
    assert!(terms.contains("INCOMPARABLE") && !terms.contains(", passed, "), "{terms}");
    assert!(terms.contains("cpu_model differs: Xeon, another"), "{terms}");

    // As many as the baseline's, but of whoever was not sent there is no latency.
    let mut report = full();
    for place in ["/accounting/latency", "/blocks/0/accounting/latency"] {
        let open = report.pointer_mut(place).unwrap();
        open["offered"] = json!(open["offered"].as_u64().unwrap() + 10);
        open["skipped"] = json!(10);
    }
    let room = Room::with(&report);
    let terms = judged(&room, &[]);
    assert!(terms.contains("INCONCLUSIVE") && !terms.contains(", passed, "), "{terms}");
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_reason_and_no_rule() {
    let room = Room::with(&minimal());
    room.bytes("candidate.json", "{\"\\\u{202e}\u{1b}[31m\n");
    let terms = judged(&room, &[]);
    assert_eq!(statuses(&terms), ["{verdict, failed, T, [T]}."]);
    assert!(read(&terms).0[1].starts_with("candidate.json: "), "{terms}");
}
