//! Reports of a load that drivers shared.

use serde_json::{Value, json};

pub(crate) const MIB: u64 = 1 << 20;

/// The share of one of some drivers in what became of requests.
fn part(outcomes: &Value, number: u64, of: u64) -> Value {
    let mut part = outcomes.clone();
    let kinds = ["ok", "error", "timeout", "rejected", "skipped"];
    for kind in kinds {
        part[kind] = json!((outcomes[kind].as_u64().unwrap() + of - 1 - number) / of);
    }
    part["offered"] = json!(kinds.iter().map(|kind| part[kind].as_u64().unwrap()).sum::<u64>());
    part
}

/// Two drivers, and two routers of which one has so much of the memory.
pub(crate) fn with_nodes(report: &mut Value, worst_mib: u64) {
    with(report, worst_mib, 2, 2);
}

/// The same with other numbers of drivers and routers, the first router the worst.
pub(crate) fn with(report: &mut Value, worst_mib: u64, drivers: u64, routers: u64) {
    report["load"]["drivers"] = json!(drivers);
    report["load"]["routers"] = json!(routers);
    for block in report["blocks"].as_array_mut().unwrap() {
        let accounting = &block["accounting"];
        let driver = |number: u64| {
            json!({
                "driver": number + 1, "place": "local",
                "accounting": {"throughput": part(&accounting["throughput"], number, drivers),
                               "latency": part(&accounting["latency"], number, drivers)},
                "dispatch_lag": {"count": 1000, "clamped": 0, "time_went_backwards": 0, "p99_ns": 900},
                "clock_rate_ppm": 1.5, "clock_rate_uncertainty_ppm": 3, "disturbed": [],
                "env": {"otp_release": "25", "erts_version": "13.1.5", "schedulers_online": 2,
                        "nif_version": "0.1.0"}
            })
        };
        let memory = &block["memory"];
        let peak = memory["peak_bytes"].as_u64().unwrap();
        let router = |number: u64, bytes: u64| {
            json!({"router": number, "errors": {"router": 0}, "backpressure": {"router": 0}, "disturbed": [],
                   "memory": {"samples": memory["samples"], "min_bytes": bytes, "peak_bytes": bytes,
                              "end_bytes": bytes}})
        };
        let worst = worst_mib * MIB;
        let rest = peak - worst;
        let bytes = |number: u64| match number {
            0 => worst,
            _ => (rest + routers - 1 - number) / (routers - 1),
        };
        block["nodes"] = json!({"drivers": (0..drivers).map(driver).collect::<Vec<_>>(),
                                "routers": (0..routers).map(|number| router(number + 1, bytes(number)))
                                    .collect::<Vec<_>>()});
        block["metrics"]["mem_mb_worst_node"] = json!(worst_mib);
    }
    report["metrics"]["mem_mb_worst_node"] = json!(worst_mib);
}
