//! What control groups of either version allow this process.
//!
//! A process is bound by its own group and by each one above it, up to the root: the smallest limit
//! counts, and a group that is throttled stops all below it. A controller belongs to one hierarchy:
//! to that of version 1 where one has it, else to that of version 2. A directory that is not there
//! is passed over, because a container may see the path that its group has on the host, below a
//! mount that begins at the group.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::text::{count, keyed, listed, only_count, printable};
use crate::tree::Tree;

/// A longer path cannot be opened.
const PATH_MAX_BYTES: usize = 4096;

/// Without a limit version 1 says the greatest multiple of a page.
const MEMORY_UNLIMITED_BYTES: u64 = 1 << 62;

/// A limit that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// There is none.
    Unlimited,
    /// The smallest on the path.
    Set(T),
}

/// Processor time that a group may use in each period.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    quota_us: u64,
    period_us: u64,
}

impl Quota {
    /// `None` for what is no quota.
    #[must_use]
    pub fn new(quota_us: u64, period_us: u64) -> Option<Self> {
        (quota_us > 0 && period_us > 0).then_some(Self { quota_us, period_us })
    }

    /// Quota and period in microseconds, as `cpu.max` has them.
    #[must_use]
    pub fn cpu_max(self) -> String {
        format!("{} {}", self.quota_us, self.period_us)
    }

    /// How many processors that is, in thousandths; at least one.
    #[must_use]
    pub fn thousandths(self) -> u64 {
        let thousandths = u128::from(self.quota_us) * 1000 / u128::from(self.period_us);
        u64::try_from(thousandths).unwrap_or(u64::MAX).max(1)
    }

    /// The same as a decimal number, such as `3.5`.
    #[must_use]
    pub fn processors(self) -> String {
        let thousandths = self.thousandths();
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Ord for Quota {
    fn cmp(&self, other: &Self) -> Ordering {
        let crossed = |one: &Self, two: &Self| u128::from(one.quota_us) * u128::from(two.period_us);
        crossed(self, other).cmp(&crossed(other, self))
    }
}

impl PartialOrd for Quota {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quota {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quota {}

/// How often groups were stopped, because they had used their quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods.
    pub periods: u64,
    /// How long, summed over processors.
    pub us: u64,
}

/// The smallest processor quota on the path; `None` where that cannot be told.
#[must_use]
pub fn processor_quota(tree: &Tree) -> Option<Limit<Quota>> {
    let hierarchy = Hierarchy::of(tree, "cpu")?;
    hierarchy.smallest(|group| match hierarchy.version {
        Version::Two => match hierarchy.value(group, "cpu.max")? {
            Some(text) => match text.split_whitespace().collect::<Vec<_>>()[..] {
                ["max", period] => count(period).map(|_| Limit::Unlimited),
                [quota, period] => Quota::new(count(quota)?, count(period)?).map(Limit::Set),
                _ => None,
            },
            None => Some(Limit::Unlimited),
        },
        Version::One => match hierarchy.value(group, "cpu.cfs_quota_us")? {
            Some(text) if text.trim() == "-1" => Some(Limit::Unlimited),
            Some(text) => {
                let period = hierarchy.value(group, "cpu.cfs_period_us")??;
                Quota::new(only_count(&text)?, only_count(&period)?).map(Limit::Set)
            }
            None => Some(Limit::Unlimited),
        },
    })
}

/// The smallest memory limit on the path, in bytes; `None` where that cannot be told.
#[must_use]
pub fn memory_limit_bytes(tree: &Tree) -> Option<Limit<u64>> {
    let hierarchy = Hierarchy::of(tree, "memory")?;
    let name = match hierarchy.version {
        Version::One => "memory.limit_in_bytes",
        Version::Two => "memory.max",
    };
    hierarchy.smallest(|group| match hierarchy.value(group, name)? {
        None => Some(Limit::Unlimited),
        Some(text) if text.trim() == "max" => Some(Limit::Unlimited),
        Some(text) => match only_count(&text)? {
            MEMORY_UNLIMITED_BYTES.. => Some(Limit::Unlimited),
            bytes => Some(Limit::Set(bytes)),
        },
    })
}

/// The processors that the innermost group names that names any, as the kernel lists them, and how
/// many.
#[must_use]
pub fn processor_set(tree: &Tree) -> Option<(String, u64)> {
    let hierarchy = Hierarchy::of(tree, "cpuset")?;
    let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
    hierarchy.groups.iter().find_map(|group| {
        names.iter().find_map(|name| {
            let list = printable(&hierarchy.value(group, name)??);
            listed(&list).map(|count| (list.clone(), count))
        })
    })
}

/// Throttling of the process' group and of each one above, **summed**: a group's counters do not
/// contain those of the groups above it, so no stop is lost; where two are out of quota at once,
/// both count. `None` where no group accounts for a quota.
#[must_use]
pub fn throttling(tree: &Tree) -> Option<Throttling> {
    let hierarchy = Hierarchy::of(tree, "cpu")?;
    let mut sum = None;
    for group in &hierarchy.groups {
        let Some(text) = hierarchy.value(group, "cpu.stat")? else { continue };
        // The root's file says nothing of quotas; one that does, and not in numbers, is no
        // evidence.
        if !text.contains("nr_throttled") {
            continue;
        }
        let one = throttled(&text)?;
        let so_far: Throttling = sum.unwrap_or_default();
        sum = Some(Throttling {
            periods: so_far.periods.checked_add(one.periods)?,
            us: so_far.us.checked_add(one.us)?,
        });
    }
    sum
}

fn throttled(stat: &str) -> Option<Throttling> {
    let us = keyed(stat, "throttled_usec");
    let us = us.or_else(|| keyed(stat, "throttled_time").map(|ns| ns / 1000))?;
    Some(Throttling { periods: keyed(stat, "nr_throttled")?, us })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where a controller's files are.
struct Hierarchy<'a> {
    tree: &'a Tree,
    version: Version,
    /// The process' own group first, the root last.
    groups: Vec<PathBuf>,
}

impl<'a> Hierarchy<'a> {
    fn of(tree: &'a Tree, controller: &str) -> Option<Self> {
        let table = tree.bytes("proc/self/cgroup").ok()?;
        let (version, mounts, path) = membership(&table, controller)?;
        let mount = mounts.into_iter().find(|mount| tree.exists(mount.join("cgroup.procs")))?;
        let mut groups = vec![mount.clone()];
        for name in path.components().skip(1) {
            let group = groups.last()?.join(name);
            groups.push(group);
        }
        groups.reverse();
        Some(Self { tree, version, groups })
    }

    /// What a file of a group says; `Some(None)` where it is not there, `None` where it cannot be
    /// read.
    fn value(&self, group: &Path, name: &str) -> Option<Option<String>> {
        match self.tree.text(group.join(name)) {
            Ok(text) => Some(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(None),
            Err(_) => None,
        }
    }

    /// Of limits that are all known.
    fn smallest<T: Ord>(&self, limit: impl Fn(&Path) -> Option<Limit<T>>) -> Option<Limit<T>> {
        self.groups.iter().try_fold(Limit::Unlimited, |smallest: Limit<T>, group| {
            Some(match (smallest, limit(group)?) {
                (Limit::Set(one), Limit::Set(other)) => Limit::Set(one.min(other)),
                (Limit::Unlimited, other) => other,
                (one, Limit::Unlimited) => one,
            })
        })
    }
}

/// Of `/proc/self/cgroup`: which hierarchy has a controller, where it may be mounted, and the
/// process' group.
fn membership(table: &[u8], controller: &str) -> Option<(Version, Vec<PathBuf>, PathBuf)> {
    let base = Path::new("sys/fs/cgroup");
    let lines: Vec<_> = table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            Some((parts.next()?, parts.next()?, parts.next()?))
        })
        .collect();
    let has =
        |list: &[u8]| list.split(|byte| *byte == b',').any(|name| name == controller.as_bytes());
    let one = lines.iter().find(|(_, list, _)| has(list));
    let (version, mounts, path) = match one {
        Some((_, list, path)) => {
            // The name of the mount, and the usual link.
            (Version::One, vec![base.join(OsStr::from_bytes(list)), base.join(controller)], path)
        }
        None => {
            let (_, _, path) = lines.iter().find(|(id, list, _)| *id == b"0" && list.is_empty())?;
            (Version::Two, vec![base.to_owned(), base.join("unified")], path)
        }
    };
    let path = Path::new(OsStr::from_bytes(path));
    // A group outside of what this process can see is none that can be read.
    let is_seen = path.is_absolute() && path.components().all(|part| part.as_os_str() != "..");
    (is_seen && path.as_os_str().len() <= PATH_MAX_BYTES)
        .then(|| (version, mounts, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(quota_us: u64, period_us: u64) -> Quota {
        Quota::new(quota_us, period_us).unwrap()
    }

    #[test]
    fn a_quota_is_a_number_of_processors_whatever_its_period() {
        assert_eq!(quota(350_000, 100_000).processors(), "3.5");
        assert_eq!(quota(200_000, 100_000).processors(), "2");
        assert_eq!(quota(1_000_000, 100_000).processors(), "10");
        assert_eq!(quota(1, 3).processors(), "0.333");
        assert_eq!(quota(1, u64::MAX).processors(), "0.001");
        assert_eq!(quota(35_000, 10_000), quota(350_000, 100_000));
        assert!(quota(u64::MAX, 1) > quota(u64::MAX, 2));
        assert!(Quota::new(0, 1).is_none() && Quota::new(1, 0).is_none());
    }

    #[test]
    fn a_controller_is_where_version_1_has_it_and_else_in_version_2() {
        let table = b"3:cpuacct:/y\n2:cpu,cpuset:/x\n1:name=systemd:/z\n0::/a/b\n";
        let of = |controller| membership(table, controller).unwrap();
        let path = PathBuf::from;
        let both = vec![path("sys/fs/cgroup/cpu,cpuset"), path("sys/fs/cgroup/cpu")];
        assert_eq!(of("cpu"), (Version::One, both, path("/x")));
        let usual = vec![path("sys/fs/cgroup"), path("sys/fs/cgroup/unified")];
        assert_eq!(of("memory"), (Version::Two, usual, path("/a/b")));
    }

    #[test]
    fn a_table_without_a_path_that_can_be_read_says_nothing() {
        let long = format!("0::/{}", "a/".repeat(4096));
        for table in ["", "0::", "0::a", "0::/../b", "1::/a", "cpu:/a", ":::::", "\u{0}", &long] {
            assert_eq!(membership(table.as_bytes(), "cpu"), None, "{table:?}");
        }
    }

    #[test]
    fn both_versions_count_throttling() {
        let expected = Some(Throttling { periods: 3, us: 70_000 });
        assert_eq!(throttled("usage_usec 9\nnr_throttled 3\nthrottled_usec 70000\n"), expected);
        assert_eq!(throttled("nr_throttled 3\nthrottled_time 70000999\n"), expected);
        for wrong in ["", "nr_throttled 1", "nr_throttled x\nthrottled_usec 1", "throttled_usec 1"]
        {
            assert_eq!(throttled(wrong), None, "{wrong:?}");
        }
    }
}
