//! A run of an open loop in stretches of equal length, by intended start: what became of the requests that
//! should have been sent then, whenever that was.

use crate::primitive::{AtomicU64, Ordering};
use crate::recorder::Recorder;

/// The windows of one run.
pub(crate) struct Windows {
    window_ns: u64,
    /// The first intended start.
    begin_ns: AtomicU64,
    windows: Box<[Window]>,
}

struct Window {
    offered: AtomicU64,
    response_time: Recorder,
}

/// What is seen of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowFigures {
    /// Arrivals that were due.
    pub offered: u64,
    /// Of these answered with success.
    pub ok: u64,
    /// 95th percentile of their response time; `None` of none.
    pub p95_ns: Option<u64>,
}

impl Windows {
    /// At least one window, of at least a nanosecond.
    pub(crate) fn new(window_ns: u64, count: usize) -> Self {
        let window = || Window { offered: AtomicU64::new(0), response_time: Recorder::new(0) };
        Self {
            window_ns: window_ns.max(1),
            begin_ns: AtomicU64::new(0),
            windows: (0..count.max(1)).map(|_| window()).collect(),
        }
    }

    /// Relaxed, as all here: workers hear of their arrivals by a message that is sent after it.
    pub(crate) fn begin(&self, begin_ns: u64) {
        self.begin_ns.store(begin_ns, Ordering::Relaxed);
    }

    pub(crate) fn offered(&self, intended_ns: u64) {
        if let Some(window) = self.window(intended_ns) {
            window.offered.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn served(&self, intended_ns: u64, elapsed_ns: u64) {
        if let Some(window) = self.window(intended_ns) {
            window.response_time.record(elapsed_ns);
        }
    }

    /// What comes after the last window, as random arrivals may, belongs to that.
    fn window(&self, intended_ns: u64) -> Option<&Window> {
        let since_ns = intended_ns.saturating_sub(self.begin_ns.load(Ordering::Relaxed));
        let index = usize::try_from(since_ns / self.window_ns).unwrap_or(usize::MAX);
        self.windows.get(index.min(self.windows.len() - 1))
    }

    pub(crate) fn figures(&self) -> Vec<WindowFigures> {
        let of_window = |window: &Window| {
            let times = window.response_time.snapshot();
            let p95_ns = times.quantiles_ns(&[0.95]).and_then(|figures| figures.first().copied());
            let offered = window.offered.load(Ordering::Relaxed);
            WindowFigures { offered, ok: times.count(), p95_ns }
        };
        self.windows.iter().map(of_window).collect()
    }
}
