//! The page of a real run in a browser: headless Chromium opens it from a file.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::Path;
use std::process::Command;

use cp1_format::{
    Amount, Decimal, Metric, Pairing, Report, Role, Timestamp, Verdict, read_file, to_json,
};
use cp1_pipeline_tests::{TWO_BLOCKS, Workplace, gate_binary};
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

const HOSTILE: &str =
    "<script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\"'";

/// The width of a telephone.
const NARROW: u32 = 390;

/// What Chromium says of a page.
struct Seen {
    /// Its document after everything has run.
    document: String,
    /// What it wrote to the console, and what it complained of.
    console: Vec<String>,
    /// What it asked for that is no file.
    requests: Vec<String>,
}

fn open(directory: &Path, page: &str) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let net_log = profile.path().join("net_log.json");
    let mut chromium = Command::new("chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
    ]);
    chromium.args(["--disable-background-networking", "--disable-component-update"]);
    chromium.args(["--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr"]);
    // No name is known, so that nothing leaves this machine.
    chromium.arg("--host-resolver-rules=MAP * ~NOTFOUND");
    // So that a page of ours can look into another one beside it.
    chromium.arg("--allow-file-access-from-files");
    chromium.arg(format!("--user-data-dir={}", profile.path().join("profile").display()));
    chromium.arg(format!("--log-net-log={}", net_log.display()));
    chromium.args(["--timeout=60000", "--dump-dom"]);
    chromium.arg(format!("file://{}", directory.join(page).display()));
    let output = chromium.output().unwrap_or_else(|error| {
        panic!("failed to run chromium: {error}; ./scripts/setup.sh --test installs it")
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let log: Value = serde_json::from_slice(&std::fs::read(net_log).unwrap()).unwrap();
    // What the browser asks for by itself has no origin.
    let asked = log["events"].as_array().unwrap().iter().filter_map(|event| {
        let by_page = event["params"]["initiator"].as_str()? != "not an origin";
        let url = event["params"]["url"].as_str()?;
        (by_page && !url.starts_with("file:")).then(|| url.to_owned())
    });
    Seen {
        document: String::from_utf8(output.stdout).unwrap(),
        console: said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
        requests: asked.collect(),
    }
}

/// A report of two real blocks, as both sides of a replay.
fn measured(workplace: &Workplace) {
    std::fs::write(workplace.path("policy.json"), TWO_BLOCKS).unwrap();
    let mut bench = workplace.bench();
    bench.env("PERF_BLOCKS", "2").env("PERF_RATE", "10000").env("PERF_LATENCY_MS", "2100");
    let ended = workplace.run(&mut bench).unwrap();
    let report = workplace.report().unwrap_or_else(|error| panic!("{error}: {}", ended.printed));
    std::fs::write(workplace.path("baseline.json"), to_json(&report).unwrap()).unwrap();
    for (name, role) in [("replay.json", Role::Frozen), ("candidate.json", Role::Candidate)] {
        let is_first = |index: usize| index.is_multiple_of(2) == (role == Role::Frozen);
        let mut side: Report = report.clone();
        side.pairing = Some(Pairing {
            role,
            seed: 1,
            booted_first: vec![is_first(0), is_first(1)],
            alive_together: true,
        });
        for block in side.blocks.iter_mut().flatten() {
            let (closed, open) = (&mut block.throughput.slices, &mut block.latency.slices);
            closed.went_first = Some((0..closed.ok.len()).map(is_first).collect());
            open.went_first = Some((0..open.ok.len()).map(is_first).collect());
        }
        side.timestamp = Timestamp::parse("2026-01-31T13:00:00Z").unwrap();
        std::fs::write(workplace.path(name), to_json(&side).unwrap()).unwrap();
    }
}

/// Judges, and gives the verdict beside the page `out/perf_report_x.html`.
fn judged(workplace: &Workplace) -> Verdict {
    let mut gate = Command::new(gate_binary());
    gate.arg("check").args(["--label", "x", "--artifacts"]).arg(workplace.path("out"));
    for (flag, file) in [
        ("--baseline", "baseline.json"),
        ("--replay", "replay.json"),
        ("--candidate", "candidate.json"),
        ("--policy", "policy.json"),
    ] {
        gate.arg(flag).arg(workplace.path(file));
    }
    let ended = workplace.run(&mut gate).unwrap();
    read_file(&workplace.path("out/perf_verdict_x.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", ended.printed))
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

fn text_of(element: ElementRef<'_>) -> String {
    element.text().collect::<Vec<_>>().concat()
}

fn shows(page: &Html, verdict: &Verdict) {
    assert_eq!(text_of(all(page, "#outcome")[0]), verdict.outcome.word());
    assert!(!verdict.rules.is_empty());
    for rule in &verdict.rules {
        let value = |cell: &str| {
            let figure = format!("tr[data-metric={}] {cell} data", rule.metric);
            let found = all(page, &figure);
            found.first().map(|data| Decimal::parse(data.attr("value").unwrap()).unwrap())
        };
        assert_eq!(value(".baseline"), rule.baseline.as_deref().cloned());
        assert_eq!(value(".candidate"), rule.candidate.as_deref().cloned());
        assert_eq!(value(".change"), rule.change_pct);
        let blocks = rule.on_blocks.as_ref();
        assert_eq!(value(".estimate"), blocks.map(|blocks| blocks.estimate_pct.clone()));
        assert_eq!(value(".low"), blocks.and_then(|blocks| blocks.low_pct.clone()));
        assert_eq!(value(".high"), blocks.and_then(|blocks| blocks.high_pct.clone()));
    }
}

/// A page that shows another one as wide as a telephone, with all its details open, and says how wide it
/// became.
fn narrow(workplace: &Workplace, shown: &str) -> Value {
    let page = format!(
        "<!doctype html><meta charset=utf-8><title>x</title>
         <iframe id=shown src={shown} width={NARROW} height=900></iframe>
         <pre id=said></pre>
         <script>
           addEventListener('load', () => {{
             const page = document.getElementById('shown').contentDocument;
             for (const details of page.querySelectorAll('details')) details.open = true;
             const beyond = [...page.querySelectorAll('body *')].filter(one =>
               !one.closest('.scrolls, .skip, .hidden') && one.getBoundingClientRect().right > {NARROW});
             document.getElementById('said').textContent = JSON.stringify({{
               width: page.documentElement.scrollWidth,
               beyond: beyond.map(one => one.tagName + '.' + one.getAttribute('class')),
               fetched: page.defaultView.performance.getEntriesByType('resource').map(one => one.name),
               title: page.title,
             }});
           }});
         </script>"
    );
    std::fs::write(workplace.path("out/narrow.html"), page).unwrap();
    let seen = open(&workplace.path("out"), "narrow.html");
    let document = Html::parse_document(&seen.document);
    serde_json::from_str(&text_of(all(&document, "#said")[0])).unwrap()
}

#[test]
fn a_browser_shows_the_verdict_and_fetches_runs_and_complains_of_nothing() {
    let workplace = Workplace::new().unwrap();
    measured(&workplace);
    for is_hostile in [false, true] {
        if is_hostile {
            for name in ["baseline.json", "replay.json", "candidate.json"] {
                let mut report: Report = read_file(&workplace.path(name)).unwrap();
                report.env.cpu_model = Some(HOSTILE.to_owned());
                report.run.planted_fault = Some(HOSTILE.to_owned());
                std::fs::write(workplace.path(name), to_json(&report).unwrap()).unwrap();
            }
        }
        let verdict = judged(&workplace);
        let seen = open(&workplace.path("out"), "perf_report_x.html");
        assert_eq!(seen.console, Vec::<String>::new());
        assert_eq!(seen.requests, Vec::<String>::new());
        let page = Html::parse_document(&seen.document);
        shows(&page, &verdict);
        assert_eq!(all(&page, "script, img").len(), 0);
        assert_eq!(all(&page, "#block-rps .point").len(), 4);
        assert_eq!(all(&page, "#response-time-open-loop-curves .line").len(), 2);
        let planted = all(&page, "#planted");
        assert_eq!(planted.len(), usize::from(is_hostile));
        assert!(planted.iter().all(|section| text_of(*section).contains(HOSTILE)));

        let said = narrow(&workplace, "perf_report_x.html");
        assert_eq!(said["beyond"], Value::from(Vec::<String>::new()), "wider than the screen");
        assert!(said["width"].as_u64().is_some_and(|width| width <= u64::from(NARROW)), "{said}");
        assert_eq!(said["fetched"], Value::from(Vec::<String>::new()));
        assert_eq!(said["title"], format!("{}: CP1 performance gate", verdict.outcome.word()));
    }

    // The page's own policy is what stops what would get into it, and these checks see what is not stopped.
    let path = workplace.path("out/perf_report_x.html");
    let page = std::fs::read_to_string(&path).unwrap();
    let taken = page.replace(
        "<footer>",
        "<img src=http://127.0.0.1:9/x><script>console.error(1)</script><footer>",
    );
    assert_ne!(page, taken);
    std::fs::write(&path, &taken).unwrap();
    let seen = open(&workplace.path("out"), "perf_report_x.html");
    assert!(
        seen.console.iter().any(|line| line.contains("Content Security Policy")),
        "{:?}",
        seen.console
    );
    assert_eq!(seen.requests, Vec::<String>::new());
    let wide = format!("<span class=words>{}</span><footer>", "w".repeat(200));
    std::fs::write(&path, page.replace("<footer>", &wide)).unwrap();
    let said = narrow(&workplace, "perf_report_x.html");
    assert!(said["width"].as_u64().is_some_and(|width| width > u64::from(NARROW)), "{said}");
    assert_eq!(said["beyond"], Value::from(vec!["SPAN.words"]));
    std::fs::write(&path, taken.replace("Content-Security-Policy", "x")).unwrap();
    let seen = open(&workplace.path("out"), "perf_report_x.html");
    assert!(
        seen.requests.iter().any(|url| url.starts_with("http://127.0.0.1:9/")),
        "{:?}",
        seen.requests
    );
}

#[test]
fn a_browser_shows_a_trend_and_fetches_runs_and_complains_of_nothing() {
    let workplace = Workplace::new().unwrap();
    measured(&workplace);
    for directory in ["perf", "out", "kept"] {
        std::fs::create_dir_all(workplace.path(directory)).unwrap();
    }
    std::fs::copy(workplace.path("policy.json"), workplace.path("perf/policy_cp1.json")).unwrap();
    for run in 1..=3_u64 {
        for (file, name) in [("candidate.json", "baseline"), ("replay.json", "replay")] {
            let mut report: Report = read_file(&workplace.path(file)).unwrap();
            report.timestamp = Timestamp::parse(&format!("2026-01-31T1{run}:00:00Z")).unwrap();
            report.env.cpu_model = Some(format!("{HOSTILE} {run}"));
            // What is always the same is said in a sentence, and not drawn.
            report.metrics.0.insert(Metric::Rps, Amount::from(50_000 + 1_000 * run));
            let kept = workplace.path(&format!("kept/perf_{name}_{run}.json"));
            std::fs::write(kept, to_json(&report).unwrap()).unwrap();
        }
    }
    let mut trend = Command::new(gate_binary());
    trend.arg("trend").arg(workplace.path("kept")).arg("--root").arg(workplace.path(""));
    trend.arg("--html").arg(workplace.path("out/trend.html"));
    let ended = workplace.run(&mut trend).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.printed);

    let seen = open(&workplace.path("out"), "trend.html");
    assert_eq!(seen.console, Vec::<String>::new());
    assert_eq!(seen.requests, Vec::<String>::new());
    let page = Html::parse_document(&seen.document);
    assert_eq!(all(&page, "script, img").len(), 0);
    assert!(!all(&page, "svg").is_empty(), "it is drawn");
    let said = narrow(&workplace, "trend.html");
    assert_eq!(said["beyond"], Value::from(Vec::<String>::new()), "wider than the screen");
    assert!(said["width"].as_u64().is_some_and(|width| width <= u64::from(NARROW)), "{said}");
    assert_eq!(said["fetched"], Value::from(Vec::<String>::new()));
}
