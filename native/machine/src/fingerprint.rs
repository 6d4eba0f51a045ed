//! Which machine this is.

use std::collections::BTreeSet;

use crate::text::{count, printable, values};
use crate::tree::Tree;

/// What stays the same while a machine is up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Processor model as the kernel names it; of processors that it only numbers, implementer,
    /// part, variant and revision of each kind that there is.
    pub cpu_model: Option<String>,
    /// Name and release, such as `Linux 6.1.0-18-amd64`.
    pub kernel: Option<String>,
    /// Physical memory; 1 MB = 1024 × 1024 bytes.
    pub memory_total_mb: Option<u64>,
}

impl Fingerprint {
    /// Reads it.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        Self {
            cpu_model: tree.text("proc/cpuinfo").ok().as_deref().and_then(cpu_model),
            kernel: kernel(tree),
            memory_total_mb: tree.text("proc/meminfo").ok().as_deref().and_then(memory_total_mb),
        }
    }
}

pub(crate) fn kernel(tree: &Tree) -> Option<String> {
    tree.line("proc/sys/kernel/osrelease").map(|release| format!("Linux {release}"))
}

/// A kernel for arm64 has no names for processors, but numbers, and a machine may have several
/// kinds.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let named = values(cpuinfo, "model name").map(printable).find(|name| !name.is_empty());
    named.or_else(|| {
        let mut kinds = BTreeSet::new();
        // Each processor has a paragraph of its own.
        for processor in cpuinfo.split("\n\n") {
            let number = |key: &'static str| values(processor, key).next().map(printable);
            if let (Some(implementer), Some(part), Some(variant), Some(revision)) = (
                number("CPU implementer"),
                number("CPU part"),
                number("CPU variant"),
                number("CPU revision"),
            ) {
                kinds.insert(format!(
                    "implementer {implementer} part {part} variant {variant} revision {revision}"
                ));
            }
        }
        let kinds: Vec<_> = kinds.into_iter().collect();
        (!kinds.is_empty()).then(|| printable(&kinds.join(", ")))
    })
}

fn memory_total_mb(meminfo: &str) -> Option<u64> {
    let kib = values(meminfo, "MemTotal").next()?.strip_suffix(" kB")?;
    Some(count(kib)? / 1024)
}

/// Resident memory of this process.
#[must_use]
pub fn resident_bytes(tree: &Tree) -> Option<u64> {
    let statm = tree.text("proc/self/statm").ok()?;
    let pages = count(statm.split_whitespace().nth(1)?)?;
    pages.checked_mul(page_bytes(&tree.bytes("proc/self/auxv").ok()?)?)
}

/// From the auxiliary vector that the kernel gave this process: pairs of words, type and value.
fn page_bytes(auxiliary: &[u8]) -> Option<u64> {
    const AT_PAGESZ: usize = 6;
    let mut words = auxiliary
        .chunks_exact(size_of::<usize>())
        .map(|word| word.try_into().map(usize::from_ne_bytes).unwrap_or_default());
    while let (Some(kind), Some(value)) = (words.next(), words.next()) {
        if kind == AT_PAGESZ && value > 0 {
            return Some(value as u64);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\n\
        CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n\n\
        processor\t: 1\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n\
        CPU revision\t: 1\n\n";

    #[test]
    fn a_processor_that_has_a_name_is_known_by_it() {
        let cpuinfo = "vendor_id\t: A\nmodel name\t: AMD EPYC 7B13\n\nmodel name\t: other\n";
        assert_eq!(cpu_model(cpuinfo).as_deref(), Some("AMD EPYC 7B13"));
    }

    #[test]
    fn two_processors_that_only_have_numbers_differ_by_each_of_them() {
        let model = |text: &str| cpu_model(text).unwrap();
        assert_eq!(model(ARM64), "implementer 0x41 part 0xd0c variant 0x3 revision 1");
        for (from, to) in
            [("0x41", "0xc0"), ("0xd0c", "0xd40"), ("0x3", "0x1"), (": 1\n\n", ": 2\n\n")]
        {
            assert_ne!(model(ARM64), model(&ARM64.replace(from, to)), "{from}");
        }
        // Of two kinds of processors both count.
        let two = ARM64.replacen("0xd0c", "0xd05", 1);
        assert!(model(&two).contains("0xd05") && model(&two).contains("0xd0c"), "{}", model(&two));
    }

    #[test]
    fn half_a_number_is_no_model() {
        for key in ["CPU implementer", "CPU part", "CPU variant", "CPU revision"] {
            assert_eq!(cpu_model(&ARM64.replace(key, "x")), None, "{key}");
        }
        for wrong in ["", "model name", "model name :", "model name\t: \u{1b}\n", "\n\n:\n"] {
            assert_eq!(cpu_model(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn memory_is_in_kib_as_the_kernel_says() {
        assert_eq!(memory_total_mb("MemTotal:       24683520 kB\nMemFree: 1 kB\n"), Some(24105));
        for wrong in ["", "MemTotal: x kB", "MemTotal: 5", "MemTotal: -5 kB"] {
            assert_eq!(memory_total_mb(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_page_is_as_long_as_the_kernel_told_this_process() {
        let vector: Vec<u8> =
            [3_usize, 64, 6, 16384, 0, 0].into_iter().flat_map(usize::to_ne_bytes).collect();
        assert_eq!(page_bytes(&vector), Some(16384));
        for cut in 0..32 {
            assert_eq!(page_bytes(vector.get(..cut).unwrap()), None);
        }
    }

    #[test]
    fn this_process_has_resident_memory() {
        assert!(resident_bytes(&Tree::here()).is_some_and(|bytes| bytes > 4096));
        assert_eq!(resident_bytes(&Tree::at("/nowhere")), None);
    }
}
