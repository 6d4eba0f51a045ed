//! No PASS for a report whose figures or accounting were made worse, or are not measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cp1_format::{
    Document, Outcome as Verdict, Policy, ReadError, Report, Verdict as Answer, parse, to_json,
};
use fastrand::Rng;
use perf_gate::artifacts::{self, Artifact, Stamp};
use perf_gate::judge::verdict::decide;
use perf_gate::read::inputs::{Inputs, Source};
use perf_gate::render::{self, Shown};
use serde_json::{Value, json};

use crate::campaign::{self, Outcome, Target, Trial};
use crate::common::showcase::looks_green;
use crate::common::{full_of, minimal, pair, policy};
use crate::two_machines::two_machines;
use crate::worse::Side;
use crate::{damage, worse};

/// What is judged against what.
#[derive(Debug, Clone)]
struct Scene {
    baseline: Value,
    replay: Option<Value>,
    candidate: Value,
}

/// Judges the files of a trial.
type Judge = fn(&Trial) -> Result<Option<Verdict>, String>;

#[derive(Debug)]
struct Worsened {
    scenes: Vec<Scene>,
    judge: Judge,
}

impl Worsened {
    fn judged_by(judge: Judge) -> Self {
        let later = |mut report: Value| {
            report["timestamp"] = json!("2026-01-31T13:00:00Z");
            report
        };
        let side = |role: &str| {
            let mut report = later(full_of(9, 20_000));
            pair(&mut report, role);
            report
        };
        let (full, merged) = (full_of(3, 20_000), two_machines(3));
        let scenes = vec![
            Scene { baseline: minimal(), replay: None, candidate: later(minimal()) },
            Scene { baseline: full.clone(), replay: None, candidate: later(full.clone()) },
            Scene { baseline: full, replay: Some(side("frozen")), candidate: side("candidate") },
            Scene { baseline: merged.clone(), replay: None, candidate: later(merged) },
        ];
        Self { scenes, judge }
    }

    fn scene(&self, choice: u64) -> &Scene {
        &self.scenes[(choice % self.scenes.len() as u64) as usize]
    }
}

impl Target for Worsened {
    fn name(&self) -> &'static str {
        "verdicts"
    }

    fn make(&self, choice: u64, steps: &[u64]) -> Trial {
        let Scene { baseline, replay, mut candidate } = self.scene(choice).clone();
        // What the candidate is measured by is not edited by who wrote it; it may be damaged.
        let mut measure = replay.clone().unwrap_or_else(|| baseline.clone());
        let (mut done, mut cuts) = (Vec::new(), Vec::new());
        for step in steps {
            let rng = &mut Rng::with_seed(*step);
            let is_measure = choice.is_multiple_of(5) && measure.get("blocks").is_some();
            let (name, side) = match is_measure {
                true => ("the measure", &mut measure),
                false => ("the candidate", &mut candidate),
            };
            let what = match rng.u8(..8) {
                0 => {
                    cuts.push((is_measure, rng.u64(..)));
                    continue;
                }
                1 | 2 => damage::of_json(side, rng),
                _ => worse::worsen(side, rng),
            };
            done.push(format!("{name}: {what}"));
        }
        let (mut candidate, mut measure) = (bytes(&candidate), bytes(&measure));
        for (is_measure, cut) in cuts {
            let side = if is_measure { &mut measure } else { &mut candidate };
            done.push(damage::of_bytes(side, &mut Rng::with_seed(cut)));
        }
        let mut files = vec![("policy.json", bytes(&policy())), ("candidate.json", candidate)];
        match replay {
            Some(_) => {
                files.extend([("baseline.json", bytes(&baseline)), ("replay.json", measure)])
            }
            None => files.push(("baseline.json", measure)),
        }
        Trial { choice, files, done }
    }

    fn judge(&self, trial: &Trial) -> Outcome {
        let Some(verdict) = (self.judge)(trial)? else { return Ok("refused".to_owned()) };
        if verdict == Verdict::Pass {
            let scene = self.scene(trial.choice);
            let measure = scene.replay.as_ref().unwrap_or(&scene.baseline);
            let name = if scene.replay.is_some() { "replay.json" } else { "baseline.json" };
            let mut claims = read(trial, Side::Candidate, "candidate.json", &scene.candidate);
            // A report without blocks is what its measure says it is.
            if measure.get("blocks").is_some() {
                claims.extend(read(trial, Side::Measure, name, measure));
            }
            if !claims.is_empty() {
                return Err(format!("PASS, although {}", claims.join(", ")));
            }
        }
        Ok(format!("{verdict:?}").to_lowercase())
    }
}

fn bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(document).unwrap()
}

/// What of a file must not pass.
fn read(trial: &Trial, side: Side, name: &str, sound: &Value) -> Vec<String> {
    match serde_json::from_slice(trial.file(name).unwrap()) {
        Ok(now) => worse::claims(side, sound, &now),
        Err(error) => vec![format!("{name} is no JSON: {error}")],
    }
}

fn document<T: Document>(trial: &Trial, name: &str) -> Option<Result<Source<T>, ReadError>> {
    let bytes = trial.file(name)?;
    let source = |document| Source { path: name.to_owned(), document: Some(document) };
    Some(parse(Path::new(name), bytes).map(source))
}

/// The gate itself, with all that it would print and write. `None` where a file is refused.
fn gate(trial: &Trial) -> Result<Option<Verdict>, String> {
    let (Ok(baseline), Ok(candidate), Ok(policy)) = (
        document::<Report>(trial, "baseline.json").unwrap(),
        document::<Report>(trial, "candidate.json").unwrap(),
        document::<Policy>(trial, "policy.json").unwrap(),
    ) else {
        return Ok(None);
    };
    let Ok(replay) = document::<Report>(trial, "replay.json").transpose() else { return Ok(None) };
    let (problems, notices) = (Vec::new(), Vec::new());
    let inputs = Inputs {
        baseline,
        candidate,
        replay,
        policy,
        rule_lines: BTreeMap::new(),
        waivers: None,
        problems,
        notices,
    };
    let verdict = decide(&inputs);
    shown(&verdict)?;
    page(&Shown::new(&verdict, &inputs))?;
    Ok(Some(verdict.outcome))
}

/// What a verdict becomes says nothing to a terminal, looks green where it is PASS alone, and is read again as
/// what it was.
fn shown(verdict: &Answer) -> Result<(), String> {
    let shown = Shown::alone(verdict);
    let files =
        artifacts::of(&shown, &Stamp::new(None, None)).map_err(|error| error.to_string())?;
    for Artifact { name, content } in &files {
        if let Some(found) = content.chars().find(|found| found.is_control() && *found != '\n') {
            return Err(format!("{found:?} reaches the reader of {name}"));
        }
    }
    for (format, is_green) in looks_green(&shown) {
        if is_green != (verdict.outcome == Verdict::Pass) {
            return Err(format!("{:?} looks otherwise in {format}", verdict.outcome));
        }
    }
    let json = to_json(verdict).map_err(|error| error.to_string())?;
    let again: Answer = parse(Path::new("verdict.json"), json.as_bytes())
        .map_err(|error| format!("a verdict cannot be read again: {error}"))?;
    if again == *verdict { Ok(()) } else { Err("a verdict is read again as another".to_owned()) }
}

/// A page says nothing that steers a browser, has only figures that are some, and is small.
pub(crate) fn page(shown: &Shown<'_>) -> Result<(), String> {
    let page = render::html::render(shown);
    if let Some(found) = page.chars().find(|found| found.is_control() && *found != '\n') {
        return Err(format!("{found:?} reaches the browser"));
    }
    // A text of a file may be called so; its quotes are escaped, so that it is no attribute.
    let places =
        ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "d", "points"];
    for place in places {
        for number in ["NaN", "MNaN", "inf", "-inf", "Minf"] {
            let drawn = format!(" {place}=\"{number}");
            if page.contains(&drawn) {
                return Err(format!("{drawn} is no place"));
            }
        }
    }
    if page.len() < 1024 * 1024 { Ok(()) } else { Err(format!("a page of {} bytes", page.len())) }
}

#[test]
fn nothing_passes_that_was_made_worse_or_is_not_measured() {
    campaign::run(&Worsened::judged_by(gate));
}

#[test]
fn the_sound_reports_pass() {
    let target = Worsened::judged_by(gate);
    for choice in 0..target.scenes.len() as u64 {
        assert_eq!(target.judge(&target.make(choice, &[])), Ok("pass".to_owned()));
    }
}

/// A judge that looks at headlines alone.
fn credulous(trial: &Trial) -> Result<Option<Verdict>, String> {
    let figures = |name: &str| -> Option<Value> {
        let report: Value = serde_json::from_slice(trial.file(name)?).ok()?;
        Some(report["metrics"].clone())
    };
    let is_same =
        figures("candidate.json").is_some_and(|now| Some(now) == figures("baseline.json"));
    Ok(is_same.then_some(Verdict::Pass))
}

#[test]
fn a_judge_that_looks_at_headlines_alone_is_found_out_with_one_step() {
    let found = campaign::search(&Worsened::judged_by(credulous), Duration::from_secs(120));
    let fault = found.expect_err("a lie in the blocks");
    assert_eq!(fault.done.len(), 1, "{fault:?}");
    assert!(fault.message.starts_with("PASS, although "), "{fault:?}");
    assert!(fault.kept.join("candidate.json").exists());
    std::fs::remove_dir_all(fault.kept).unwrap();
}
