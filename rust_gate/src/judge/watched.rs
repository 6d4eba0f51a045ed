//! What is known, and what is not, of traffic that the bench did not make. Pure.

use cp1_format::{Metric, Notice, Problem, RecordingCost, Report, TrafficPhase};

use crate::judge::compare::Named;

const MADE_LOAD: &str = "take the rule out of the policy of watched traffic (and \
                         gate.require_all_metrics_present), or measure under a load: perf-gate run";
const NO_COUNTERS: &str = "watch with an adapter that has the counter, or name it in \
                           gate.not_offered of the policy";
const WATCH_AGAIN: &str = "watch again, in windows in which requests are served";

/// Why a metric is not there, where that is known, and what to do.
pub(crate) fn unmeasured(metric: Metric) -> (Option<&'static str>, &'static str) {
    match metric {
        Metric::Rps => (
            Some(
                "how much traffic there was says nothing of how much the router could have served",
            ),
            MADE_LOAD,
        ),
        Metric::ErrorsTotal | Metric::BackpressureActiveTotal => {
            (Some("nobody told the router's own counter"), NO_COUNTERS)
        }
        Metric::RecoveryMs | Metric::RequestsLost => {
            (Some("there is no outage where others use the router"), MADE_LOAD)
        }
        Metric::MemMbWorstNode => (Some("one node was watched"), MADE_LOAD),
        Metric::LatencyP95Ms | Metric::LatencyP99Ms | Metric::MemMbTotalErlang => {
            (None, WATCH_AGAIN)
        }
    }
}

/// Requests that are in no figure, for what happened to whoever recorded them.
pub(crate) fn failed_recordings(candidate: Named<'_>) -> Option<Problem> {
    let failed = sum(candidate.document, |traffic| traffic.recordings_failed);
    (failed > 0).then(|| Problem {
        file: candidate.path.to_owned(),
        place: Some("blocks".to_owned()),
        message: format!("{failed} recordings failed, so as many requests are in no figure"),
        cure: "look into the reasons in the log of the node, then watch again".to_owned(),
    })
}

/// What the figures of watched traffic do not say.
pub(crate) fn notices(baseline: &Report, candidate: &Report) -> Vec<Notice> {
    let unlike = (baseline.watched.is_some() != candidate.watched.is_some()).then(|| {
        Notice(
            "traffic that was watched compares with watched traffic alone, and a load of the bench with \
             such a load"
                .to_owned(),
        )
    });
    let Some(watched) = &candidate.watched else { return Vec::from_iter(unlike) };
    let mut notices = vec![
        "the candidate is traffic that was watched, under no load of the bench: a latency counts from \
         when a request began, so one that had to wait before is not charged for it (coordinated \
         omission), and no throughput is known"
            .to_owned(),
    ];
    if let Some(cost) = &watched.recording {
        notices.push(told(cost));
    }
    for (name, report) in [("baseline", baseline), ("candidate", candidate)] {
        let unseen = report.blocks.iter().flatten().filter_map(|block| {
            let seen = block.accounting.traffic?.offered;
            Some(seen.saturating_sub(block.traffic.as_ref()?.started))
        });
        let unseen = unseen.fold(0, u64::saturating_add);
        if unseen > 0 {
            notices.push(format!(
                "{unseen} requests of the {name} ended that were not seen to begin: of such, those that \
                 never ended were not counted"
            ));
        }
    }
    let failed = sum(baseline, |traffic| traffic.recordings_failed);
    if failed > 0 {
        notices.push(format!("{failed} recordings of the baseline failed"));
    }
    unlike.into_iter().chain(notices.into_iter().map(Notice)).collect()
}

fn told(cost: &RecordingCost) -> String {
    let RecordingCost { request_ns, of_service_time_pct, of_scheduler_time_pct } = cost;
    let of_service = of_service_time_pct.as_ref();
    let of_service = of_service.map(|pct| format!("{pct} % of the requests' time and "));
    format!(
        "recording cost the node {request_ns} ns a request: {}{of_scheduler_time_pct} % of its \
         schedulers' time",
        of_service.unwrap_or_default()
    )
}

fn sum(report: &Report, of: fn(&TrafficPhase) -> u64) -> u64 {
    let blocks = report.blocks.iter().flatten();
    blocks.filter_map(|block| block.traffic.as_ref().map(of)).fold(0, u64::saturating_add)
}
