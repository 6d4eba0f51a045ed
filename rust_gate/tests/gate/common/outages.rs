//! Reports of blocks with an outage.

use serde_json::{Value, json};

/// Length of a window.
pub(crate) const WINDOW_NS: u64 = 50_000_000;
/// Windows before the outage.
pub(crate) const BEFORE: u64 = 20;
/// Windows from its beginning on.
pub(crate) const AFTER: u64 = 30;

/// Gives each block an outage of 200 ms that is seen in so many windows, in each of which ten requests are lost.
pub(crate) fn with_outage(report: &mut Value, bad: impl Fn(u64) -> u64) {
    report["load"]["outage"] = json!({"outage_ms": 200, "tolerance_pct": 15});
    let (mut offered, mut ok) = (0, 0);
    let (mut times, mut losses) = (Vec::new(), Vec::new());
    for block in report["blocks"].as_array_mut().unwrap() {
        let bad = bad(block["block"].as_u64().unwrap());
        let window = |index: u64| match index {
            _ if (BEFORE..BEFORE + bad).contains(&index) => {
                json!({"offered": 250, "ok": 240, "p95_ns": 9_000_000})
            }
            _ => json!({"offered": 250, "ok": 250, "p95_ns": 600_000 + index}),
        };
        let (of_block, lost) = (250 * (BEFORE + AFTER), 10 * bad);
        block["recovery"] = json!({
            "duration_ns": WINDOW_NS * (BEFORE + AFTER), "window_ns": WINDOW_NS, "tolerance_pct": 15,
            "outage_began_ns": WINDOW_NS * BEFORE, "outage_ended_ns": WINDOW_NS * BEFORE + 200_000_000,
            "windows": (0..BEFORE + AFTER).map(window).collect::<Vec<_>>(),
            "reasons": [{"outcome": "error", "reason": "disconnected", "count": 1, "sample": "disconnected"}]
        });
        block["accounting"]["recovery"] = json!({"offered": of_block, "ok": of_block - lost, "error": lost,
            "timeout": 0, "rejected": 0, "skipped": 0});
        block["metrics"]["requests_lost"] = json!(lost);
        losses.push(lost);
        if bad <= AFTER - 3 {
            let ms = bad.max(1) * WINDOW_NS / 1_000_000;
            block["metrics"]["recovery_ms"] = json!(ms);
            times.push(ms);
        }
        (offered, ok) = (offered + of_block, ok + of_block - lost);
    }
    report["accounting"]["recovery"] = json!({"offered": offered, "ok": ok, "error": offered - ok,
        "timeout": 0, "rejected": 0, "skipped": 0});
    let median = |figures: &mut Vec<u64>| {
        figures.sort_unstable();
        let middle = figures[(figures.len() - 1) / 2] + figures[figures.len() / 2];
        if middle.is_multiple_of(2) { json!(middle / 2) } else { json!(middle as f64 / 2.0) }
    };
    if times.len() == losses.len() {
        report["metrics"]["recovery_ms"] = median(&mut times);
    }
    report["metrics"]["requests_lost"] = median(&mut losses);
}
