//! What each node of a block did, where drivers elsewhere had the load.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::{Accounting, Block, Counted, MemoryFigures, Outcomes, Percentiles};
use crate::decimal::Amount;
use crate::evidence::Disturbance;
use crate::read::{Segment, Violation};
use crate::vm::VmFigures;

/// The nodes of a block. What the block says is of all of them: counts are added, histograms merged by their
/// counts, the memory is the sum of the routers' peaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// Who offered the load, by number.
    pub drivers: Vec<Driver>,
    /// Who served it, by number.
    pub routers: Vec<Router>,
}

/// A driver: its share of the load, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// Which, from 1.
    pub driver: u32,
    /// Where, as the plan has it.
    pub place: String,
    /// The requests of its share.
    pub accounting: Accounting,
    /// Its own lateness, as of a block.
    pub dispatch_lag: Percentiles,
    /// Errors that its connection to the routers counted, such as requests that a bus lost; absent where the
    /// adapter counts nothing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Counted>,
    /// Activations of backpressure of its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backpressure: Option<Counted>,
    /// By how much the rate of its clock and of the conductor's differ, in parts per million.
    pub clock_rate_ppm: Amount,
    /// How far that may be off, for the time that messages took.
    pub clock_rate_uncertainty_ppm: Amount,
    /// Why its machine counts as disturbed.
    pub disturbed: BTreeSet<Disturbance>,
    /// Its machine and emulator.
    pub env: DriverEnvironment,
}

/// What is told of a driver's machine; none of it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverEnvironment {
    /// Erlang/OTP release.
    pub otp_release: String,
    /// Emulator version.
    pub erts_version: String,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<u32>,
    /// Processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Operating system and kernel release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Schedulers online.
    pub schedulers_online: u32,
    /// Version of the native library.
    pub nif_version: String,
    /// Version of the bench.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_bench_version: Option<String>,
}

/// A router's node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// Which, from 1.
    pub router: u32,
    /// Its `erlang:memory(total)`.
    pub memory: MemoryFigures,
    /// Its own errors.
    pub errors: Counted,
    /// Its own activations of backpressure.
    pub backpressure: Counted,
    /// Why its machine counts as disturbed.
    pub disturbed: BTreeSet<Disturbance>,
    /// What was sampled in its VM, where there are several routers; of one the block has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<VmFigures>,
}

/// One of the counters that routers and drivers have.
type Counter = fn(&Nodes) -> Option<u64>;

impl Nodes {
    /// Whether the nodes are those of their block: what they have together is what it has.
    pub(crate) fn check(&self, block: &Block, path: &[Segment]) -> Result<(), Violation> {
        let refused = |place: &'static str, problem: &str| {
            let at = path.iter().cloned().chain([Segment::from(place)]);
            Err(Violation::new(at, problem, "measure again"))
        };
        let in_order = |numbers: &mut dyn Iterator<Item = u32>| {
            numbers.enumerate().all(|(index, number)| number as usize == index + 1)
        };
        if self.drivers.is_empty() || !in_order(&mut self.drivers.iter().map(|one| one.driver)) {
            return refused("drivers", "these are not drivers 1, 2 and so on");
        }
        if self.routers.is_empty() || !in_order(&mut self.routers.iter().map(|one| one.router)) {
            return refused("routers", "these are not routers 1, 2 and so on");
        }
        let phases: [fn(&Accounting) -> &Outcomes; 2] = [|all| &all.throughput, |all| &all.latency];
        for outcomes in phases {
            let sum = self.drivers.iter().try_fold(Outcomes::default(), |sum, driver| {
                sum.plus(outcomes(&driver.accounting))
            });
            if sum.as_ref() != Some(outcomes(&block.accounting)) {
                return refused("drivers", "the drivers' requests are not those of the block");
            }
        }
        let peaks = self
            .routers
            .iter()
            .try_fold(0_u64, |sum, router| sum.checked_add(router.memory.peak_bytes));
        if peaks != Some(block.memory.peak_bytes) {
            return refused("routers", "the routers' peaks of memory are not that of the block");
        }
        let counters: [(Counter, &Counted, _); 2] = [
            (Self::errors, &block.errors, "the nodes' errors are not those of the block"),
            (
                Self::backpressure,
                &block.backpressure,
                "the nodes' activations of backpressure are not those of the block",
            ),
        ];
        for (of_nodes, of_block, problem) in counters {
            if of_nodes(self) != of_block.router {
                return refused("routers", problem);
            }
        }
        // They have one adapter, so all of them count or none does.
        let count =
            |counts: fn(&Driver) -> bool| self.drivers.iter().filter(|one| counts(one)).count();
        let counting = [count(|one| one.errors.is_some()), count(|one| one.backpressure.is_some())];
        if counting.into_iter().any(|of| of != 0 && of != self.drivers.len()) {
            return refused("drivers", "some drivers have a counter that others have not");
        }
        Ok(())
    }

    /// Errors that routers and drivers' connections counted; unknown where one does not know.
    fn errors(&self) -> Option<u64> {
        let of_drivers = self.drivers.iter().filter_map(|driver| driver.errors.as_ref());
        sum(self.routers.iter().map(|router| &router.errors).chain(of_drivers))
    }

    /// The same of activations of backpressure.
    fn backpressure(&self) -> Option<u64> {
        let of_drivers = self.drivers.iter().filter_map(|driver| driver.backpressure.as_ref());
        sum(self.routers.iter().map(|router| &router.backpressure).chain(of_drivers))
    }

    /// The most memory that one router had.
    #[must_use]
    pub fn worst_peak_bytes(&self) -> u64 {
        self.routers.iter().map(|router| router.memory.peak_bytes).max().unwrap_or_default()
    }
}

fn sum<'a>(mut counts: impl Iterator<Item = &'a Counted>) -> Option<u64> {
    counts.try_fold(0_u64, |sum, count| sum.checked_add(count.router?))
}
