//! What `/proc`, `/sys` and control groups say about a machine: which one it is, what a process may
//! use of it, and what disturbed it meanwhile.
//!
//! * [`fingerprint`]: processor model, kernel, memory;
//! * [`control_group`]: quotas and limits, the smallest on the way from the process' group to the
//!   root, and how often any group on that way was throttled;
//! * [`counters`]: the kernel's counters, and what they grew by;
//! * [`conditions`]: what makes a machine fit for measuring: clock, governor, swap, other load;
//! * [`tree`]: the files, below any directory, so that a test can plant a machine.
//!
//! # Accuracy
//!
//! What cannot be read, or reads as what no kernel writes, is `None`: never 0, and never
//! "unlimited".
//!
//! # Limits
//!
//! Linux; elsewhere everything is `None`. Control groups are looked for where distributions mount
//! them: version 2 at `/sys/fs/cgroup` or `/sys/fs/cgroup/unified`, a controller of version 1 below
//! `/sys/fs/cgroup`. Of a file of more than 1 MiB only the whole lines of the first are read.
//!
//! # Panics
//!
//! None, whatever the files hold.

pub mod conditions;
pub mod control_group;
pub mod counters;
pub mod fingerprint;
mod text;
pub mod tree;

pub use conditions::{Conditions, Moment, Process};
pub use control_group::{Limit, Quota, Throttling};
pub use counters::{Counters, Figures, Reading};
pub use fingerprint::Fingerprint;
pub use tree::Tree;
