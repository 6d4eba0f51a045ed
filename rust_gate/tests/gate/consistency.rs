//! A report that contradicts itself was edited, or written by a broken benchmark: never a pass.

use crate::common::{Room, encode, full, full_of, minimal, remove, set};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use proptest::prelude::*;
use serde_json::{Value, json};

#[track_caller]
fn refused(change: impl Fn(&mut Value), said: &[&str]) {
    for file in ["candidate.json", "baseline.json"] {
        let room = Room::with(&full());
        room.change(file, &change);
        room.check().is_invalid(&[&[file], said].concat());
    }
}

#[test]
fn a_headline_that_its_blocks_do_not_give_is_refused() {
    for (metric, figure, said) in [
        ("latency_p95_ms", json!(0.676), "0.676 is not the median over the blocks"),
        ("rps", json!(51200), "51200 is not the median over the blocks"),
        ("mem_mb_total_erlang", json!(31.4), "31.4 is not the median over the blocks"),
        ("errors_total", json!(1), "1 is not the sum over the blocks"),
        ("backpressure_active_total", json!(1), "1 is not the sum over the blocks"),
    ] {
        let place = format!("metrics.{metric}");
        refused(|report| set(report, &place, figure.clone()), &[&place, said]);
    }
}

#[test]
fn a_report_of_the_bench_whose_blocks_are_gone_is_refused() {
    let gone = |keys: &'static [&str]| {
        move |report: &mut Value| keys.iter().for_each(|key| remove(report, key))
    };
    let said = ["a report of the bench has blocks, and there is none"];
    refused(gone(&["blocks", "histograms", "accounting"]), &said);
    refused(gone(&["blocks", "histograms", "accounting", "load"]), &said);
    refused(gone(&["blocks", "histograms", "accounting", "schema"]), &said);
}

#[test]
fn the_median_of_an_even_number_of_blocks_is_the_mean_of_the_middle_two() {
    for blocks in [1, 2, 4, 5] {
        Room::with(&full_of(blocks, 20_000)).check().is(0, &[]);
    }
    let room = Room::with(&full_of(2, 20_000));
    let of_one = serde_json::from_str::<Value>(&room.text("candidate.json")).unwrap()["blocks"][0]
        ["metrics"]["latency_p95_ms"]
        .clone();
    room.set("candidate.json", "metrics.latency_p95_ms", of_one);
    room.check().is_invalid(&["metrics.latency_p95_ms"]);
}

#[test]
fn a_blocks_figure_that_its_measurements_do_not_give_is_refused() {
    for (path, value) in [
        ("blocks.0.metrics.latency_p95_ms", json!(0.6)),
        ("blocks.0.metrics.latency_p99_ms", json!(0.6)),
        ("blocks.2.metrics.rps", json!(51000)),
        ("blocks.2.metrics.mem_mb_total_erlang", json!(31.4)),
        ("blocks.1.metrics.errors_total", json!(1)),
        ("blocks.1.metrics.backpressure_active_total", json!(1)),
        ("blocks.1.latency.response_time.count", json!(24_999)),
        ("blocks.1.throughput.service_time.count", json!(49_999)),
        ("blocks.1.throughput.slices.ok", json!([25_000, 25_001])),
        ("blocks.1.latency.slices.ok", json!([1, 2])),
        ("blocks.1.errors.driver", json!(1)),
    ] {
        let place = path.replacen(".0.", "[0].", 1).replacen(".1.", "[1].", 1);
        let place = place.replacen(".2.", "[2].", 1);
        refused(|report| set(report, path, value.clone()), &[&place]);
    }
}

#[test]
fn errors_that_only_the_router_saw_count() {
    refused(
        |report| set(report, "blocks.0.errors.router", json!(4)),
        &["blocks[0].metrics.errors_total", "0 is not the 4 that driver or router saw"],
    );
}

#[test]
fn a_headline_that_every_block_measured_is_not_left_out() {
    for file in ["baseline.json", "candidate.json"] {
        let room = Room::with(&full());
        room.change(file, |report| {
            report["metrics"].as_object_mut().unwrap().remove("errors_total");
        });
        let message = "every block measured this figure, and it is missing";
        room.check().is(2, &["metrics.errors_total", message]);
    }
}

#[test]
fn a_counter_that_the_router_cannot_read_gives_no_figure() {
    refused(
        |report| remove(report, "blocks.0.errors.router"),
        &["blocks[0].metrics.errors_total", "no figure"],
    );
    refused(
        |report| remove(report, "blocks.0.backpressure.router"),
        &["blocks[0].metrics.backpressure_active_total", "no figure"],
    );
    refused(
        |report| remove(report, "blocks.0.latency.slices.p99_ns"),
        &["blocks[0].metrics.latency_p99_ms", "the slices have no p99_ns"],
    );
    refused(
        |report| remove(report, "blocks.0.metrics.errors_total"),
        &["metrics.errors_total", "a block did not measure this figure"],
    );
    // Without it nobody knows whose lateness a percentile shows.
    refused(
        |report| remove(report, "blocks.0.latency.dispatch_lag.p99_ns"),
        &["blocks[0].latency.dispatch_lag", "there is no p99_ns"],
    );
    refused(
        |report| remove(report, "blocks.0.latency.response_time.p99_ns"),
        &["blocks[0].metrics.latency_p99_ms", "the times of all slices together have no p99_ns"],
    );
}

#[test]
fn a_block_that_is_left_out_is_missed() {
    refused(
        |report| {
            report["blocks"].as_array_mut().unwrap().pop();
        },
        &["blocks", "3 blocks were planned, 2 are here", "accounting"],
    );
    refused(|report| set(report, "blocks", json!([])), &["there is no block"]);
}

#[test]
fn the_accounting_is_the_sum_of_the_blocks() {
    refused(
        |report| {
            set(report, "accounting.latency.timeout", json!(1));
            set(report, "accounting.latency.offered", json!(75_001));
        },
        &["accounting", "not the sum"],
    );
}

#[test]
fn of_thousands_of_contradictions_the_first_are_listed() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| {
        let mut block = report["blocks"][0].clone();
        block["metrics"]["rps"] = json!(1);
        let blocks = (1..=1000).map(|number| {
            block["block"] = json!(number);
            block.clone()
        });
        report["blocks"] = blocks.collect();
    });
    let answer = room.check();
    answer.is_invalid(&["more contradictions are not listed"]);
    assert!(answer.stdout.len() < 10_000);
}

fn changed_histogram(report: &mut Value, histogram: &Histogram<u64>) {
    set(report, "histograms.1.data", json!(encode(histogram)));
}

#[test]
fn a_percentile_that_its_histogram_does_not_give_is_refused() {
    let mut other = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    other.record_n(900_000, 25_000).unwrap();
    refused(|report| changed_histogram(report, &other), &["histograms[1]", "p95_ns is 900"]);
    other.record(1).unwrap();
    refused(|report| changed_histogram(report, &other), &["histograms[1]", "25001 samples"]);
}

#[test]
fn every_block_has_its_response_times_once() {
    refused(
        |report| {
            report["histograms"].as_array_mut().unwrap().pop();
        },
        &["histograms", "response times of block 3 are missing"],
    );
    refused(|report| set(report, "histograms.1.block", json!(1)), &["given twice"]);
    for (path, value) in [
        ("histograms.2.block", json!(0)),
        ("histograms.2.block", json!(4_000_000_000u32)),
        ("histograms.2.phase", json!("throughput")),
        ("histograms.2.unit", json!("ms")),
        ("histograms.2.encoding", json!("zstd")),
    ] {
        refused(|report| set(report, path, value.clone()), &["histograms[2]"]);
    }
    let room = Room::new();
    room.set("candidate.json", "histograms", full()["histograms"].clone());
    room.check().is_invalid(&["histograms[0]", "no such quantity in a block 1"]);
}

/// A compressed V2 histogram with a header and payload of choice.
fn forged(header: [u32; 10], payload: &[u8]) -> String {
    use std::io::Write as _;
    let mut plain: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    plain.extend(payload);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).unwrap();
    let compressed = encoder.finish().unwrap();
    let mut bytes = 0x1c84_9314u32.to_be_bytes().to_vec();
    bytes.extend((compressed.len() as u32).to_be_bytes());
    bytes.extend(compressed);
    STANDARD.encode(bytes)
}

/// 1 ns to 60 s with 3 digits and a ratio of 1.0, as the benchmark writes it.
const fn header(payload_bytes: u32) -> [u32; 10] {
    [0x1c84_9313, payload_bytes, 0, 3, 0, 1, 13, 0xf847_5800, 0x3ff0_0000, 0]
}

#[test]
fn a_histogram_that_would_crash_or_exhaust_the_decoder_is_refused() {
    let with = |place: usize, word: u32| {
        let mut words = header(1);
        words[place] = word;
        forged(words, &[2])
    };
    for data in [
        String::new(),
        "!".into(),
        "AAAA".into(),
        STANDARD.encode(b"\x1c\x84\x93\x14\xff\xff\xff\xff"),
        forged(header(u32::MAX), &[2]),
        forged(header(0), &[2]),
        // The one number that the decoder cannot negate.
        forged(header(9), &[0xff; 9]),
        forged(header(18), &[0xff; 18]),
        // A zero run and a count beyond the end.
        forged(header(9), &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        forged(header(10), &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
        // Two counts whose sum is beyond 64 bits.
        forged(header(27), &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f].repeat(3)),
        forged(header(2 << 20), &vec![2; 2 << 20]),
        with(0, 1),
        with(2, 1),
        with(3, 5),
        with(3, u32::MAX),
        with(4, u32::MAX),
        with(5, 0),
        with(6, u32::MAX),
        with(8, 0x7ff8_0000),
    ] {
        refused(|report| set(report, "histograms.1.data", json!(data)), &["histograms[1]"]);
    }
}

#[test]
fn a_sum_of_counts_beyond_64_bits_is_refused_even_if_the_block_says_the_same() {
    let largest = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let room = Room::with(&full_of(1, 20_000));
    room.change("candidate.json", |report| {
        set(report, "histograms.0.data", json!(forged(header(27), &largest.repeat(3))));
        for path in ["accounting.latency", "blocks.0.accounting.latency"] {
            set(report, &format!("{path}.ok"), json!(u64::MAX));
            set(report, &format!("{path}.offered"), json!(u64::MAX));
        }
        set(report, "blocks.0.latency.response_time.count", json!(u64::MAX));
        set(report, "blocks.0.latency.slices.ok", json!([u64::MAX, 0]));
        set(report, "blocks.0.latency.service_time.count", json!(u64::MAX));
    });
    room.check().is_invalid(&["1 problem,", "histograms[0]"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64), ones in 0..30usize) {
        let mut payload = payload;
        payload.splice(0..0, std::iter::repeat_n(0xff, ones));
        let data = forged(header(payload.len() as u32), &payload);
        let mut report = full_of(1, 100);
        set(&mut report, "histograms.0.data", json!(data));
        let bytes = serde_json::to_vec(&report).unwrap();
        let report = cp1_format::parse(std::path::Path::new("r"), &bytes).unwrap();
        prop_assert_eq!(perf_gate::judge::consistency::check("r", &report).len(), 1);
    }
}

#[test]
fn a_minimal_report_has_nothing_to_contradict() {
    Room::with(&minimal()).check().is(0, &[]);
}

/// One row for each check of the table of what cannot be, and what it says.
#[test]
fn what_cannot_be_is_refused_figure_by_figure() {
    let times = json!({"count": 50, "clamped": 0, "time_went_backwards": 0});
    let with = |key: &str, value: Value| {
        let mut times = times.clone();
        times["min_ns"] = json!(1_000_000);
        times[key] = value;
        times
    };
    let hiccups = |native: Value, beam: Value| json!({"hiccups": {"native": native, "beam": beam}});
    let vm = |key: &str, value: Value| json!({key: value, "sampler": {"lateness": {"ticks": 1}, "probes": []}});
    let reasons =
        |outcome: &str| json!([{"outcome": outcome, "reason": "r", "count": 1, "sample": "s"}]);
    for (path, value, said) in [
        ("latency.service_time.count", json!(24_999), "24999 samples of 25000"),
        ("latency.dispatch_lag.count", json!(0), "0 samples of 25000 requests that were sent"),
        ("latency.dispatch_lag.count", json!(25_001), "25001 samples of 25000"),
        ("latency.service_time.p95_ns", json!(1_000_000_000), "longer than the response time's"),
        ("throughput.service_time.clamped", json!(40_000), "40000 were beyond the range"),
        ("throughput.service_time.time_went_backwards", json!(40_000), "40000 ended before"),
        ("latency.response_time.p50_ns", json!(900_000_000), "percentiles fall"),
        ("latency.response_time.clamped", json!(26), "26 were beyond"),
        ("latency.dispatch_lag.max_ns", json!(1), "percentiles fall"),
        ("latency.dispatch_lag.min_ns", json!(1_000_000_000), "percentiles fall"),
        ("latency.service_time.clamped", json!(1000), "1000 were beyond"),
        ("evidence", hiccups(with("count", json!(0)), times.clone()), "nobody watched"),
        ("evidence", hiccups(times.clone(), with("mean_ns", json!(9))), "of 9 is beyond"),
        ("throughput.duration_ns", json!(1_000_000), "1000000 ns of a phase"),
        ("latency.duration_ns", json!(1_000_000), "planned for 5000 ms"),
        ("throughput.slices.duration_ns", json!([1, 2]), "3 ns in slices of a phase"),
        ("memory.samples", json!(0), "memory without a sample"),
        ("memory.end_bytes", json!(40_000_000), "40000000 is not from the smallest sample"),
        ("memory.min_bytes", json!(33_100_000), "is not from the smallest sample"),
        ("errors.driver", json!(25_000), "25000 are not the 0 errors and timeouts"),
        ("reasons", reasons("error"), "reasons of 1 errors, and 0 were counted"),
        ("reasons", reasons("timeout"), "reasons of 1 timeouts"),
        ("reasons", reasons("rejected"), "reasons of 1 rejections"),
        ("evidence", json!({"machine": {"steal_pct": 140}}), "140 % of all"),
        ("evidence", json!({"machine": {"other_cpu_pct": 140}}), "140 % of all"),
        ("vm", vm("scheduler_utilization_pct", json!({"normal": 140})), "140 % of all"),
        ("vm", vm("scheduler_utilization_pct", json!({"dirty": 140})), "140 % of all"),
        ("vm", vm("run_queue", json!({"mean": 3, "max": 2})), "3 is above the largest, 2"),
    ] {
        let place = format!("blocks.1.{path}");
        refused(|report| set(report, &place, value.clone()), &["blocks[1].", said]);
    }
    for (phase, said) in [("throughput", "skips nothing"), ("latency", "INCONCLUSIVE")] {
        let room = Room::with(&full());
        room.change("candidate.json", |report| {
            for (at, offered) in [("blocks.0.accounting", 25_000), ("accounting", 75_000)] {
                let offered = if phase == "throughput" { 2 * offered } else { offered } + 1;
                set(report, &format!("{at}.{phase}.skipped"), json!(1));
                set(report, &format!("{at}.{phase}.offered"), json!(offered));
            }
        });
        assert!(room.check().stdout.contains(said));
    }
}

#[test]
fn a_dispatcher_that_was_a_second_late_cannot_be_beside_answers_that_were_not() {
    refused(
        |report| {
            let latency = &mut report["blocks"][0]["latency"];
            latency["response_time"]["mean_ns"] = json!(450_000);
            latency["dispatch_lag"]["mean_ns"] = json!(1_000_000_000);
        },
        &["blocks[0].latency.dispatch_lag.mean_ns", "later than its requests took"],
    );
}

#[test]
fn a_loop_without_a_request_was_not_measured() {
    for loop_of in ["throughput", "latency"] {
        refused(
            |report| {
                report["blocks"][0]["accounting"][loop_of] = json!({"offered": 0, "ok": 0,
                    "error": 0, "timeout": 0, "rejected": 0, "skipped": 0});
            },
            &[&format!("blocks[0].accounting.{loop_of}"), "missing, or no request was made"],
        );
    }
}

#[test]
fn a_counter_that_fell_and_overtook_its_start_is_no_count() {
    let series = |name: &str, values: Value| json!([{"block": 2, "name": name, "unit": "count", "time_ms": [0, 5, 9], "values": values}]);
    for (name, values, said) in [
        ("errors_total", json!([3, 0, 3]), "errors_total: the counter fell"),
        ("backpressure_active_total", json!([3, 0, 4]), "the counter fell"),
        ("errors_total", json!([3, 4, 4]), "it grew by 1, and the block counted 0"),
        ("memory_total", json!([31_000_000, 99_000_000, 31_000_000]), "99000000 is beyond"),
    ] {
        refused(|report| set(report, "series", series(name, values.clone())), &["series[0]", said]);
    }
    let backwards =
        json!([{"block": 2, "name": "rss", "unit": "byte", "time_ms": [5, 4], "values": [1, 1]}]);
    refused(|report| set(report, "series", backwards.clone()), &["time goes backwards"]);
    let nowhere =
        json!([{"block": 9, "name": "rss", "unit": "byte", "time_ms": [5], "values": [1]}]);
    refused(|report| set(report, "series", nowhere.clone()), &["there is no block 9"]);
}

#[test]
fn silence_about_controls_is_told_of_what_the_bench_wrote() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| remove(report, "controls"));
    room.check().is(0, &["does not say whether the router's errors_total can move"]);
    assert!(!Room::with(&full()).check().stdout.contains("can move"));
    assert!(!Room::with(&minimal()).check().stdout.contains("can move"));
}

#[test]
fn a_report_without_blocks_has_no_fewer_errors_than_it_accounts_for() {
    let outcomes =
        json!({"offered": 9, "ok": 4, "error": 2, "timeout": 3, "rejected": 0, "skipped": 0});
    let room = Room::with(&minimal());
    room.set("candidate.json", "accounting", json!({"throughput": outcomes, "latency": outcomes}));
    room.check()
        .is_invalid(&["metrics.errors_total", "0 are fewer than the 10 errors and timeouts"]);
}

/// The frozen baseline of this repository is a sound report.
#[test]
fn nothing_of_a_measured_report_is_implausible() {
    let path =
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../perf/baseline_cp1.json"));
    let report = cp1_format::parse(path, &std::fs::read(path).unwrap()).unwrap();
    assert_eq!(perf_gate::judge::consistency::check("baseline_cp1.json", &report), []);
}
