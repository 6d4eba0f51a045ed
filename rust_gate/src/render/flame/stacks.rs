//! What `perf script` prints, as stacks and how often each was seen.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::escape::plain;

/// What perf is asked to sample: the time that a thread runs. Hardware counters are not everywhere, and
/// their samples are no times.
pub const EVENT: &str = "cpu-clock";

/// How often a running thread is sampled, in a second; no divisor of what timers do.
pub const SAMPLES_PER_SECOND: u64 = 499;

/// What perf prints of a sample, in this order.
pub const FIELDS: &str = "comm,pid,tid,time,event,ip,sym,dso";

/// The deepest stack that is kept; perf records half of that.
const FRAMES_MAX: usize = 256;

/// How perf names what it has no name for.
const UNKNOWN: &str = "[unknown]";

/// How often each stack was seen: from the outermost frame on, below the kind of its thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stacks(BTreeMap<Vec<Frame>, u64>);

/// A place in a stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// Its name as it is shown: without spaces and semicolons, and harmless to whoever reads it.
    pub name: String,
    /// Whose it is.
    pub kind: Kind,
}

/// Whose code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A function of Erlang.
    Erlang,
    /// The emulator's, or a library's.
    Native,
    /// The kernel's.
    Kernel,
    /// The bench's or its library's, which are there for the load alone.
    Bench,
}

/// A sample of which not all is read.
struct Sample {
    thread: &'static str,
    /// The innermost first, as it is printed.
    frames: Vec<Frame>,
}

impl Stacks {
    /// Those in what `perf script` prints of [`FIELDS`]. What is no sample of [`EVENT`] is left out.
    ///
    /// # Errors
    /// Of the reader.
    pub fn read(mut script: impl BufRead) -> io::Result<Self> {
        let mut stacks = Self::default();
        let mut sample = None;
        let mut bytes = Vec::new();
        // A name is not always text.
        while script.read_until(b'\n', &mut bytes)? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            if line.trim().is_empty() {
                stacks.add(sample.take());
            } else if !line.starts_with(['\t', ' ']) {
                stacks.add(sample.take());
                sample = begun(&line);
            } else if let Some(sample) = &mut sample
                && sample.frames.len() < FRAMES_MAX
            {
                sample.frames.extend(frame(&line));
            }
            bytes.clear();
        }
        stacks.add(sample);
        Ok(stacks)
    }

    fn add(&mut self, sample: Option<Sample>) {
        let Some(Sample { thread, mut frames }) = sample else { return };
        let unknown = Frame { name: UNKNOWN.to_owned(), kind: Kind::Native };
        // Where code without frame pointers was on the way, a stack ends in what was none.
        while frames.last() == Some(&unknown) {
            frames.pop();
        }
        if frames.is_empty() {
            frames.push(unknown);
        }
        frames.push(Frame { name: thread.to_owned(), kind: Kind::Native });
        frames.reverse();
        *self.0.entry(frames).or_default() += 1;
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.0.values().sum()
    }

    /// How often this stack was seen.
    #[must_use]
    pub fn count(&self, frames: &[Frame]) -> u64 {
        self.0.get(frames).copied().unwrap_or(0)
    }

    /// Each stack and how often it was seen, in an order in which those that begin alike stand together.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[Frame], u64)> {
        self.0.iter().map(|(frames, count)| (frames.as_slice(), *count))
    }
}

/// The line that begins a sample: `1_scheduler 24581/24588 36555.411341: cpu-clock:ppp: `, where a name may
/// have anything in it.
fn begun(line: &str) -> Option<Sample> {
    let (before, event) = line.trim_end().strip_suffix(':')?.rsplit_once(": ")?;
    let (before, _time) = before.trim_end().rsplit_once(' ')?;
    let (thread, ids) = before.trim_end().rsplit_once(' ')?;
    let (process, of_thread) = ids.split_once('/')?;
    let is_sample = event.trim_start().split(':').next() == Some(EVENT)
        && [process, of_thread].iter().all(|id| id.parse::<u32>().is_ok());
    is_sample.then(|| Sample { thread: threads(thread.trim()), frames: Vec::new() })
}

/// A line of a sample: `    7f61127e2cf8 $lists:map/2 (/tmp/perf-24581.map)`.
fn frame(line: &str) -> Option<Frame> {
    let (address, rest) = line.trim().split_once(' ')?;
    let is_address = address.bytes().all(|digit| digit.is_ascii_hexdigit());
    let rest = rest.strip_suffix(" (deleted))").map_or(rest.strip_suffix(')'), Some)?;
    let (symbol, file) = rest.rsplit_once(" (").filter(|_| is_address)?;
    let symbol = symbol.trim();
    let kind = kind(symbol, file);
    let name = match (symbol, file) {
        (UNKNOWN | "", UNKNOWN) => UNKNOWN.to_owned(),
        (UNKNOWN | "", file) => {
            let file = file.trim_matches(['[', ']']);
            format!("[{}]", file.rsplit('/').next().unwrap_or(file))
        }
        // The JIT begins the names of Erlang with it.
        (symbol, _) => symbol.strip_prefix('$').unwrap_or(symbol).to_owned(),
    };
    Some(Frame { name: shown(&name), kind })
}

fn kind(symbol: &str, file: &str) -> Kind {
    let is_kernel = file.starts_with('[')
        && ![UNKNOWN, "[vdso]", "[vsyscall]", "[heap]"].contains(&file)
        || file.starts_with("/lib/modules/")
        || file.ends_with("/vmlinux");
    if file.contains("librouter_bench_nif") || symbol.starts_with("$router_bench") {
        Kind::Bench
    } else if symbol.starts_with('$') {
        Kind::Erlang
    } else if is_kernel {
        Kind::Kernel
    } else {
        Kind::Native
    }
}

/// As it is drawn: folded stacks have a `;` between frames, and a space before a count.
fn shown(name: &str) -> String {
    let name = plain(name).replace(';', ":");
    name.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The kind of a thread by its name, of which the kernel keeps 15 bytes: `1_scheduler` and
/// `1_dirty_cpu_sch` up to OTP 25, `erts_sched_1`, `erts_dcpus_1` and `erts_dios_1` from then on.
fn threads(name: &str) -> &'static str {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let numbered = name.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let is_numbered = numbered.len() < name.len();
    if begins(&["erts_sched_"]) || is_numbered && numbered == "_scheduler" {
        "schedulers"
    } else if begins(&["erts_dcpus_", "erts_dios_"])
        || is_numbered && numbered.starts_with("_dirty_")
    {
        "dirty schedulers"
    } else {
        "other threads"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_by_the_names_of_every_release() {
        let all = [
            ("1_scheduler", "schedulers"),
            ("12_scheduler", "schedulers"),
            ("erts_sched_3", "schedulers"),
            ("1_dirty_cpu_sch", "dirty schedulers"),
            ("10_dirty_io_sch", "dirty schedulers"),
            ("erts_dcpus_1", "dirty schedulers"),
            ("erts_dios_7", "dirty schedulers"),
            ("1_aux", "other threads"),
            ("beam.smp", "other threads"),
            ("_scheduler", "other threads"),
            ("my_scheduler", "other threads"),
            ("", "other threads"),
        ];
        for (name, kind) in all {
            assert_eq!(threads(name), kind, "{name}");
        }
    }

    #[test]
    fn a_name_may_have_in_it_what_separates_it() {
        let thread = |line: &str| begun(line).map(|sample| sample.thread);
        assert_eq!(thread("1_scheduler 7/8 1.5: cpu-clock: "), Some("schedulers"));
        assert_eq!(thread("1_scheduler     7/8     1.5: cpu-clock:ppp: \n"), Some("schedulers"));
        assert_eq!(thread("a 1/2 3: cycles: b 7/8 1.5: cpu-clock:u: "), Some("other threads"));
        for other in ["1_scheduler 7/8 1.5: cycles:u: ", "cpu-clock: ", "7/8 1.5: cpu-clock: ", "x"]
        {
            assert_eq!(thread(other), None, "{other}");
        }
        let of = |line: &str| frame(line).map(|frame| (frame.name, frame.kind));
        let is = |name: &str, kind| Some((name.to_owned(), kind));
        assert_eq!(
            of("\t  7f $a:'b (c) d'/1 (/tmp/perf-7.map)"),
            is("a:'b_(c)_d'/1", Kind::Erlang)
        );
        assert_eq!(of("\t  7f f (/usr/lib/x.so (deleted))"), is("f", Kind::Native));
        assert_eq!(of("\t  7f [unknown] (/usr/lib/x.so)"), is("[x.so]", Kind::Native));
        assert_eq!(
            of("\t  7f [unknown] ([kernel.kallsyms])"),
            is("[kernel.kallsyms]", Kind::Kernel)
        );
        assert_eq!(of("\t  7f f (/srv/librouter_bench_nif.so)"), is("f", Kind::Bench));
        assert_eq!(
            of("\t  7f $router_bench_side:serve/2 (/x)"),
            is("router_bench_side:serve/2", Kind::Bench)
        );
        assert_eq!(of("\t  7g f (/x)"), None);
        assert_eq!(of("\t  7f"), None);
    }

    #[test]
    fn a_stack_of_unknown_places_is_counted_all_the_same() {
        let of = |frames: &str| {
            let script = format!("1_scheduler 7/8 1.5: cpu-clock: \n{frames}\n");
            let stacks = Stacks::read(script.as_bytes()).ok()?;
            let (frames, 1) = stacks.iter().next()? else { return None };
            Some(frames.iter().map(|frame| frame.name.clone()).collect::<Vec<_>>().join(" "))
        };
        let unknown = "\t 0 [unknown] ([unknown])\n";
        let known = "\t 7f $a:b/1 (/tmp/perf-7.map)\n";
        assert_eq!(of(unknown).as_deref(), Some("schedulers [unknown]"));
        assert_eq!(of("").as_deref(), Some("schedulers [unknown]"));
        assert_eq!(of(&format!("{known}{unknown}{unknown}")).as_deref(), Some("schedulers a:b/1"));
        assert_eq!(of(&format!("{unknown}{known}")).as_deref(), Some("schedulers a:b/1 [unknown]"));
    }
}
