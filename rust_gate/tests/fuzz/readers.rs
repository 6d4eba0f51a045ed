//! No reader panics, hangs or takes memory without bound, whatever a file says; what a document's reader
//! accepts, its writer writes and it reads again as the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{FromArgMatches as _, ValueEnum as _};
use cp1_format::{
    Document, Event, Head, Measured, Policy, Record, Report, Request, Timestamp, Verdict, Waivers,
    parse, read_head, to_json,
};
use fastrand::Rng;
use perf_gate::adopt::jobs::{self, Tool};
use perf_gate::adopt::rebar_config::{Edit, with_profile};
use perf_gate::cli::arguments::{
    Arguments, Better, Export, ExportFormat, Import, ImportFormat, Unit,
};
use perf_gate::cli::sources::{self, gather};
use perf_gate::contract::records::Chain;
use perf_gate::contract::{Contract, ci_files, digest, loosened, page};
use perf_gate::convert::export::export;
use perf_gate::convert::import::import;
use perf_gate::judge::verdict::decide;
use perf_gate::read::inputs::{Inputs, Source};
use perf_gate::render::Shown;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::campaign::{self, Outcome, Target, Trial};
use crate::common::{full_of, minimal, pair, policy, sample};
use crate::two_machines::two_machines;
use crate::{damage, verdicts};

/// Reads a file and says whether it was accepted.
type Read = fn(&Readers, &[u8]) -> Result<bool, String>;

/// A reader, with sound files of its kind.
struct Reader {
    name: &'static str,
    read: Read,
    sound: Vec<Vec<u8>>,
}

struct Readers {
    readers: Vec<Reader>,
    /// What has to be on disk to be read.
    room: TempDir,
}

impl Target for Readers {
    fn name(&self) -> &'static str {
        "readers"
    }

    fn make(&self, choice: u64, steps: &[u64]) -> Trial {
        let (reader, file) = self.chosen(choice);
        let mut bytes = reader.sound[file].clone();
        let mut done = vec![reader.name.to_owned()];
        for step in steps {
            let rng = &mut Rng::with_seed(*step);
            let document =
                if rng.bool() { serde_json::from_slice::<Value>(&bytes).ok() } else { None };
            done.push(match document {
                Some(mut document) => {
                    let what = damage::of_json(&mut document, rng);
                    bytes = serde_json::to_vec_pretty(&document).unwrap();
                    what
                }
                None => damage::of_bytes(&mut bytes, rng),
            });
        }
        Trial { choice, files: vec![(reader.name, bytes)], done }
    }

    fn judge(&self, trial: &Trial) -> Outcome {
        let (reader, _) = self.chosen(trial.choice);
        let is_accepted = (reader.read)(self, trial.file(reader.name).unwrap())?;
        Ok(format!("{} {}", reader.name, if is_accepted { "accepted" } else { "refused" }))
    }
}

impl Readers {
    fn all() -> Self {
        let of = |name, read: Read, sound: Vec<Vec<u8>>| Reader { name, read, sound };
        let json = |documents: &[Value]| -> Vec<Vec<u8>> {
            documents.iter().map(|document| document.to_string().into_bytes()).collect()
        };
        let mut replayed = full_of(2, 200);
        pair(&mut replayed, "candidate");
        let reports = [minimal(), full_of(1, 200), replayed, two_machines(1)];
        let policies =
            [policy(), serde_json::from_slice(&project("perf/policy_cp1.json")).unwrap()];
        let waivers = json!({"version": "cp1", "waivers": [{"metric": "latency_p95_ms",
            "ceiling_pct": 25, "expires": "2026-12-31", "issue": "https://example.org/issues/7",
            "reason": "the codec is being rewritten"}]});
        let plan = json!({"adapter": "toy_adapter", "blocks": 3, "timeout_ms": 900_000,
            "report_file": "r.json", "keys": "zipf", "key_exponent": 1.1, "erl_args": ["+S", "2"],
            "adapter_options": {"depth": 3, "name": "x", "on": true}});
        let requests = [json!({"measure": plan}), json!({"describe": plan}), json!("go_on")];
        let events = [
            json!({"block": 3}),
            json!("ended"),
            json!({"failed": "why"}),
            json!({"described": {"report": full_of(1, 200), "bench_applications": ["router_bench"],
                "otp_release": "25"}}),
            json!({"examined": [{"verdict": "wrong", "text": "no such module"}]}),
            json!({"refused": {"option": "blocks", "problem": "too few"}}),
        ];
        let mut sampled = full_of(2, 200);
        sample(&mut sampled, true);
        let pages: Vec<_> = ["0004", "0009"].map(record).into();
        let heads = pages.iter().filter_map(|text| page::head(str::from_utf8(text).ok()?));
        let verdict = to_json(&judged(&minimal().to_string().into_bytes()).unwrap()).unwrap();
        let distribution = full_of(1, 200)["histograms"][0]["data"].clone();
        let readers = vec![
            of("report.json", document::<Report>, json(&reports)),
            of("head.json", head, heads_of(&reports)),
            of("policy.json", document::<Policy>, json(&policies)),
            of("waivers.json", document::<Waivers>, json(&[waivers])),
            of("record.json", document::<Record>, heads.map(String::into_bytes).collect()),
            of("verdict.json", document::<Verdict>, vec![verdict.into_bytes()]),
            of("request.json", document::<Request>, json(&requests)),
            of("event.json", document::<Event>, json(&events)),
            of(
                "blocks.json",
                |_, bytes| Ok(parse::<Measured>(Path::new("b"), bytes).is_ok()),
                json(&[full_of(2, 200)["blocks"].clone()]),
            ),
            of(
                "digest.json",
                |_, bytes| Ok(digest::of_json(&String::from_utf8_lossy(bytes)).is_ok()),
                json(&reports),
            ),
            of("loosened.json", changed_policy, json(&policies)),
            of("judged.json", |_, bytes| Ok(judged(bytes).is_some()), json(&reports)),
            of("shown.json", shown, json(&[sampled])),
            of("distribution.txt", distribution_text, vec![distribution.as_str().unwrap().into()]),
            of("0009-2026-11-25-a-record.md", chain, pages),
            of(
                "perf_gate.toml",
                settings,
                vec![
                    project("perf/perf_gate.toml"),
                    b"blocks = 9\nrate = 20000\nadapter = 'a'\nadapter_options = {depth = 3}\n"
                        .into(),
                ],
            ),
            of(
                "gitlab.yml",
                |it, bytes| ci(it, ci_files::GITLAB, bytes),
                vec![project(ci_files::GITLAB), jobs::gitlab(Tool::Installed).into_bytes()],
            ),
            of(
                "github.yml",
                |it, bytes| ci(it, ci_files::GITHUB, bytes),
                vec![project(ci_files::GITHUB), jobs::github(Tool::Installed, "main").into_bytes()],
            ),
            of(
                "rebar.config",
                rebar_config,
                vec![
                    b"{erl_opts, [debug_info]}.\n{deps, []}.\n".into(),
                    b"%% {profiles, [\n{erl_opts, [{d, 'profiles'}, \"{profiles, [\", $\", $%]}."
                        .into(),
                    b"{ profiles , % ours\n [ {test, [{deps, [meck]}]} ] }.\n".into(),
                ],
            ),
            of(
                "k6.json",
                |it, bytes| imported(it, ImportFormat::K6, &[("k6.json", bytes)]),
                ["k6_summary_export.json", "k6_handle_summary.json"].map(file_of).into(),
            ),
            of(
                "wrk2.txt",
                |it, bytes| imported(it, ImportFormat::Wrk2, &[("wrk2.txt", bytes)]),
                vec![file_of("wrk2.txt")],
            ),
            of(
                "latency.hgrm",
                |it, bytes| imported(it, ImportFormat::Hgrm, &[("latency.hgrm", bytes)]),
                vec![file_of("latency.hgrm")],
            ),
            of(
                "summary.csv",
                |it, bytes| {
                    let latencies = file_of("basho_bench_get_latencies.csv");
                    let files = [("summary.csv", bytes), ("latencies.csv", &latencies)];
                    imported(it, ImportFormat::BashoBench, &files)
                },
                vec![file_of("basho_bench_summary.csv")],
            ),
            of(
                "latencies.csv",
                |it, bytes| {
                    let summary = file_of("basho_bench_summary.csv");
                    let files = [("latencies.csv", bytes), ("summary.csv", &summary)];
                    imported(it, ImportFormat::BashoBench, &files)
                },
                vec![file_of("basho_bench_get_latencies.csv")],
            ),
            of(
                "erlperf.txt",
                |it, bytes| imported(it, ImportFormat::Erlperf, &[("erlperf.txt", bytes)]),
                ["erlperf_basic.txt", "erlperf_full.txt"].map(file_of).into(),
            ),
            of("exported.json", exported, json(&reports)),
        ];
        Self { readers, room: TempDir::new().unwrap() }
    }

    fn chosen(&self, choice: u64) -> (&Reader, usize) {
        let count = self.readers.len() as u64;
        let reader = &self.readers[(choice % count) as usize];
        (reader, (choice / count % reader.sound.len() as u64) as usize)
    }

    /// Writes a file of a project.
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.room.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of this project.
fn project(name: &str) -> Vec<u8> {
    std::fs::read(root().join(name)).unwrap()
}

fn record(number: &str) -> Vec<u8> {
    let mut entries = std::fs::read_dir(root().join("perf/bumps")).unwrap().flatten();
    let is_it = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(number);
    std::fs::read(entries.find(is_it).unwrap().path()).unwrap()
}

/// What is refused says where and what to do; what is accepted can be written and is the same again.
fn document<T: Document + Serialize + PartialEq>(
    _: &Readers,
    bytes: &[u8],
) -> Result<bool, String> {
    let read = |bytes: &[u8]| parse::<T>(Path::new("file.json"), bytes);
    let document = match read(bytes) {
        Err(error) if error.to_string().is_empty() || error.cure().is_empty() => {
            return Err("it is refused without a word".to_owned());
        }
        Err(_) => return Ok(false),
        Ok(document) => document,
    };
    let written = to_json(&document).map_err(|error| format!("it cannot be written: {error}"))?;
    match read(written.as_bytes()) {
        Ok(again) if again == document => Ok(true),
        Ok(_) => Err("it is read again as another".to_owned()),
        Err(error) => Err(format!("it cannot be read again: {error}")),
    }
}

/// As the one writer writes reports: only then a head is read by itself.
fn heads_of(reports: &[Value]) -> Vec<Vec<u8>> {
    let typed = reports
        .iter()
        .map(|report| parse::<Report>(Path::new("r"), report.to_string().as_bytes()).unwrap());
    typed.map(|report| to_json(&report).unwrap().into_bytes()).collect()
}

/// A head says what the whole report says, where that is one.
fn head(readers: &Readers, bytes: &[u8]) -> Result<bool, String> {
    readers.put("report.json", bytes);
    let head = read_head(&readers.room.path().join("report.json"));
    match (head, parse::<Report>(Path::new("r"), bytes)) {
        (Ok(head), Ok(report)) if head == Head::from(report.clone()) => Ok(true),
        (Ok(head), Ok(_)) => Err(format!("the report has another head than {head:?}")),
        (Err(error), Ok(_)) => Err(format!("a report has no head: {error}")),
        // Damaged behind its head.
        (Ok(_), Err(_)) => Ok(true),
        (Err(_), Err(_)) => Ok(false),
    }
}

fn changed_policy(_: &Readers, bytes: &[u8]) -> Result<bool, String> {
    let sound: Policy = parse(Path::new("p"), policy().to_string().as_bytes()).unwrap();
    let Ok(changed) = parse::<Policy>(Path::new("p"), bytes) else { return Ok(false) };
    let (there, back) = (loosened::changes(&sound, &changed), loosened::changes(&changed, &sound));
    let loosened = loosened::loosened(&sound, &changed);
    if there.is_empty() != back.is_empty() || (there.is_empty() && !loosened.is_empty()) {
        return Err(format!("changes there {there:?}, back {back:?}, loosened {loosened:?}"));
    }
    Ok(true)
}

/// Judged by itself.
fn judged(bytes: &[u8]) -> Option<Verdict> {
    Some(decide(&against_itself(bytes)?))
}

/// Drawn beside itself.
fn shown(_: &Readers, bytes: &[u8]) -> Result<bool, String> {
    let Some(inputs) = against_itself(bytes) else { return Ok(false) };
    verdicts::page(&Shown::new(&decide(&inputs), &inputs))?;
    Ok(true)
}

fn against_itself(bytes: &[u8]) -> Option<Inputs> {
    let report: Report = parse(Path::new("r"), bytes).ok()?;
    let policy: Policy = parse(Path::new("p"), policy().to_string().as_bytes()).unwrap();
    let source = || Source { path: "r".to_owned(), document: Some(report.clone()) };
    let policy = Source { path: "p".to_owned(), document: Some(policy) };
    let (problems, notices) = (Vec::new(), Vec::new());
    let (baseline, candidate) = (source(), source());
    Some(Inputs {
        baseline,
        candidate,
        replay: None,
        policy,
        rule_lines: BTreeMap::new(),
        waivers: None,
        problems,
        notices,
    })
}

fn distribution_text(_: &Readers, bytes: &[u8]) -> Result<bool, String> {
    let mut report = full_of(1, 200);
    report["histograms"][0]["data"] = json!(String::from_utf8_lossy(bytes));
    let verdict = judged(report.to_string().as_bytes()).ok_or("a text is no text")?;
    Ok(!verdict.problems.iter().any(|problem| problem.place.as_deref() == Some("histograms[0]")))
}

fn chain(_: &Readers, bytes: &[u8]) -> Result<bool, String> {
    let name = "0009-2026-11-25-a-record.md".to_owned();
    let chain = Chain::of(vec![(name, bytes.to_vec())]);
    let (number, digest) = chain.next();
    if (number == 10) != digest.is_some() {
        return Err(format!("after record 9 comes {number}, after {digest:?}"));
    }
    Ok(chain.last().is_some())
}

fn settings(readers: &Readers, bytes: &[u8]) -> Result<bool, String> {
    readers.put(sources::FILE, bytes);
    let project = format!("--project={}", readers.room.path().display());
    let typed: Vec<OsString> = ["perf-gate", "run", &project].map(OsString::from).into();
    let line = match gather(typed, std::iter::empty()) {
        Ok(line) => line,
        Err(error) if error.to_string().is_empty() => return Err("refused without a word".into()),
        Err(_) => return Ok(false),
    };
    // What was accepted from a file is a command line that can be run.
    let matches = sources::command().try_get_matches_from(&line.arguments);
    let matches = matches.map_err(|error| format!("no command line: {error}"))?;
    Arguments::from_arg_matches(&matches).map(|_| true).map_err(|error| error.to_string())
}

fn ci(readers: &Readers, file: &str, bytes: &[u8]) -> Result<bool, String> {
    readers.put(file, bytes);
    let contract = Contract::at(readers.room.path());
    let seen = [Tool::Installed, Tool::Built].map(|tool| ci_files::look(&contract, tool));
    std::fs::remove_file(readers.room.path().join(file)).unwrap();
    // What cannot be read at all is an error, and no finding.
    Ok(seen.into_iter().flatten().any(|seen| seen.problems.is_empty()))
}

/// A file of another tool, as `import` reads it in tests.
fn file_of(name: &str) -> Vec<u8> {
    project(&format!("rust_gate/tests/samples/{name}"))
}

/// What is refused says which file, where and what to do; what is accepted is a report.
fn imported(
    readers: &Readers,
    format: ImportFormat,
    files: &[(&str, &[u8])],
) -> Result<bool, String> {
    files.iter().for_each(|(name, bytes)| readers.put(name, bytes));
    let path = |(name, _): &(&str, _)| readers.room.path().join(name);
    let result = import(&Import {
        format,
        timestamp: Timestamp::parse("2026-01-31T12:00:00Z").unwrap(),
        commit: None,
        exit_code: None,
        unit: (format == ImportFormat::Hgrm).then_some(Unit::Us),
        output: None,
        file: files.iter().map(path).collect(),
    });
    match result {
        Ok(imported) => {
            let json = imported.json.ok_or("nothing was made")?;
            let report = parse::<Report>(Path::new("r"), json.as_bytes());
            report.map(|_| true).map_err(|error| format!("no report: {error}"))
        }
        Err(error) => {
            let said = error.to_string();
            let named = files.iter().any(|(name, _)| said.contains(name));
            let has_cure = said.contains("; ");
            if named && has_cure { Ok(false) } else { Err(format!("refused with {said:?}")) }
        }
    }
}

/// Every format of a report that is accepted has its text.
fn exported(readers: &Readers, bytes: &[u8]) -> Result<bool, String> {
    readers.put("exported.json", bytes);
    let mut exported = false;
    for format in ExportFormat::value_variants() {
        let arguments = Export {
            format: *format,
            better: Better::Smaller,
            no_timestamps: false,
            report: readers.room.path().join("exported.json"),
        };
        match export(&arguments) {
            Ok(text) if text.is_empty() => return Err(format!("{format:?} says nothing")),
            Ok(_) => exported = true,
            Err(error) if error.to_string().is_empty() => {
                return Err("refused without a word".into());
            }
            Err(_) => {}
        }
    }
    Ok(exported)
}

/// An edit adds to a file, and nothing is to be done a second time.
fn rebar_config(_: &Readers, bytes: &[u8]) -> Result<bool, String> {
    let text = String::from_utf8_lossy(bytes);
    let Edit::Text(edited) = with_profile(&text) else { return Ok(false) };
    if with_profile(&edited) != Edit::Done {
        return Err("the edit is not seen to be done".to_owned());
    }
    let common = |(one, other): &(u8, u8)| one == other;
    let before = text.bytes().zip(edited.bytes()).take_while(common).count();
    let after = text.bytes().rev().zip(edited.bytes().rev()).take_while(common).count();
    if before + after < text.len() {
        return Err("the edit changes what was there".to_owned());
    }
    Ok(true)
}

#[test]
fn no_reader_panics_hangs_or_takes_what_it_likes() {
    campaign::run(&Readers::all());
}

#[test]
fn every_reader_accepts_its_sound_files() {
    let readers = Readers::all();
    for (index, reader) in readers.readers.iter().enumerate() {
        for sound in &reader.sound {
            let accepted = (reader.read)(&readers, sound);
            assert_eq!(
                accepted,
                Ok(true),
                "{index} {}: {}",
                reader.name,
                String::from_utf8_lossy(sound)
            );
        }
    }
}
