//! The line that a run rewrites, and the lines of its log.

use std::collections::BTreeMap;
use std::time::Duration;

use cp1_format::{Activity, Amount, BlockFigures, Calibrated, Direction, Metric, Metrics};
use perf_gate::render::figures;
use perf_gate::run::progress::{Now, Standing, about, calibrated, left, line, measured};
use proptest::prelude::*;

fn standing(metric: Metric, estimate_pct: f64, bounds: (f64, f64), limit_pct: f64) -> Standing {
    Standing {
        metric,
        estimate_pct,
        bounds_pct: (Some(bounds.0), Some(bounds.1)),
        limit: (metric.worse(), limit_pct),
    }
}

fn in_block(block: u32, activity: Activity) -> Now {
    Now { block: Some(block), blocks: 20, activity: Some(activity), ..Now::default() }
}

#[test]
fn the_line_says_where_the_run_is_and_how_far_it_is_from_the_limit() {
    let left = |seconds| Some(Duration::from_secs(seconds));
    let p99 = |estimate, bounds| Some(standing(Metric::LatencyP99Ms, estimate, bounds, 20.0));
    let rps = |estimate, bounds| Some(standing(Metric::Rps, estimate, bounds, 10.0));
    let open = Some(Standing { bounds_pct: (None, None), ..p99(3.0, (0.0, 0.0)).unwrap() });
    let lines: Vec<_> = [
        Now { activity: Some(Activity::Controls), ..Now::default() },
        Now { left: left(95), ..in_block(1, Activity::Boot) },
        Now { look: Some(9), left: left(300), ..in_block(2, Activity::WarmUp) },
        Now { look: Some(9), left: left(250), standing: open, ..in_block(3, Activity::OpenLoop) },
        Now {
            look: Some(9),
            left: left(130),
            standing: p99(3.1, (-2.0, 9.0)),
            ..in_block(7, Activity::ClosedLoop)
        },
        Now {
            look: Some(12),
            left: left(5),
            standing: p99(24.0, (12.0, 88.0)),
            ..in_block(12, Activity::Stop)
        },
        Now {
            look: Some(12),
            left: left(5),
            standing: p99(-60.0, (-90.0, -50.0)),
            ..in_block(12, Activity::Boot)
        },
        Now {
            standing: rps(-3.0, (-7.5, 1.0)),
            left: left(7_400),
            ..in_block(4, Activity::OpenLoop)
        },
        Now { title: "session 2/3".into(), left: left(61), ..in_block(4, Activity::OpenLoop) },
    ]
    .iter()
    .map(line)
    .collect();
    insta::assert_snapshot!("line", lines.join("\n"));
}

#[test]
fn the_lines_of_a_log_have_the_figures_of_each_side() {
    let of = |figures: &[(Metric, &str)]| {
        let figure = |(metric, text): &(Metric, &str)| (*metric, Amount::parse(text).unwrap());
        Metrics(figures.iter().map(figure).collect::<BTreeMap<_, _>>())
    };
    let candidate = of(&[
        (Metric::Rps, "51200.4375"),
        (Metric::LatencyP95Ms, "0.15123456"),
        (Metric::MemMbTotalErlang, "25.54"),
    ]);
    let figures = |frozen| BlockFigures {
        block: 3,
        frozen,
        candidate: Some(candidate.clone()),
        variants: Vec::new(),
    };
    let load = Calibrated { rps: Amount::from(180_000), concurrency: 8, rate_per_second: 18_000 };
    let lines = [
        calibrated(&load),
        measured(&figures(None), 10),
        measured(&figures(Some(of(&[(Metric::Rps, "51000")]))), 20),
    ];
    insta::assert_snapshot!("log", lines.join("\n"));
}

#[test]
fn the_time_that_is_left_is_that_of_the_blocks_and_never_below_nothing() {
    let seconds = Duration::from_secs;
    assert_eq!(left(3, seconds(10), seconds(0)), seconds(30));
    assert_eq!(left(3, seconds(10), seconds(4)), seconds(26));
    // One that takes longer than the others ends at any moment.
    assert_eq!(left(3, seconds(10), seconds(99)), seconds(20));
    assert_eq!(left(0, seconds(10), seconds(4)), seconds(0));
    assert_eq!(left(u32::MAX, Duration::MAX, seconds(0)), Duration::MAX);
    for (time, told) in [
        (0, "10 s"),
        (9, "10 s"),
        (11, "20 s"),
        (119, "120 s"),
        (120, "2 min"),
        (121, "3 min"),
        (5_900, "99 min"),
        (6_000, "2 h"),
        (36_000, "10 h"),
    ] {
        assert_eq!(about(seconds(time)), told);
    }
}

fn now() -> impl Strategy<Value = Now> {
    let bound = || prop::option::of(any::<f64>());
    let standing = (
        prop::sample::select(Metric::ALL.to_vec()),
        any::<f64>(),
        (bound(), bound()),
        (prop::sample::select(Direction::ALL.to_vec()), any::<f64>()),
    );
    let standing = standing.prop_map(|(metric, estimate_pct, bounds_pct, limit)| Standing {
        metric,
        estimate_pct: estimate_pct % 1e6,
        bounds_pct,
        limit,
    });
    let time = prop::option::of(any::<Duration>());
    (
        ".{0,100}",
        prop::option::of(any::<u32>()),
        any::<u32>(),
        prop::option::of(any::<u32>()),
        time,
        prop::option::of(standing),
    )
        .prop_map(|(title, block, blocks, look, left, standing)| Now {
            title,
            activity: Some(Activity::ClosedLoop),
            block,
            blocks,
            look,
            left,
            standing,
        })
}

proptest! {
    #[test]
    fn no_line_is_wider_than_a_terminal_and_a_bar_is_always_as_long(now in now()) {
        let line = line(&now);
        prop_assert!(figures::width(&line) <= 79, "{line:?}");
        if now.standing.is_some() {
            let bar = line.rsplit_once('[').unwrap().1.strip_suffix(']').unwrap();
            prop_assert_eq!(bar.len(), 16, "{}", line);
            prop_assert_eq!(bar.matches('o').count(), 1, "{}", line);
        }
    }
}
