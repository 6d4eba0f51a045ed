//! Reports made worse on purpose, and a reading of reports that shares nothing with the gate's: what of
//! them must not pass.
//!
//! A sound report's figures are those of its baseline. [`claims`] says what of a changed one is beyond a
//! limit, unmeasured, or a request that was not served. Of some blocks only, coherently changed, it says
//! nothing: there the gate weighs blocks against each other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};

use crate::common::encode;

/// A gated figure, and the most that it may be of the baseline's.
const LIMITS: [(&str, f64); 4] = [
    ("latency_p95_ms", 1.15),
    ("latency_p99_ms", 1.20),
    ("rps", 0.90),
    ("mem_mb_total_erlang", 1.15),
];

const COUNTS: [&str; 2] = ["errors_total", "backpressure_active_total"];

/// What a request may come to besides an answer.
const UNSERVED: [&str; 4] = ["error", "timeout", "rejected", "skipped"];

/// Of a merged report.
const MACHINES: usize = 2;

const PHASES: [&str; 2] = ["throughput", "latency"];

/// Beyond a limit by more than what is lost in rounding.
fn is_beyond(metric: &str, sound: f64, now: f64) -> bool {
    let (_, limit) = LIMITS.into_iter().find(|(name, _)| *name == metric).unwrap();
    match metric {
        "rps" => now < sound * limit * 0.999,
        _ => now > sound * limit * 1.001,
    }
}

/// Whose report it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Side {
    /// What is judged.
    Candidate,
    /// What it is judged by: a measure that is worse as a whole is another measure, and no fault.
    Measure,
}

/// Why this must not pass, where the sound report does.
pub(crate) fn claims(side: Side, sound: &Value, now: &Value) -> Vec<String> {
    let mut claims = of_run(side, sound, now);
    let headline = |report: &Value, metric: &str| report["metrics"][metric].as_f64();
    for metric in COUNTS {
        if headline(now, metric) != Some(0.0) {
            claims.push(format!("{metric} is {}", now["metrics"][metric]));
        }
    }
    let blocks = sound["blocks"].as_array();
    for (metric, _) in LIMITS {
        match headline(now, metric) {
            None => claims.push(format!("there is no {metric}")),
            Some(figure) if blocks.is_none() => {
                if is_beyond(metric, headline(sound, metric).unwrap(), figure) {
                    claims.push(format!("{metric} is {figure}"));
                }
            }
            Some(_) => {}
        }
    }
    claims.extend(of_accounting(side, "the report", &now["accounting"]));
    let Some(blocks) = blocks else { return claims };
    let Some(blocks_now) = now["blocks"].as_array().filter(|now| now.len() == blocks.len()) else {
        claims.push("blocks are gone".to_owned());
        return claims;
    };
    for (metric, _) in LIMITS {
        claims.extend(of_metric(side, metric, sound, now, blocks, blocks_now));
    }
    for (index, block) in blocks_now.iter().enumerate() {
        let mut claim = |text: String| claims.push(format!("block {}: {text}", index + 1));
        of_accounting(side, "it", &block["accounting"]).into_iter().for_each(&mut claim);
        for (metric, counter) in COUNTS.into_iter().zip(["errors", "backpressure"]) {
            if block["metrics"][metric].as_f64() != Some(0.0) {
                claim(format!("{metric} is {}", block["metrics"][metric]));
            }
            if block[counter]["router"].as_u64() != Some(0) {
                claim(format!("the router's {counter} are {}", block[counter]["router"]));
            }
        }
        if block["errors"].get("driver").is_some_and(|driver| driver.as_u64() != Some(0)) {
            claim("the driver saw errors".to_owned());
        }
        let samples = block["latency"]["response_time"]["count"].as_u64();
        if samples.is_none_or(|samples| samples < 20_000) {
            claim(format!("{samples:?} samples"));
        }
    }
    claims
}

fn of_run(side: Side, sound: &Value, now: &Value) -> Vec<String> {
    let run = &now["run"];
    let status = run.get("status").map_or("complete", |status| status.as_str().unwrap_or("none"));
    let of_blocks = ["complete", "insufficient_samples", "generator_limited"];
    let sound_statuses =
        if sound.get("blocks").is_some() { &of_blocks[..] } else { &of_blocks[..1] };
    let mut claims = Vec::new();
    let code = run.get("ct_exit_code").map(|code| code.as_f64());
    // A frozen report need not say it.
    if code != Some(Some(0.0)) && (side == Side::Candidate || code.is_some()) {
        claims.push(format!("the test run ended with {}", run["ct_exit_code"]));
    }
    if !sound_statuses.contains(&status) {
        claims.push(format!("the run is {status}"));
    }
    if run.get("planted_fault").is_some() {
        claims.push("a fault was planted".to_owned());
    }
    if !now["git"]["commit"].is_string() {
        claims.push("no commit is named".to_owned());
    }
    claims
}

/// Requests that were not served, where there is an accounting.
fn of_accounting(side: Side, whose: &str, accounting: &Value) -> Vec<String> {
    let mut claims = Vec::new();
    for phase in PHASES {
        let of_phase = &accounting[phase];
        // Errors and timeouts have a metric of their own.
        let told = if side == Side::Measure { &UNSERVED[..2] } else { &UNSERVED[..] };
        for outcome in told {
            // Of what the router refuses, one in 10,000 is within its limit.
            let is_limited =
                *outcome == "rejected" || (*outcome == "skipped" && phase == "throughput");
            let most = of_phase["offered"].as_u64().filter(|_| is_limited).unwrap_or(0) / 10_000;
            if of_phase
                .get(outcome)
                .is_some_and(|count| count.as_u64().is_none_or(|count| count > most))
            {
                claims.push(format!("{whose} has {outcome} {} in {phase}", of_phase[outcome]));
            }
        }
        let outcomes =
            ["ok", "error", "timeout", "rejected", "skipped"].map(|key| of_phase[key].as_u64());
        let sum = outcomes.into_iter().flatten().try_fold(0_u64, u64::checked_add);
        if sum != Some(of_phase["offered"].as_u64().unwrap_or(0)) {
            claims.push(format!("{whose} does not account for every request in {phase}"));
        }
    }
    claims
}

/// Where figures of one metric stand in a block: those of its slices, and those of the block as a whole.
fn of_metric(
    side: Side,
    metric: &str,
    sound: &Value,
    now: &Value,
    then: &[Value],
    blocks: &[Value],
) -> Vec<String> {
    let mut claims = Vec::new();
    let count = |of: &dyn Fn(&Value, usize) -> Option<f64>,
                 claims: &mut Vec<String>,
                 place: &str| {
        let mut beyond = 0;
        for index in 0..blocks.len() {
            match (of(&then[index], index), of(&blocks[index], index)) {
                (Some(_), None) => {
                    claims.push(format!("block {}: no {metric} in {place}", index + 1))
                }
                (Some(sound), Some(now)) => beyond += usize::from(is_beyond(metric, sound, now)),
                (None, _) => {}
            }
        }
        beyond
    };
    let stated = count(&|block, _| block["metrics"][metric].as_f64(), &mut claims, "metrics");
    let measured = count(&|block, _| measured(metric, block), &mut claims, "what was measured");
    let all = blocks.len();
    let is_judged = side == Side::Candidate;
    if stated != measured || (measured == all && is_judged) {
        claims.push(format!(
            "{metric} of {stated} blocks, measured in {measured}, is beyond its limit"
        ));
    }
    let of_headline = |report: &Value| report["metrics"][metric].as_f64();
    if let (Some(sound), Some(now)) = (of_headline(sound), of_headline(now))
        && is_beyond(metric, sound, now)
        && measured == 0
    {
        claims.push(format!("{metric} is {now}, which no block measured"));
    }
    let Some(percentile) = percentile(metric) else { return claims };
    let whole = |block: &Value, _| block["latency"]["response_time"][percentile].as_f64();
    let whole = count(&whole, &mut claims, "the whole block");
    if now.get("histograms").is_none() {
        if whole == all && is_judged {
            claims
                .push(format!("{percentile} of every whole block is beyond the limit of {metric}"));
        }
        return claims;
    }
    let (before, after) = (distributions(sound), distributions(now));
    let quantile = if metric == "latency_p95_ms" { 0.95 } else { 0.99 };
    let of = |found: &[Option<Histogram<u64>>], index: usize| {
        found.get(index)?.as_ref().map(|times| times.value_at_quantile(quantile) as f64)
    };
    let mut beyond = 0;
    for index in 0..all {
        match (of(&before, index), of(&after, index)) {
            (Some(sound), Some(now)) => beyond += usize::from(is_beyond(metric, sound, now)),
            _ => claims.push(format!("block {}: no distribution to read", index + 1)),
        }
    }
    if whole != beyond || (whole == all && is_judged) {
        claims
            .push(format!("{percentile} of {whole} whole blocks, {beyond} by their distribution"));
    }
    claims
}

fn percentile(metric: &str) -> Option<&'static str> {
    match metric {
        "latency_p95_ms" => Some("p95_ns"),
        "latency_p99_ms" => Some("p99_ns"),
        _ => None,
    }
}

/// What a block measured of a metric, in the metric's own unit.
fn measured(metric: &str, block: &Value) -> Option<f64> {
    let column = |slices: &Value, key: &str| -> Option<Vec<f64>> {
        slices[key].as_array()?.iter().map(Value::as_f64).collect()
    };
    match (metric, percentile(metric)) {
        // Of several machines all slices together are what there is.
        (_, Some(percentile)) if block.get("machines").is_some() => {
            block["latency"]["response_time"][percentile].as_f64().map(|ns| ns / 1e6)
        }
        ("rps", _) if block.get("machines").is_some() => {
            let of_machine = |machine: &Value| {
                let ok = machine["accounting"]["throughput"]["ok"].as_f64()?;
                Some(ok / machine["throughput"]["duration_ns"].as_f64()? * 1e9)
            };
            block["machines"].as_array()?.iter().map(of_machine).sum()
        }
        (_, Some(percentile)) => {
            median(column(&block["latency"]["slices"], percentile)?).map(|ns| ns / 1e6)
        }
        ("rps", _) => {
            let slices = &block["throughput"]["slices"];
            let rows = column(slices, "ok")?.into_iter().zip(column(slices, "duration_ns")?);
            median(rows.map(|(ok, ns)| ok / ns * 1e9).collect())
        }
        _ => block["memory"]["peak_bytes"].as_f64().map(|bytes| bytes / 1_048_576.0),
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() % 2 {
        1 => figures.get(middle).copied(),
        _ => Some(f64::midpoint(*figures.get(middle.checked_sub(1)?)?, *figures.get(middle)?)),
    }
}

/// The response times of each block, as far as they can be read.
fn distributions(report: &Value) -> Vec<Option<Histogram<u64>>> {
    let histograms = report["histograms"].as_array();
    let blocks = report["blocks"].as_array().map_or(0, Vec::len);
    let of_block = |number: usize| {
        let one = histograms?.iter().find(|one| {
            one["block"].as_u64() == Some(number as u64) && one["quantity"] == "response_time"
        })?;
        decoded(one["data"].as_str()?)
    };
    (1..=blocks).map(of_block).collect()
}

fn plain(data: &str) -> Option<Vec<u8>> {
    let compressed = STANDARD.decode(data).ok()?;
    let mut plain = Vec::new();
    ZlibDecoder::new(compressed.get(8..)?).take(1 << 20).read_to_end(&mut plain).ok()?;
    Some(plain)
}

fn decoded(data: &str) -> Option<Histogram<u64>> {
    let plain = plain(data)?;
    // The decoder believes its header: it takes as much memory as that says, and panics.
    let word = |at: usize| Some(u32::from_be_bytes(*plain.get(at..)?.first_chunk()?));
    if word(4)? as usize != plain.len().checked_sub(40)? || word(12)? != 3 {
        return None;
    }
    let decode = || Deserializer::new().deserialize(&mut plain.as_slice()).ok();
    std::panic::catch_unwind(decode).ok().flatten()
}

fn packed(plain: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    let compressed = encoder.finish().unwrap();
    let head = [0x1c84_9314_u32.to_be_bytes(), (compressed.len() as u32).to_be_bytes()].concat();
    STANDARD.encode([head, compressed].concat())
}

/// Makes a report worse once, or contradict itself, and says how.
pub(crate) fn worsen(report: &mut Value, rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0..=3 => worsen_figure(report, rng),
        4 => fail_requests(report, rng),
        5 => unseal(report, rng),
        6 => damage_distribution(report, rng),
        _ => lose_blocks(report, rng),
    }
}

/// Where a figure stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Headline,
    Blocks,
    Measured,
    Whole,
    Distribution,
}

const PLACES: [Place; 5] =
    [Place::Headline, Place::Blocks, Place::Measured, Place::Whole, Place::Distribution];

/// Beyond its limit in some places, or in all of them alike.
fn worsen_figure(report: &mut Value, rng: &mut Rng) -> String {
    let (metric, limit) = LIMITS[rng.usize(..LIMITS.len())];
    let further = [1.01, 1.1, 2.0, 1000.0][rng.usize(..4)];
    let factor = if metric == "rps" { limit / further } else { limit * further };
    let chosen: Vec<_> = match rng.u8(..3) {
        0 => PLACES.to_vec(),
        1 => vec![PLACES[rng.usize(..5)]],
        _ => PLACES.into_iter().filter(|_| rng.bool()).collect(),
    };
    if chosen.contains(&Place::Headline) {
        scale(report.pointer_mut(&format!("/metrics/{metric}")), factor);
    }
    let count = report["blocks"].as_array().map_or(0, Vec::len);
    // What all places say of some blocks is for the gate to weigh, and no claim.
    let some = chosen.len() < PLACES.len() && rng.bool();
    for index in (0..count).filter(|_| !some || rng.bool()).collect::<Vec<_>>() {
        for place in &chosen {
            worsen_block(report, index, metric, factor, *place);
        }
    }
    format!("{metric} times {factor} in {chosen:?}{}", if some { " of some blocks" } else { "" })
}

fn worsen_block(report: &mut Value, index: usize, metric: &str, factor: f64, place: Place) {
    let Some(block) = report.pointer_mut(&format!("/blocks/{index}")) else { return };
    match (place, percentile(metric)) {
        (Place::Headline, _) => {}
        (Place::Blocks, _) => scale(block.pointer_mut(&format!("/metrics/{metric}")), factor),
        (Place::Measured, Some(percentile)) => {
            scale(block.pointer_mut(&format!("/latency/slices/{percentile}")), factor);
        }
        (Place::Measured, None) if metric == "rps" => {
            scale(block.pointer_mut("/throughput/slices/duration_ns"), 1.0 / factor);
            scale(block.pointer_mut("/throughput/duration_ns"), 1.0 / factor);
            for machine in 0..MACHINES {
                let at = format!("/machines/{machine}/throughput/duration_ns");
                scale(block.pointer_mut(&at), 1.0 / factor);
            }
        }
        (Place::Measured, None) => {
            scale(block.pointer_mut("/memory/peak_bytes"), factor);
            for machine in 0..MACHINES {
                scale(block.pointer_mut(&format!("/machines/{machine}/memory/peak_bytes")), factor);
            }
        }
        (Place::Whole, Some(percentile)) => {
            scale(block.pointer_mut(&format!("/latency/response_time/{percentile}")), factor);
        }
        (Place::Distribution, Some(_)) => {
            let at = format!("/histograms/{index}/data");
            let Some(data) = report.pointer_mut(&at) else { return };
            let Some(times) = data.as_str().and_then(decoded) else { return };
            let mut slower = Histogram::<u64>::new_with_bounds(1, 60_000_000_000_000, 3).unwrap();
            for step in times.iter_recorded() {
                let ns = (step.value_iterated_to() as f64 * factor) as u64;
                slower.saturating_record_n(ns, step.count_at_value());
            }
            *data = json!(encode(&slower));
        }
        (Place::Whole | Place::Distribution, None) => {}
    }
}

/// Multiplies a number, or each of a list; counts stay counts.
fn scale(value: Option<&mut Value>, factor: f64) {
    match value {
        Some(Value::Array(items)) => items.iter_mut().for_each(|item| scale(Some(item), factor)),
        Some(number) => {
            *number = match (number.as_u64(), number.as_f64()) {
                (Some(count), _) => json!((count as f64 * factor) as u64),
                (None, Some(figure)) => json!(figure * factor),
                (None, None) => return,
            }
        }
        None => {}
    }
}

/// Requests that were not served, told in some places or in all that must agree.
fn fail_requests(report: &mut Value, rng: &mut Rng) -> String {
    let (phase, outcome) = (PHASES[rng.usize(..2)], UNSERVED[rng.usize(..4)]);
    let count = [1, 100, 20_000][rng.usize(..3)];
    let blocks = report["blocks"].as_array().map_or(0, Vec::len) as u64;
    let is_offered = rng.u8(..4) > 0;
    let is_summed = rng.u8(..4) > 0;
    let tell = |of_phase: Option<&mut Value>, count: u64| {
        let Some(of_phase) = of_phase.filter(|of_phase| of_phase.is_object()) else { return };
        for key in [outcome, "offered"] {
            if key == outcome || is_offered {
                of_phase[key] = json!(of_phase[key].as_u64().unwrap_or(0).saturating_add(count));
            }
        }
    };
    for index in 0..blocks {
        tell(report.pointer_mut(&format!("/blocks/{index}/accounting/{phase}")), count);
    }
    if is_summed {
        tell(report.pointer_mut(&format!("/accounting/{phase}")), count * blocks);
    }
    let counter = if rng.bool() { "errors" } else { "backpressure" };
    let who = if rng.bool() { "driver" } else { "router" };
    let is_counted = rng.u8(..3) == 0;
    if is_counted && blocks > 0 {
        let at = format!("/blocks/{}/{counter}", rng.u64(..blocks));
        if let Some(counter) = report.pointer_mut(&at).filter(|counter| counter.is_object()) {
            counter[who] = json!(count);
        }
    }
    format!(
        "{count} times {outcome} in {phase} of each block{}{}{}",
        if is_offered { ", offered" } else { "" },
        if is_summed { ", summed" } else { "" },
        if is_counted { format!(", {counter} of the {who}") } else { String::new() }
    )
}

/// What a run says of itself.
fn unseal(report: &mut Value, rng: &mut Rng) -> String {
    let statuses = [
        "failed",
        "interrupted",
        "unfinished",
        "insufficient_samples",
        "generator_limited",
        "fine",
    ];
    let Some(run) = report.get_mut("run").filter(|run| run.is_object()) else {
        return "nothing".to_owned();
    };
    match rng.u8(..4) {
        0 => run["status"] = json!(statuses[rng.usize(..statuses.len())]),
        1 => run["ct_exit_code"] = json!([1, -1, 255][rng.usize(..3)]),
        2 => run["planted_fault"] = json!("delay_us=200"),
        _ => drop(run.as_object_mut().unwrap().remove("ct_exit_code")),
    }
    format!("the run is {run}")
}

/// A distribution whose inside is damaged and whose wrapping is sound.
fn damage_distribution(report: &mut Value, rng: &mut Rng) -> String {
    let count = report["histograms"].as_array().map_or(0, Vec::len);
    let index = rng.usize(..=count);
    let data = report.pointer_mut(&format!("/histograms/{index}/data"));
    let Some((data, mut bytes)) = data.and_then(|data| {
        let bytes = plain(data.as_str()?)?;
        Some((data, bytes))
    }) else {
        return "nothing".to_owned();
    };
    let at = if rng.bool() { rng.usize(..40.min(bytes.len())) } else { rng.usize(..bytes.len()) };
    let end = (at + [1, 1, 4, 9][rng.usize(..4)]).min(bytes.len());
    let byte = [0, 1, 0x7f, 0x80, 0xff, rng.u8(..)][rng.usize(..6)];
    bytes[at..end].fill(byte);
    *data = json!(packed(&bytes));
    format!("{byte} from byte {at} to {end} inside distribution {index}")
}

fn lose_blocks(report: &mut Value, rng: &mut Rng) -> String {
    let count = report["blocks"].as_array().map_or(0, Vec::len);
    let Some(entries) = report.as_object_mut() else { return "nothing".to_owned() };
    match rng.u8(..4) {
        0 => {
            let keys = ["blocks", "histograms", "accounting", "pairing"];
            let gone: Vec<_> = keys.into_iter().filter(|_| rng.bool()).collect();
            gone.iter().for_each(|key| drop(entries.remove(*key)));
            format!("without {}", gone.join(", "))
        }
        _ if count == 0 => "nothing".to_owned(),
        1 => {
            let kept = rng.usize(..count);
            for key in ["blocks", "histograms"] {
                if let Some(items) = report[key].as_array_mut() {
                    items.truncate(kept);
                }
            }
            format!("only {kept} blocks")
        }
        2 => {
            let (one, other) = (rng.usize(..count), rng.usize(..count));
            report["blocks"].as_array_mut().unwrap().swap(one, other);
            format!("blocks {one} and {other} swapped")
        }
        _ => {
            let keys = ["metrics", "accounting", "throughput", "latency", "memory", "errors"];
            let key = keys[rng.usize(..keys.len())];
            let index = rng.usize(..count);
            if let Some(block) = report["blocks"][index].as_object_mut() {
                block.remove(key);
            }
            format!("block {index} without {key}")
        }
    }
}
