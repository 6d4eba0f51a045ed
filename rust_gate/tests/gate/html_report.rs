//! The page for a browser: whole, small, all of it in the page, and its figures those of the verdict.

use std::collections::BTreeSet;

use crate::common::outages::{AFTER, BEFORE, with_outage};
use crate::common::repository::Repository;
use crate::common::{Room, full_of, minimal, pair, remove, sample, set_memory};
use cp1_format::{BlocksResult, Decimal, Verdict, read_file};
use scraper::{ElementRef, Html, Selector};
use serde_json::{Value, json};

/// What a tag, an attribute, a style or a script could come of.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><a href=http://x>&lt;b&gt;\u{202e}\u{0}</style>";

/// A replay of so many blocks, sampled, and with something disturbed.
fn replay(blocks: u64) -> Room {
    let room = Room::with(&full_of(3, 25_000));
    for (name, role, factor) in
        [("replay.json", "frozen", 1.0), ("candidate.json", "candidate", 1.05)]
    {
        let mut report = full_of(blocks, 25_000);
        set_memory(&mut report, |index| factor * (1.0 + (index % 5) as f64 / 400.0));
        pair(&mut report, role);
        sample(&mut report, role == "candidate");
        report["timestamp"] = json!("2026-01-31T13:00:00Z");
        room.json(name, &report);
    }
    room
}

/// Checks, and gives page and verdict.
fn checked(room: &Room, further: &[&str]) -> (String, Verdict) {
    let usual = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "x"];
    room.check_with(&[usual.as_slice(), further].concat());
    (room.text("out/perf_report_x.html"), read_file(&room.path("out/perf_verdict_x.json")).unwrap())
}

fn replayed(room: &Room) -> (String, Verdict) {
    checked(room, &["--replay", "replay.json"])
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().concat()
}

/// A page that every reader can use: parsed without an error, with its landmarks, no reference that
/// leads nowhere, and nothing that would have to be fetched or run.
#[track_caller]
fn is_whole(page: &str) -> Html {
    let parsed = Html::parse_document(page);
    assert_eq!(parsed.errors, Vec::<String>::new());
    for (selector, count) in
        [("html[lang]", 1), ("main", 1), ("h1", 1), ("nav[aria-label]", 1), ("a.skip", 1)]
    {
        assert_eq!(all(&parsed, selector).len(), count, "{selector}");
    }
    let ids: Vec<_> = all(&parsed, "[id]").iter().filter_map(|one| one.attr("id")).collect();
    let distinct: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "an id stands twice: {ids:?}");
    for link in all(&parsed, "[href]") {
        let target = link.attr("href").unwrap().strip_prefix('#');
        assert!(target.is_some_and(|id| distinct.contains(id)), "{:?}", link.attr("href"));
    }
    for named in all(&parsed, "[aria-labelledby]") {
        let ids = named.attr("aria-labelledby").unwrap();
        assert!(ids.split(' ').all(|id| distinct.contains(id)), "{ids}");
    }
    for chart in all(&parsed, "svg:not([aria-hidden])") {
        assert_eq!(chart.attr("role"), Some("img"));
        for part in ["title", "desc"] {
            let id = format!(
                "{}-{}",
                chart.attr("aria-labelledby").unwrap().split("-title").next().unwrap(),
                if part == "title" { "title" } else { "says" }
            );
            let said = all(&parsed, &format!("#{id}"));
            assert!(!text_of(said[0]).is_empty(), "{id}");
        }
    }
    for heading in all(&parsed, "th") {
        assert!(matches!(heading.attr("scope"), Some("col" | "row")));
    }
    let mut level = 0;
    for heading in all(&parsed, "h1, h2, h3, h4") {
        let next: u32 = heading.value().name()[1..].parse().unwrap();
        assert!(next <= level + 1, "a heading leaves out a level: {}", text_of(heading));
        level = next;
    }
    for element in all(&parsed, "*") {
        let name = element.value().name();
        let foreign = [
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "form",
            "base",
            "use",
            "image",
            "foreignObject",
        ];
        assert!(!foreign.contains(&name), "{name}");
        for (attribute, value) in element.value().attrs() {
            assert!(!attribute.starts_with("on"), "{name} {attribute}");
            assert!(
                !["src", "srcset", "style", "xlink:href", "action"].contains(&attribute),
                "{name} {attribute}"
            );
            assert!(!value.contains("url("), "{name} {attribute}={value}");
        }
    }
    let styles: String = all(&parsed, "style").into_iter().map(text_of).collect();
    assert!(!styles.contains("url(") && !styles.contains("@import"));
    assert!(!page.contains("NaN") && !page.contains("inf "), "a figure that is none");
    parsed
}

/// The value behind a figure, as a program reads it.
fn value(row: ElementRef<'_>, selector: &str) -> Option<Decimal> {
    let selector = Selector::parse(&format!("{selector} data")).unwrap();
    let mut found = row.select(&selector);
    let value = found.next()?.attr("value").unwrap();
    assert!(found.next().is_none());
    Some(Decimal::parse(value).unwrap())
}

/// Every rule of the verdict with its figures, and no other.
#[track_caller]
fn shows(page: &Html, verdict: &Verdict) {
    assert_eq!(text_of(all(page, "#outcome")[0]), verdict.outcome.word());
    assert_eq!(text_of(all(page, "#exit-code")[0]), verdict.exit_code.to_string());
    let rows = all(page, "tr[data-metric]");
    assert_eq!(rows.len(), verdict.rules.len());
    for (row, rule) in rows.into_iter().zip(&verdict.rules) {
        assert_eq!(row.attr("data-metric"), Some(rule.metric.name()));
        assert_eq!(value(row, ".baseline"), rule.baseline.as_deref().cloned());
        assert_eq!(value(row, ".candidate"), rule.candidate.as_deref().cloned());
        assert_eq!(value(row, ".change"), rule.change_pct);
        let blocks = rule.on_blocks.as_ref();
        assert_eq!(
            value(row, ".estimate"),
            blocks.map(|it: &BlocksResult| it.estimate_pct.clone())
        );
        assert_eq!(value(row, ".low"), blocks.and_then(|it| it.low_pct.clone()));
        assert_eq!(value(row, ".high"), blocks.and_then(|it| it.high_pct.clone()));
        let judgement = row.select(&Selector::parse(".judgement").unwrap()).next().unwrap();
        assert!(text_of(judgement).ends_with(rule.judgement.word()));
    }
}

#[test]
fn a_replay_of_twenty_blocks_is_one_small_page_with_all_of_it() {
    let (page, verdict) = replayed(&replay(20));
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    let parsed = is_whole(&page);
    shows(&parsed, &verdict);
    for section in [
        "metrics",
        "percentiles",
        "blocks",
        "series",
        "supporting",
        "conditions",
        "commits",
        "files",
    ] {
        assert_eq!(all(&parsed, &format!("main > section#{section}")).len(), 1, "{section}");
    }
    assert_eq!(all(&parsed, "#block-latency_p95_ms .point.baseline").len(), 20);
    assert_eq!(all(&parsed, "#block-latency_p95_ms .point.candidate").len(), 20);
    assert_eq!(all(&parsed, "#change-rps .point").len(), 20);
    // Blocks 7 and 14, with the reason in words.
    assert_eq!(all(&parsed, "#block-rps .disturbed").len(), 2);
    let blocks = text_of(all(&parsed, "#blocks")[0]);
    assert!(
        blocks.contains("the hypervisor gave processor time to other guests (cpu_stolen)none7, 14"),
        "{blocks}"
    );
    assert_eq!(all(&parsed, "#response-time-open-loop-curves .line").len(), 2);
    assert_eq!(all(&parsed, "#response-time-open-loop-difference .line").len(), 1);
    let series = text_of(all(&parsed, "#series")[0]);
    assert!(series.contains(
        "0 throughout, wherever it was read: Errors of the router; Activations of backpressure."
    ));
    assert!(series.contains("0 throughout, wherever it was read: Throttled."));
    assert_eq!(all(&parsed, "#series figure").len(), 20 + 7);
    let points = all(&parsed, "#sampled-0 path.line.candidate")[0].attr("d").unwrap();
    assert_eq!(points.matches('M').count(), 20, "each block is a line of its own");
}

#[test]
fn every_report_makes_a_whole_page() {
    let missing = Room::new();
    std::fs::remove_file(missing.path("candidate.json")).unwrap();
    let damaged = Room::with(&full_of(3, 25_000));
    damaged.set("candidate.json", "histograms.0.data", json!("AAAA"));
    let slow = Room::with(&full_of(9, 25_000));
    slow.change("candidate.json", |report| set_memory(report, |_| 3.0));
    let elsewhere = Room::with(&full_of(3, 25_000));
    elsewhere.set("candidate.json", "env.cpu_model", json!("another processor"));
    let absolute = Room::new();
    absolute.set(
        "policy.json",
        "rules.latency_p95_ms",
        json!({"absolute": {"max": 0.5, "min": 0.1}}),
    );
    let no_policy = Room::new();
    no_policy.bytes("policy.json", "{");
    for (room, says) in [
        (Room::new(), "PASS"),
        (Room::with(&full_of(3, 25_000)), "PASS"),
        (missing, "failed to read"),
        (damaged, "the histogram is damaged"),
        (slow, "VIOLATED"),
        (elsewhere, "differs, must be equal"),
        (absolute, "The candidate&#39;s 0.41 ms; limit"),
        (no_policy, "INVALID"),
    ] {
        let (page, verdict) = checked(&room, &[]);
        let said = page.replace("&#39;", "'");
        assert!(said.contains(&says.replace("&#39;", "'")), "`{says}` is not in:\n{page}");
        shows(&is_whole(&page), &verdict);
    }
}

#[test]
fn what_is_absent_is_said_and_never_a_zero() {
    let (page, _) = checked(&Room::new(), &[]);
    let parsed = is_whole(&page);
    for (section, says) in [
        ("percentiles", "Neither report has distributions."),
        ("blocks", "Neither report has blocks"),
        ("series", "Neither report has samples."),
        ("commits", "Not known: "),
    ] {
        let section = all(&parsed, &format!("#{section}"))[0];
        assert!(text_of(section).contains(says), "{}", text_of(section));
        assert!(section.select(&Selector::parse("svg, table").unwrap()).next().is_none());
    }

    let room = replay(9);
    room.change("candidate.json", |report| {
        for index in 0..9 {
            remove(report, &format!("blocks.{index}.metrics.mem_mb_total_erlang"));
            remove(report, &format!("blocks.{index}.disturbed"));
            remove(report, &format!("blocks.{index}.evidence"));
        }
        remove(report, "histograms");
        remove(report, "series");
        remove(report, "env.cpu_model");
    });
    let (page, _) = replayed(&room);
    let parsed = is_whole(&page);
    assert_eq!(all(&parsed, "#block-mem_mb_total_erlang .point.baseline").len(), 9);
    assert_eq!(all(&parsed, "#block-mem_mb_total_erlang .point.candidate").len(), 0);
    assert_eq!(all(&parsed, "#change-mem_mb_total_erlang").len(), 0);
    assert_eq!(all(&parsed, "#sampled-0 path.line.candidate")[0].attr("d"), Some(""));
    let blocks = text_of(all(&parsed, "#blocks")[0]);
    assert!(blocks.contains("9 of 18 blocks do not say whether they were disturbed."), "{blocks}");
    let row = all(&parsed, "#blocks details tbody tr")[1];
    let cells: Vec<_> = row.select(&Selector::parse("th, td").unwrap()).map(text_of).collect();
    assert_eq!(
        (cells[0].as_str(), cells[4].as_str(), cells[7].as_str()),
        ("1, candidate", "-", "not known")
    );
    let percentiles = text_of(all(&parsed, "#percentiles")[0]);
    assert!(percentiles.contains("The candidate has none."), "{percentiles}");
    for row in all(&parsed, "#percentiles tbody tr") {
        let cells: Vec<_> = row.select(&Selector::parse("td").unwrap()).map(text_of).collect();
        assert_eq!(cells[1], "-", "{cells:?}");
    }
    let conditions = text_of(all(&parsed, "#conditions")[0]);
    assert!(
        conditions.contains("cpu_modelXeonXeonnot stated≠ differs, must be equal"),
        "{conditions}"
    );
}

#[test]
fn a_hostile_name_stays_text() {
    let room = replay(9);
    for name in ["baseline.json", "candidate.json", "replay.json"] {
        room.change(name, |report| {
            for field in ["cpu_model", "vm_flags", "kernel", "otp_release"] {
                report["env"][field] = json!(HOSTILE);
            }
            report["run"]["planted_fault"] = json!(HOSTILE);
            report["load"]["adapter"] = json!(HOSTILE);
            for series in report["series"].as_array_mut().into_iter().flatten() {
                series["name"] = json!(format!("{}{HOSTILE}", series["name"].as_str().unwrap()));
                series["unit"] = json!(HOSTILE);
            }
        });
    }
    let (page, _) = replayed(&room);
    let parsed = is_whole(&page);
    assert!(!page.contains(['\u{202e}', '\u{0}']));
    let text = text_of(parsed.root_element());
    for section in ["planted", "series", "conditions"] {
        let said = text_of(all(&parsed, &format!("#{section}"))[0]);
        assert!(
            said.contains("<script>alert(1)</script><img src=x onerror=alert(1)>"),
            "{section}"
        );
    }
    assert!(text.contains("\\u{202e}"));
}

/// Lines of a path, by where each begins, and places on them.
fn lines_and_places(path: &str) -> (usize, usize) {
    (path.matches('M').count(), path.matches(['M', 'L']).count())
}

#[test]
fn outages_are_drawn_window_by_window_and_only_where_there_were_some() {
    let room = replay(3);
    let (page, _) = replayed(&room);
    assert!(all(&is_whole(&page), "#outages").is_empty(), "nobody asked for one");
    room.change("replay.json", |report| with_outage(report, |_| 4));
    room.change("candidate.json", |report| {
        with_outage(report, |block| if block == 3 { AFTER } else { 4 });
        // What was not served at all has no p95, and what is not known is not 0.
        let block = &mut report["blocks"][0];
        let (window, ok) = (BEFORE as usize + 1, 240);
        remove(&mut block["recovery"]["windows"][window], "p95_ns");
        block["recovery"]["windows"][window]["ok"] = json!(0);
        let accounting = &mut block["accounting"]["recovery"];
        accounting["ok"] = json!(accounting["ok"].as_u64().unwrap() - ok);
        accounting["error"] = json!(accounting["error"].as_u64().unwrap() + ok);
        report["blocks"][0]["recovery"]["reasons"][0]["reason"] = json!(HOSTILE);
    });
    let (page, _) = replayed(&room);
    let parsed = is_whole(&page);
    assert!(!page.contains(['\u{202e}', '\u{0}']));
    let drawn = |chart: &str, side: &str| {
        let path = all(&parsed, &format!("#outages #{chart} path.{side}"));
        lines_and_places(path[0].attr("d").unwrap())
    };
    let windows = (BEFORE + AFTER) as usize;
    // A line for each of three blocks; the one without a p95 in one window is broken there.
    assert_eq!(drawn("outages-p95", "baseline"), (3, 3 * windows));
    assert_eq!(drawn("outages-p95", "candidate"), (4, 3 * windows - 1));
    assert_eq!(drawn("outages-lost", "baseline"), (3, 3 * windows));
    assert_eq!(drawn("outages-lost", "candidate"), (3, 3 * windows));
    assert_eq!(all(&parsed, "#outages svg.large rect.outage").len(), 2);
    let rows: Vec<Vec<String>> = all(&parsed, "#outages tbody tr")
        .into_iter()
        .map(|row| row.select(&Selector::parse("th, td").unwrap()).map(text_of).collect())
        .collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0], ["1, baseline", "200", "200", "40", "disconnected"]);
    assert_eq!(rows[5], ["3, candidate", "200", "-", "300", "disconnected"], "it never recovered");
    assert!(rows[1][4].contains("<script>alert(1)</script><img src=x onerror=alert(1)>"));
    assert_eq!(text_of(all(&parsed, "nav a[href='#outages']")[0]), "Outages");
}

#[test]
fn a_page_of_outages_that_have_no_end_is_small_too() {
    let room = replay(20);
    for name in ["replay.json", "candidate.json"] {
        room.change(name, |report| {
            with_outage(report, |_| 4);
            for block in report["blocks"].as_array_mut().unwrap() {
                let windows = &mut block["recovery"]["windows"];
                let more = (0_u64..3_000).map(|index| {
                    json!({"offered": u64::MAX, "ok": index % 2, "p95_ns": u64::MAX - index * index})
                });
                *windows = windows.as_array().unwrap().iter().cloned().chain(more).collect();
            }
        });
    }
    let (page, _) = replayed(&room);
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    assert_eq!(all(&is_whole(&page), "#outages path.window").len(), 4);
}

#[test]
fn a_page_of_files_that_have_no_end_is_small_too() {
    let room = replay(20);
    room.change("candidate.json", |report| {
        let long = "&".repeat(2_000);
        let series: Vec<Value> = (0..200)
            .flat_map(|name| {
                let long = &long;
                (1..=20).map(move |block| {
                    let times: Vec<u64> = (0..40).collect();
                    json!({"block": block, "name": format!("{name} {long}"), "unit": "count",
                        "time_ms": times, "values": vec![u64::MAX; 40]})
                })
            })
            .collect();
        report["series"] = json!(series);
    });
    let (page, _) = replayed(&room);
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    is_whole(&page);
}

#[test]
fn the_page_tells_the_commits_between_baseline_and_candidate() {
    let repository = Repository::new();
    let from = repository.git(&["rev-parse", "HEAD"]);
    for index in 0..103 {
        repository.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            &format!("{index}: {HOSTILE}").replace('\0', ""),
        ]);
    }
    let to = repository.git(&["rev-parse", "HEAD"]);
    let page = |from: Option<&str>, to: &str| {
        for (name, commit) in [("baseline.json", from), ("candidate.json", Some(to))] {
            let mut report = minimal();
            match commit {
                Some(commit) => report["git"]["commit"] = json!(commit),
                None => remove(&mut report, "git.commit"),
            }
            if name == "candidate.json" {
                report["timestamp"] = json!("2026-01-31T13:00:00Z");
            }
            repository.write(name, &report.to_string());
        }
        let answer = std::process::Command::new(assert_cmd::cargo::cargo_bin!("perf-gate"))
            .current_dir(repository.path(""))
            .args(["check", "--baseline", "baseline.json", "--policy", "perf/policy_cp1.json"])
            .args(["--candidate", "candidate.json", "--artifacts", "out", "--label", "x"])
            .output();
        assert!(answer.unwrap().status.code().is_some());
        let page = is_whole(&repository.text("out/perf_report_x.html"));
        let section = all(&page, "#commits")[0];
        (
            text_of(section),
            section.select(&Selector::parse("tbody tr").unwrap()).map(text_of).collect::<Vec<_>>(),
        )
    };
    let (said, rows) = page(Some(&from), &to);
    assert!(said.contains("The candidate has 103 commits that the baseline has not, the latest first. Shown are the latest 100."), "{said}");
    assert_eq!(rows.len(), 100);
    assert!(rows[0].contains("102: <script>alert(1)</script>"), "{}", rows[0]);
    let (said, rows) = page(Some(&to), &from);
    assert!(
        said.contains("The candidate has no commit that the baseline has not. It lacks 103"),
        "{said}"
    );
    assert!(rows.is_empty());
    assert!(page(Some(&to), &to).0.contains("None: both are of the same commit."));
    assert!(
        page(None, &to)
            .0
            .contains("Not known: the baseline does not say which commit was measured.")
    );
    let gone = "0123456789abcdef0123456789abcdef01234567";
    let (said, _) = page(Some(gone), &to);
    assert!(
        said.contains(&format!("Not known: the repository does not have the revision {gone}")),
        "{said}"
    );
}

#[test]
fn the_same_reports_make_the_same_page() {
    let room = replay(9);
    assert_eq!(replayed(&room).0, replayed(&room).0);
}

#[test]
fn a_page_of_two_small_reports_looks_like_this() {
    let room = Room::new();
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.4716));
    room.set("candidate.json", "metrics.errors_total", json!(3));
    let (page, _) = checked(&room, &[]);
    let (_, rest) = page.split_once("</style>").unwrap();
    let here = room.path("").canonicalize().unwrap();
    let body = rest.replace(here.to_str().unwrap().trim_end_matches('/'), "HERE");
    insta::assert_snapshot!("minimal_page", body.replace("><", ">\n<"));
}
