//! When a router has recovered follows from the windows around its outage, and is nothing where they do not
//! say it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use cp1_format::recovery::GOOD_IN_A_ROW;
use cp1_format::{Amount, NotRecovered, RecoveryPhase, RecoveryWindow};
use proptest::prelude::*;

const WINDOW_NS: u64 = 50_000_000;
const BEFORE: usize = 20;
/// Into the window in which it begins.
const BEGAN_LATE_NS: u64 = 3_000_000;

fn served(p95_ns: u64) -> RecoveryWindow {
    RecoveryWindow { offered: 1000, ok: 1000, p95_ns: Some(p95_ns) }
}

/// Windows of 100 µs, then these.
fn phase(after: impl IntoIterator<Item = RecoveryWindow>) -> RecoveryPhase {
    let before = (0..BEFORE).map(|_| served(100_000));
    RecoveryPhase {
        duration_ns: 1,
        window_ns: WINDOW_NS,
        tolerance_pct: Amount::from(15),
        outage_began_ns: BEFORE as u64 * WINDOW_NS + BEGAN_LATE_NS,
        outage_ended_ns: (BEFORE as u64 + 1) * WINDOW_NS,
        windows: before.chain(after).collect(),
        reasons: None,
    }
}

/// So many windows after that of the outage.
fn after_windows(count: u64) -> Result<u64, NotRecovered> {
    Ok(count * WINDOW_NS - BEGAN_LATE_NS)
}

fn of(kinds: &str) -> Result<u64, NotRecovered> {
    let window = |kind| match kind {
        '.' => served(100_000),
        's' => served(900_000),
        'l' => RecoveryWindow { offered: 1000, ok: 999, p95_ns: Some(100_000) },
        _ => RecoveryWindow { offered: 1000, ok: 0, p95_ns: None },
    };
    phase(kinds.chars().map(window)).recovered_ns()
}

#[test]
fn a_router_is_back_where_a_row_of_good_windows_begins() {
    assert_eq!(of("xx...."), after_windows(2), "nothing was served");
    assert_eq!(of("ss...."), after_windows(2), "all was served, late");
    assert_eq!(of("ll...."), after_windows(2), "one in a thousand was lost");
    assert_eq!(of("x..x..s..."), after_windows(7), "a lull is no recovery");
    assert_eq!(of("x...s..l"), after_windows(1), "a hiccup long after is no outage");
    assert_eq!(of(".....xx..."), after_windows(7), "an outage may take hold late");
}

#[test]
fn an_outage_that_nobody_noticed_is_shorter_than_a_window() {
    assert_eq!(of("......"), after_windows(1));
}

#[test]
fn a_router_that_does_not_come_back_has_no_time() {
    for never in ["", "x", "..", "xxxxxx", "x..x..x..", "x.."] {
        assert_eq!(of(never), Err(NotRecovered::Never), "{never}");
    }
}

#[test]
fn the_limit_is_inclusive_and_what_windows_show_by_themselves_is_within_it() {
    let slower = |p95_ns| phase([0; 6].map(|_| served(p95_ns))).recovered_ns();
    assert_eq!(slower(115_000), after_windows(1));
    assert_eq!(slower(115_001), Err(NotRecovered::Never));
    let mut restless = phase([0; 6].map(|_| served(300_000)));
    restless.windows.get_mut(7).unwrap().p95_ns = Some(300_000);
    assert_eq!(restless.recovered_ns(), after_windows(1));
    // Of the last one before the outage requests may have been under way.
    restless.windows.swap(7, BEFORE - 1);
    assert_eq!(restless.recovered_ns(), Err(NotRecovered::Never));
}

#[test]
fn without_a_sound_window_before_the_outage_nothing_is_known() {
    let mut broken = phase([0; 6].map(|_| served(100_000)));
    broken.windows.iter_mut().take(BEFORE - 1).for_each(|window| window.ok = 999);
    assert_eq!(broken.recovered_ns(), Err(NotRecovered::NoMeasure));
    for began_ns in [0, WINDOW_NS] {
        let early = RecoveryPhase { outage_began_ns: began_ns, ..phase([]) };
        assert_eq!(early.recovered_ns(), Err(NotRecovered::NoMeasure));
    }
    let nothing = RecoveryPhase { window_ns: 0, windows: Vec::new(), ..phase([]) };
    assert_eq!(nothing.recovered_ns(), Err(NotRecovered::NoMeasure));
}

proptest! {
    /// Whatever noise there is within the limit, a planted outage of so many windows is seen as that.
    #[test]
    fn a_planted_outage_is_as_long_as_it_was_planted(
        bad in 1_u64..40, more in GOOD_IN_A_ROW..20, noise in prop::collection::vec(90_000_u64..=115_000, 60),
    ) {
        let good = noise.iter().map(|p95_ns| served(*p95_ns)).take(more);
        let outage = (0..bad).map(|_| RecoveryWindow { offered: 9, ok: 0, p95_ns: None });
        prop_assert_eq!(phase(outage.chain(good)).recovered_ns(), after_windows(bad));
    }

    /// A worse window never makes a router recover earlier, however it came about.
    #[test]
    fn a_window_that_was_worse_never_shortens_the_recovery(
        after in prop::collection::vec(any::<bool>(), 0..30), worse in 0_usize..30,
    ) {
        let window = |good: &bool| served(if *good { 100_000 } else { 900_000 });
        let time = |after: &[bool]| phase(after.iter().map(window)).recovered_ns().unwrap_or(u64::MAX);
        // Where the outage has taken hold; before, the first bad window is its beginning.
        let first = after.iter().position(|good| !good).unwrap_or(after.len());
        let mut changed = after.clone();
        if let Some(good) = changed.get_mut(first + worse) {
            *good = false;
        }
        prop_assert!(time(&changed) >= time(&after));
    }

    #[test]
    fn whatever_windows_say_there_is_an_answer(
        windows in prop::collection::vec((any::<u64>(), any::<u64>(), proptest::option::of(any::<u64>())), 0..50),
        window_ns in any::<u64>(), outage_began_ns in any::<u64>(),
    ) {
        let windows = windows.into_iter().map(|(offered, ok, p95_ns)| RecoveryWindow { offered, ok, p95_ns });
        let any = RecoveryPhase { windows: windows.collect(), window_ns, outage_began_ns, ..phase([]) };
        let _ = any.recovered_ns();
    }
}
