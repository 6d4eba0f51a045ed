//! What a run says on its way, to standard error: on a terminal one line that is rewritten, elsewhere a
//! line for each step, and with `--quiet` nothing. What the line says is made of [`Now`] by [`line`], which
//! is pure.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use cp1_format::{
    Activity, BlockFigures, Calibrated, Direction, Metric, Policy, Step, VariantFigures, Verdict,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::escape;
use crate::render::figures;

/// Longest line, in columns: the last one of a terminal stays free, as some wrap when it is filled.
const LINE_MAX_COLUMNS: usize = 79;

/// Cells of the bar for a limit's length; it begins as far on the good side, and ends half as far beyond.
const LIMIT_CELLS: f64 = 6.0;

/// Cells of the bar.
const BAR_CELLS: usize = 16;

/// Below this a time left is told in steps of ten seconds, and above in minutes: a line that is rewritten
/// often disturbs what is measured on the same machine.
const COARSE: Duration = Duration::from_secs(120);

/// Where a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Now {
    /// Of several runs, which; empty of a single one.
    pub title: String,
    /// What it does.
    pub activity: Option<Activity>,
    /// In which block, from 1.
    pub block: Option<u32>,
    /// Blocks at most.
    pub blocks: u32,
    /// The next look is after so many blocks; absent where there is none.
    pub look: Option<u32>,
    /// Until the look, or the end.
    pub left: Option<Duration>,
    /// What the blocks so far say of the metric that is nearest to its limit.
    pub standing: Option<Standing>,
}

/// What the blocks so far say of a metric, in percent of change.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Which.
    pub metric: Metric,
    /// The estimate.
    pub estimate_pct: f64,
    /// Its bounds, where the blocks are enough for one.
    pub bounds_pct: (Option<f64>, Option<f64>),
    /// How far it may move, and which way.
    pub limit: (Direction, f64),
}

impl Standing {
    /// That of the metric whose estimate is the largest part of its limit; `None` where no block was
    /// judged.
    #[must_use]
    pub fn nearest(verdict: &Verdict, policy: &Policy) -> Option<Self> {
        let all = verdict.rules.iter().filter_map(|rule| {
            let found = rule.on_blocks.as_ref()?;
            let limits = policy.rules.get(&rule.metric)?.relative_limits();
            let estimate_pct = found.estimate_pct.approximate();
            let bound = |bound: &Option<cp1_format::Decimal>| {
                bound.as_ref().map(|bound| bound.approximate())
            };
            let standing = |limit| Self {
                metric: rule.metric,
                estimate_pct,
                bounds_pct: (bound(&found.low_pct), bound(&found.high_pct)),
                limit,
            };
            let of_limits = limits.map(|(way, percent)| standing((way, percent.approximate())));
            of_limits.max_by(|a, b| a.share().total_cmp(&b.share()))
        });
        all.max_by(|a, b| a.share().total_cmp(&b.share()))
    }

    /// The part of the limit that the estimate is; below 0 where it is better.
    fn share(&self) -> f64 {
        self.in_limits(self.estimate_pct)
    }

    fn in_limits(&self, percent: f64) -> f64 {
        let (way, limit) = self.limit;
        way.turned(percent) / limit.max(f64::MIN_POSITIVE)
    }

    /// The bar: `:` no change, `|` the limit, `o` the estimate, `-` what the bounds leave open; worse is
    /// to the right, and what lies beyond the bar is at its end.
    fn bar(&self) -> String {
        let cell = |limits: f64| {
            let cell = ((limits + 1.0) * LIMIT_CELLS).round();
            // Within the bar, so the cast is exact.
            if cell.is_nan() { 0 } else { cell.clamp(0.0, BAR_CELLS as f64 - 1.0) as usize }
        };
        let (low, high) = self.bounds_pct;
        let (better, worse) = match self.limit.0 {
            Direction::Increase => (low, high),
            Direction::Decrease => (high, low),
        };
        let first = better.map_or(0, |bound| cell(self.in_limits(bound)));
        let last = worse.map_or(BAR_CELLS - 1, |bound| cell(self.in_limits(bound)));
        let (none, limit, estimate) = (cell(0.0), cell(1.0), cell(self.share()));
        let cells = (0..BAR_CELLS).map(|at| match at {
            _ if at == estimate => 'o',
            _ if at == limit => '|',
            _ if at == none => ':',
            _ if (first..=last).contains(&at) => '-',
            _ => ' ',
        });
        format!(
            "{} {:+.1} % [{}]",
            self.metric.short_name(),
            self.estimate_pct,
            String::from_iter(cells)
        )
    }
}

/// What an activity is called.
fn name(activity: Activity) -> &'static str {
    match activity {
        Activity::Controls => "trying the counters",
        Activity::Calibration => "finding the load",
        Activity::Boot => "boot",
        Activity::WarmUp => "warm-up",
        Activity::ClosedLoop => "closed loop",
        Activity::OpenLoop => "open loop",
        Activity::Recovery => "outage and recovery",
        Activity::Stop => "stop",
    }
}

/// The line for a terminal.
#[must_use]
pub fn line(now: &Now) -> String {
    let Now { title, activity, block, blocks, look, left, standing } = now;
    let mut text = title.clone();
    let mut add = |separator: &str, part: &str| {
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(part);
    };
    if let Some(block) = block {
        add(", ", &format!("block {block}/{blocks}"));
    }
    if let Some(activity) = activity {
        add(" ", name(*activity));
    }
    let left = left.map(about);
    match (look, left) {
        (Some(look), Some(left)) => add(", ", &format!("look at {look} in {left}")),
        (Some(look), None) => add(", ", &format!("look at {look}")),
        (None, Some(left)) => add(", ", &format!("{left} left")),
        (None, None) => {}
    }
    let bar = standing.as_ref().map(|standing| format!("  {}", standing.bar())).unwrap_or_default();
    let room = LINE_MAX_COLUMNS - bar.len().min(LINE_MAX_COLUMNS);
    clipped(&text, room) + &bar
}

/// The beginning of a text, in so many columns.
fn clipped(text: &str, columns: usize) -> String {
    let (mut clipped, mut width) = (String::new(), 0);
    for character in text.chars() {
        width += figures::width(character.encode_utf8(&mut [0; 4]));
        if width > columns {
            break;
        }
        clipped.push(character);
    }
    clipped
}

/// A time as a person tells it.
#[must_use]
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let minutes = (seconds / 60.0).ceil();
    if time < COARSE {
        format!("{} s", (seconds / 10.0).ceil().max(1.0) * 10.0)
    } else if minutes < 100.0 {
        format!("{minutes} min")
    } else {
        format!("{:.0} h", minutes / 60.0)
    }
}

/// How long it takes to measure blocks, of which the first began some time ago.
#[must_use]
pub fn left(blocks: u32, block: Duration, begun: Duration) -> Duration {
    // The one that takes longer than it should is about to end.
    block.saturating_mul(blocks).saturating_sub(begun.min(block))
}

/// The load that was chosen, for a log.
#[must_use]
pub fn calibrated(Calibrated { rps, concurrency, rate_per_second }: &Calibrated) -> String {
    format!(
        "calibration: {} /s with {concurrency} workers, so {} arrivals/s in the open loop",
        figures::grouped(&rps.to_string()),
        figures::grouped(&rate_per_second.to_string())
    )
}

/// What a block measured, for a log.
#[must_use]
pub fn measured(figures: &BlockFigures, blocks: u32) -> String {
    let BlockFigures { block, frozen, candidate, variants } = figures;
    let shown = [Metric::Rps, Metric::LatencyP95Ms, Metric::LatencyP99Ms, Metric::MemMbTotalErlang];
    let side = |of: &cp1_format::Metrics| {
        let figure = |metric: Metric| {
            let figure = figures::figure(of.0.get(&metric), metric.unit());
            format!("{} {figure}", metric.short_name())
        };
        shown.map(figure).join(", ")
    };
    let mut text = format!("block {block} of {blocks}:");
    match (frozen, candidate) {
        (None, Some(candidate)) => {
            let _ = write!(text, " {}", side(candidate));
        }
        (frozen, candidate) => {
            for (name, of) in [("frozen", frozen), ("candidate", candidate)] {
                if let Some(of) = of {
                    let _ = write!(text, "\n  {name:<9}  {}", side(of));
                }
            }
        }
    }
    for VariantFigures { value, figures } in variants {
        let _ = write!(text, "\n  {:<9}  {}", value.to_string(), side(figures));
    }
    text
}

/// Whether it is told at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// As standard error allows.
    Usual,
    /// No.
    Quiet,
}

impl From<bool> for Talk {
    fn from(is_quiet: bool) -> Self {
        if is_quiet { Self::Quiet } else { Self::Usual }
    }
}

/// Tells where a run is.
#[derive(Debug)]
pub struct Progress {
    how: How,
    state: RefCell<State>,
}

#[derive(Debug)]
enum How {
    Quiet,
    Lines,
    Rewritten(ProgressBar),
}

#[derive(Debug, Default)]
struct State {
    now: Now,
    /// The block that is being measured, and what it takes.
    block: Option<(Instant, Duration)>,
}

impl Progress {
    /// Tells it as standard error allows.
    #[must_use]
    pub fn new(talk: Talk) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let how = match talk {
            Talk::Quiet => How::Quiet,
            Talk::Usual if is_dumb || !io::stderr().is_terminal() => How::Lines,
            Talk::Usual => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                // A template without anything that could be wrong.
                let style = ProgressStyle::with_template("{wide_msg}");
                How::Rewritten(style.map_or(bar.clone(), |style| bar.with_style(style)))
            }
        };
        Self { how, state: RefCell::default() }
    }

    /// Whether the output of a build is kept back, to be shown if it fails.
    #[must_use]
    pub fn keeps_output(&self) -> bool {
        !matches!(self.how, How::Lines)
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        let text: Vec<_> = text.lines().map(escape::line).collect();
        match &self.how {
            How::Quiet => {}
            // Where it is closed there is nobody left to tell, and the run goes on.
            How::Lines => {
                let _ = writeln!(io::stderr(), "{}", text.join("\n"));
            }
            How::Rewritten(bar) => bar.suspend(|| {
                let _ = writeln!(io::stderr(), "{}", text.join("\n"));
            }),
        }
    }

    /// What went wrong, whatever else is told.
    pub fn complain(&self, text: &str) {
        match self.how {
            How::Quiet => {
                let text: Vec<_> = text.lines().map(escape::line).collect();
                let _ = writeln!(io::stderr(), "{}", text.join("\n"));
            }
            How::Lines | How::Rewritten(_) => self.say(text),
        }
    }

    /// A step, for a log: on a terminal the line that is rewritten says as much.
    pub fn step(&self, text: &str) {
        if let How::Lines = self.how {
            self.say(text);
        }
    }

    /// The line that is rewritten, if there is one.
    pub fn draw(&self, text: &str) {
        if let How::Rewritten(bar) = &self.how
            && bar.message() != text
        {
            bar.set_message(clipped(&escape::plain(text), LINE_MAX_COLUMNS));
        }
    }

    /// Which of several runs is meant from now on.
    pub fn titled(&self, title: String) {
        self.state.borrow_mut().now = Now { title, ..Now::default() };
    }

    /// A measurement begins: so many blocks, and the look that comes first.
    pub fn begins(&self, blocks: u32, look: Option<u32>) {
        let mut state = self.state.borrow_mut();
        let title = std::mem::take(&mut state.now.title);
        *state = State { now: Now { title, blocks, look, ..Now::default() }, block: None };
    }

    /// The run does something else.
    pub fn does(&self, step: &Step) {
        {
            let mut state = self.state.borrow_mut();
            let is_next = step.block != state.now.block;
            (state.now.activity, state.now.block) = (Some(step.activity), step.block);
            if let Some(ms) = step.block_ms.filter(|_| is_next) {
                state.block = Some((Instant::now(), Duration::from_millis(ms)));
            }
        }
        if step.block.is_none() {
            self.step(name(step.activity));
        }
        self.tick();
    }

    /// What the blocks so far say, and when they are looked at next.
    pub fn stands(&self, standing: Option<Standing>, look: Option<u32>) {
        let mut state = self.state.borrow_mut();
        (state.now.standing, state.now.look) = (standing, look);
    }

    /// Draws the line again if time has changed it.
    pub fn tick(&self) {
        let text = {
            let mut state = self.state.borrow_mut();
            state.now.left = state.block.and_then(|(begun, takes)| {
                let last = state.now.look.unwrap_or(state.now.blocks);
                let blocks = (last + 1).saturating_sub(state.now.block?);
                Some(left(blocks, takes, begun.elapsed()))
            });
            line(&state.now)
        };
        self.draw(&text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let How::Rewritten(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}
