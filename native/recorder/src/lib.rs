//! Records times from many threads without a lock, and dispatches the arrivals of an open loop.
//!
//! A [`Recorder`] keeps one shard of relaxed atomic counters for each recording thread and one that
//! all further threads share. Recording touches a counter, a sum, a minimum and a maximum of the
//! thread's own shard. A reader adds the shards up into a [`Snapshot`]; it never stops a writer and
//! never resets anything, so that any number of readers may look at any time.
//!
//! A [`Dispatch`] says when an arrival is due and which idle worker has it; a [`WakerHandle`] wakes
//! whoever asks it a little ahead of the arrival.
//!
//! A [`HiccupHandle`] and [`KernelTimes`] tell a disturbed machine from a slow program.
//!
//! # Accuracy
//!
//! The layout is HdrHistogram's with 3 significant digits from 1 ns to 60 s: a percentile is at
//! most 0.1 % above the value it stands for. Minimum, maximum, mean and count are exact. A time
//! beyond 60 s is recorded as 60 s and counted in [`Snapshot::clamped`]; a time that ended before
//! it began is counted in [`Snapshot::time_went_backwards`] and not recorded.
//!
//! # Limits
//!
//! A shard takes 216 KiB. A snapshot is consistent for each counter, not a point in time: for exact
//! totals let the writers finish first, with any happens-before edge (a join, a message).
//!
//! # Panics
//!
//! Nothing here panics; sums wrap after 584 years of recorded time.

mod clock;
mod dispatch;
mod hiccup;
mod kernel;
mod layout;
mod places;
mod primitive;
mod recorder;
mod schedule;
mod shard;
mod snapshot;
mod taken;
mod threads;
mod waking;
mod windows;

pub use clock::{ClockInfo, now_ns, os_now_ns, select as select_clock};
pub use dispatch::{Dispatch, DispatchCounts, Outcome, Poll, Recorders};
pub use hiccup::HiccupHandle;
pub use kernel::KernelTimes;
pub use layout::{CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of};
pub use places::{Offer, Places};
pub use recorder::Recorder;
pub use schedule::{Arrivals, Schedule, ScheduleError, Share};
pub use shard::{Ownership, Shard};
pub use snapshot::{EncodeError, Snapshot};
pub use taken::{DecodeError, Taken};
pub use threads::end_threads_at_exit;
pub use waking::{LEAD_NS, Sleeper, WakerHandle};
pub use windows::WindowFigures;
