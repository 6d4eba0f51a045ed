//! `perf-gate bisect`: measures commits between two ends against the good one until it is known which of
//! them made the router worse ([`crate::bisect`] has the search).
//!
//! Everything that blocks said is kept after each block, in a file named by the ends, so that a search
//! that was interrupted goes on. The project's work tree and index stay as they are.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bigdecimal::{BigDecimal, FromPrimitive as _};
use cp1_format::{
    Amount, BisectedCommit, BisectedStep, Bisection, BisectionResult, CommitBuild, Decimal,
    FrozenBuild, Metric, Plan, Policy, Report, SchemaName, SchemaTag, Sought, read_file, to_json,
    write_atomically,
};

use crate::bisect::code;
use crate::bisect::commits::{self, Lineage};
use crate::bisect::search::{Effect, Range, Search, Step};
use crate::cli::settings;
use crate::cli::sources::CommandLine;
use crate::contract::{BASELINE, Contract};
use crate::escape;
use crate::judge::blocks::Sides;
use crate::judge::decision::{self, JudgedLimit, Ruling};
use crate::read::git::Git;
use crate::run::bench::Bench;
use crate::run::host::{Host, absolute, is_writable, listen, stamp, text};
use crate::run::measure::{Ended, Next};
use crate::run::progress::{Progress, about};
use crate::run::{RunError, load_of, read};
use crate::statistics::shift;

/// Where the search is kept, from the directory of artifacts on.
const DIRECTORY: &str = "bisect";

/// Blocks of a measurement of which only an interval is wanted.
const STEP_BLOCKS: u32 = 9;

/// A two-sided level of the interval of a step.
const INTERVAL: f64 = 0.025;

/// Longest reason that is kept for a commit that cannot be measured.
const SKIPPED_MAX_CHARS: usize = 1000;

/// Places of a change that are kept.
const PLACES: i64 = 9;

/// Searches, and says what came of it, which is kept too.
///
/// # Errors
/// [`RunError`]: also that an end measured nothing.
pub fn bisect(arguments: &settings::Bisect, line: &CommandLine) -> Result<Bisection, RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let host = Host {
        settings: &arguments.settings,
        attach: None,
        line,
        interrupt: &interrupt,
        progress: &progress,
    };
    let project = absolute(&arguments.settings.project)?;
    let git = Git::at(&project);
    let contract = Contract::at(&project);
    let policy = contract.policy().map_err(read)?;
    let baseline = contract.path(BASELINE).exists().then(|| contract.baseline()).transpose();
    let baseline = baseline.map_err(read)?;
    let good = match (&arguments.good, baseline.as_ref().and_then(|b| b.git.commit.as_deref())) {
        (Some(revision), _) => git.commit(revision)?,
        (None, Some(commit)) => git.commit(commit)?,
        (None, None) => return Err(RunError::NoGood),
    };
    let bad = git.commit(&arguments.bad)?;
    let lineage = if arguments.all_parents { Lineage::All } else { Lineage::FirstParents };
    let commits = commits::between(&git, &good, &bad, lineage)?;
    let directory = host.artifacts(&arguments.output).join(DIRECTORY);
    is_writable(&directory)?;
    let file = directory.join(file_name(&good, &bad, arguments));
    let state = match file.exists() {
        true => going_on(&file, &commits, &progress)?,
        false => Bisection {
            schema: SchemaTag { name: SchemaName::Cp1Bisection, version: 1 },
            good: good.clone(),
            good_code: None,
            sought: None,
            error_pct: arguments.error_pct.clone(),
            load: load_of(baseline.as_ref())?.cloned(),
            commits,
            result: None,
        },
    };
    if state.result.is_some() {
        return Ok(state);
    }
    let (_lock, path) = host.prepare()?;
    let mut bench = Bench::start(&project, &path, None, host.interrupt)?;
    let report = directory.join(format!("perf_baseline_{}.json", stamp()));
    let plan = host.plan(&report, state.load.as_ref(), 1, None)?;
    let described = host.describe(&mut bench, &plan)?;
    bench.end();
    let (steps, since) = (0, Instant::now());
    let mut bisecting = Bisecting {
        host,
        arguments,
        policy,
        project,
        path,
        described,
        directory,
        file,
        state,
        steps,
        since,
    };
    bisecting.ends()?;
    bisecting.since = Instant::now();
    bisecting.search()?;
    Ok(bisecting.state)
}

/// By what is searched for, so that another search does not go on with this one's blocks.
fn file_name(good: &str, bad: &str, arguments: &settings::Bisect) -> String {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    let metric = arguments.metric.map(|metric| format!("_{metric}")).unwrap_or_default();
    let all = if arguments.all_parents { "_all_parents" } else { "" };
    format!("perf_bisection_{}_{}{metric}{all}.json", short(good), short(bad))
}

/// What an earlier run of this search left.
fn going_on(
    file: &Path,
    commits: &[BisectedCommit],
    progress: &Progress,
) -> Result<Bisection, RunError> {
    let state: Bisection = read_file(file).map_err(read)?;
    let hashes = |commits: &[BisectedCommit]| -> Vec<String> {
        commits.iter().map(|commit| commit.commit.clone()).collect()
    };
    if hashes(&state.commits) != hashes(commits) {
        return Err(RunError::OtherRange(file.to_owned()));
    }
    let blocks: usize = state.commits.iter().map(|commit| commit.changes.len()).sum();
    progress.say(&format!("going on with {}: {blocks} blocks are kept", file.display()));
    Ok(state)
}

/// A search under way.
struct Bisecting<'a> {
    host: Host<'a>,
    arguments: &'a settings::Bisect,
    policy: Policy,
    project: PathBuf,
    /// The code of the bench, and of the work tree's router.
    path: Vec<PathBuf>,
    described: cp1_format::Described,
    directory: PathBuf,
    file: PathBuf,
    state: Bisection,
    /// Steps of this run, and when the first began.
    steps: u32,
    since: Instant,
}

/// What a measurement of a commit against another one came to.
enum Measured {
    /// Its blocks were seen.
    Blocks,
    /// It cannot be measured, and why.
    Not(String),
}

impl Bisecting<'_> {
    /// Finds out whether the ends differ, and in what. A search between ends that do not would blame
    /// somebody.
    fn ends(&mut self) -> Result<(), RunError> {
        if self.state.sought.is_some() {
            return Ok(());
        }
        let Some(last) = self.state.commits.len().checked_sub(1) else { return Ok(()) };
        let limits: Vec<JudgedLimit> = decision::held(&self.policy)
            .into_iter()
            .filter(|held| held.direction == held.metric.worse())
            .filter(|held| self.arguments.metric.is_none_or(|metric| metric == held.metric))
            .collect();
        if limits.is_empty() {
            return Err(RunError::NoLimit);
        }
        if self.compile_alike(last)? {
            self.host.progress.say("the ends run the same code");
            self.state.result = Some(BisectionResult::EndsAlike);
            return self.keep();
        }
        let looks = self.policy.decision.looks.clone();
        let most = looks.last().copied().unwrap_or(STEP_BLOCKS);
        self.begins("the ends: the bad one against the good one");
        let (mut sought, mut shown) = (None, 0);
        let measured = self.measure(last, None, most, |sides| {
            let number = sides.len();
            shown = number;
            let is_look = looks.iter().any(|look| *look as usize == number);
            if !is_look {
                return Next::GoOn { look: u32::try_from(number + 1).unwrap_or(u32::MAX) };
            }
            let failing = limits.iter().filter_map(|held| {
                let shift = sides.shift(held);
                let is_red = decision::decide(&shift, &held.criteria) == Ruling::Fail;
                is_red.then_some((held, shift.estimate / held.criteria.limit))
            });
            let worst = failing.max_by(|(_, one), (_, other)| one.total_cmp(other));
            sought = worst.map(|(held, _)| Sought {
                metric: held.metric,
                ends: sides.changes_of(held.metric).into_iter().map(kept).collect(),
            });
            match sought {
                Some(_) => Next::Stop,
                None => Next::GoOn { look: u32::try_from(number + 1).unwrap_or(u32::MAX) },
            }
        })?;
        if let Measured::Not(why) = measured {
            return Err(RunError::EndNotMeasured { commit: self.hash(last), why });
        }
        match sought {
            // Too few blocks say nothing of the ends, and nothing is kept of them.
            None if shown < most as usize => {
                return Err(RunError::NothingMeasured {
                    why: format!(
                        "there was time for {shown} of the {most} blocks that may be needed of the ends; give \
                         more with --timeout-seconds"
                    ),
                });
            }
            None => self.state.result = Some(BisectionResult::EndsAlike),
            Some(sought) => {
                self.host.progress.say(&format!("the ends differ in {}", sought.metric));
                self.state.sought = Some(sought);
            }
        }
        self.keep()
    }

    /// Builds both ends, and says whether that came to the same code.
    fn compile_alike(&mut self, last: usize) -> Result<bool, RunError> {
        let good = self.code(&self.state.good)?;
        let bad = match self.code(&self.hash(last)) {
            Err(error) if is_of_the_commit(&error) => {
                let why = error.to_string();
                return Err(RunError::EndNotMeasured { commit: self.hash(last), why });
            }
            built => built?,
        };
        let are_alike = good == bad;
        self.state.good_code = Some(good);
        if let Some(commit) = self.state.commits.get_mut(last) {
            commit.code = Some(bad);
        }
        Ok(are_alike)
    }

    /// A digest of what a commit runs; builds it.
    fn code(&self, commit: &str) -> Result<String, RunError> {
        let built = PathBuf::from(self.build(commit)?.lib_dir);
        let failed =
            |source| RunError::Io { what: "read the build in", path: built.clone(), source };
        code::digest(&built).map_err(failed)
    }

    fn search(&mut self) -> Result<(), RunError> {
        let Some(Sought { metric, ends }) = self.state.sought.clone() else { return Ok(()) };
        let ends: Vec<f64> = ends.iter().map(Decimal::approximate).collect();
        let parents: Vec<_> = self.state.commits.iter().map(|c| c.parents.clone()).collect();
        let cleared: Vec<usize> = self.positions(|commit| !commit.is_compiled);
        let error = self.state.error_pct.approximate() / 100.0;
        let mut search = Search::new(Range::new(&parents), Effect::of_ends(&ends), error, &cleared);
        for (index, commit) in self.state.commits.iter().enumerate() {
            commit.changes.iter().for_each(|change| search.observe(index, change.approximate()));
            if commit.skipped.is_some() || !commit.is_compiled {
                search.skip(index);
            }
            self.compare_code(&mut search, index);
        }
        let found = loop {
            match search.next() {
                Step::Found(commits) => break commits,
                Step::GiveUp => {
                    self.state.result = Some(BisectionResult::Undecided);
                    return self.keep();
                }
                Step::Measure(commit) => self.step(&mut search, commit, metric)?,
            }
        };
        let probabilities = search.probabilities();
        let probability: f64 = found.iter().filter_map(|index| probabilities.get(*index)).sum();
        let step = self.step_of(&found, metric)?;
        self.state.result = Some(BisectionResult::Found {
            commits: found,
            probability_pct: percent(probability),
            step: step.map(Box::new),
        });
        self.keep()
    }

    fn positions(&self, is_meant: impl Fn(&BisectedCommit) -> bool) -> Vec<usize> {
        let commits = self.state.commits.iter().enumerate();
        commits.filter(|(_, commit)| is_meant(commit)).map(|(index, _)| index).collect()
    }

    /// Measures one commit until it is clear enough which side it is on.
    fn step(&mut self, search: &mut Search, commit: usize, metric: Metric) -> Result<(), RunError> {
        let outlook = self.outlook(search, commit);
        self.begins(&outlook);
        match self.code(&self.hash(commit)) {
            Ok(code) => self.state.commits.get_mut(commit).into_iter().for_each(|of| {
                of.code = Some(code.clone());
            }),
            Err(error) if is_of_the_commit(&error) => {
                return self.skip(search, commit, &error.to_string());
            }
            Err(error) => return Err(error),
        }
        if self.compare_code(search, commit) {
            return self.keep();
        }
        let mut seen = Vec::new();
        let progress = self.host.progress;
        let most = self.arguments.step_blocks;
        let measured = self.measure(commit, None, most, |sides| {
            // A block without this figure says nothing, and the one before it has spoken already.
            let changes = sides.changes_of(metric);
            let Some(change) = changes.get(seen.len()).copied() else { return Next::Stop };
            seen.push(kept(change));
            search.observe(commit, change);
            let probability = search.probability_of(commit) * 100.0;
            progress.step(&format!("  {probability:.1} % that it or one before it is the one"));
            match search.is_clear(commit) {
                true => Next::Stop,
                false => Next::GoOn { look: u32::try_from(sides.len() + 1).unwrap_or(u32::MAX) },
            }
        });
        // What was seen counts, however the measurement ended.
        let probabilities = search.probabilities();
        for (of, probability) in self.state.commits.iter_mut().zip(&probabilities) {
            of.probability = Some(percent(*probability));
        }
        let is_silent = seen.is_empty();
        if let Some(of) = self.state.commits.get_mut(commit) {
            of.changes.extend(seen);
        }
        self.keep()?;
        match measured? {
            // It would be chosen again, and again say nothing.
            Measured::Blocks if is_silent => {
                self.skip(search, commit, &format!("its blocks have no {metric}"))
            }
            Measured::Blocks => Ok(()),
            Measured::Not(why) => self.skip(search, commit, &why),
        }
    }

    /// Which step comes, and how much there is to do after it.
    fn outlook(&mut self, search: &Search, commit: usize) -> String {
        let left = search.left();
        // Each step that is clear leaves half of them.
        let steps = (left.max(1) as f64).log2().ceil() as u32 + 1;
        let so_far = self.since.elapsed().checked_div(self.steps);
        let time = so_far.map(|step| format!(", about {}", about(step.saturating_mul(steps))));
        self.steps += 1;
        let (hash, subject) = self.name(commit);
        format!(
            "step {}, {left} commits left{}: {hash} {subject}",
            self.steps,
            time.unwrap_or_default()
        )
    }

    /// Something else is measured from now on.
    fn begins(&self, what: &str) {
        self.host.progress.step(what);
        self.host.progress.titled(what.to_owned());
    }

    fn skip(&mut self, search: &mut Search, commit: usize, why: &str) -> Result<(), RunError> {
        self.host.progress.say(&format!("  skipped: {why}"));
        search.skip(commit);
        if let Some(of) = self.state.commits.get_mut(commit) {
            of.skipped = Some(escape::clip(why, SKIPPED_MAX_CHARS));
        }
        self.keep()
    }

    /// Whether a commit runs what an end runs, so that it need not be measured.
    fn compare_code(&self, search: &mut Search, commit: usize) -> bool {
        let Some((of, last)) = self.state.commits.get(commit).zip(self.state.commits.last()) else {
            return false;
        };
        let (is_good, is_bad) = (of.code == self.state.good_code, of.code == last.code);
        match of.code {
            Some(_) if is_good => search.acquit(commit),
            Some(_) if is_bad && of.commit != last.commit => search.convict(commit),
            _ => false,
        }
    }

    /// The change between the last of the commits that were found and what came before the first.
    fn step_of(
        &mut self,
        found: &[usize],
        metric: Metric,
    ) -> Result<Option<BisectedStep>, RunError> {
        let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else {
            return Ok(None);
        };
        let before =
            self.state.commits.get(first).and_then(|commit| commit.parents.first().copied());
        let can_be = |index: usize| {
            self.state.commits.get(index).is_some_and(|commit| commit.skipped.is_none())
        };
        if !can_be(last) || before.is_some_and(|before| !can_be(before)) {
            return Ok(None);
        }
        let from = before.map_or_else(|| self.state.good.clone(), |before| self.hash(before));
        self.begins(&format!("the step: {} against {}", short(&self.hash(last)), short(&from)));
        let mut all = Vec::new();
        let measured = self.measure(last, Some(&from), STEP_BLOCKS, |sides| {
            all = sides.changes_of(metric);
            Next::GoOn { look: STEP_BLOCKS }
        })?;
        if let Measured::Not(_) = measured {
            return Ok(None);
        }
        let shift = shift::paired(&all, INTERVAL, INTERVAL);
        let change = |log: f64| {
            decision::percent_of_log(log, metric.worse()).map(|percent| decimal(percent, 2))
        };
        let (mut low, mut high) = (change(shift.lower), change(shift.upper));
        if metric.worse() == cp1_format::Direction::Decrease {
            std::mem::swap(&mut low, &mut high);
        }
        Ok(change(shift.estimate).map(|estimate_pct| BisectedStep {
            from,
            blocks: all.len() as u64,
            estimate_pct,
            low_pct: low,
            high_pct: high,
        }))
    }

    /// Measures a commit in turn with another one, the good one where none is named, and shows all blocks
    /// so far after each.
    fn measure(
        &mut self,
        commit: usize,
        against: Option<&str>,
        blocks: u32,
        mut after_block: impl FnMut(&Sides<'_>) -> Next,
    ) -> Result<Measured, RunError> {
        let against = against.unwrap_or(&self.state.good).to_owned();
        let hash = self.hash(commit);
        let build = match self.build(&hash) {
            Ok(build) => build,
            Err(error) if is_of_the_commit(&error) => return Ok(Measured::Not(error.to_string())),
            Err(error) => return Err(error),
        };
        let other = self.build(&against)?;
        let stamp = stamp();
        let candidate_file = self.directory.join(format!("perf_baseline_{stamp}.json"));
        let replay_file = self.directory.join(format!("perf_replay_{stamp}.json"));
        let mut plan = self.host.plan(&candidate_file, self.state.load.as_ref(), blocks, None)?;
        plan.seed = plan.seed.or_else(|| Some(u64::from(fastrand::u32(..))));
        plan.candidate = Some(CommitBuild { lib_dir: build.lib_dir, commit: hash });
        plan.replay = Some(FrozenBuild { report_file: text(&replay_file)?, ..other });
        let ended = self
            .measured(&plan, |candidate, replay| after_block(&Sides::in_turn(replay, candidate)));
        if let Ok(report) = read_file::<Report>(&candidate_file) {
            // What the first found is the load of all.
            self.state.load = self.state.load.take().or(report.load);
        }
        match ended {
            Ok(Ended::Complete) => Ok(Measured::Blocks),
            Ok(Ended::Failed(why)) => Ok(Measured::Not(why)),
            Ok(Ended::OutOfTime(why)) => Err(RunError::NothingMeasured { why }),
            Ok(Ended::Interrupted(code)) => Err(RunError::Interrupted(code)),
            Err(error) if is_of_the_commit(&error) => Ok(Measured::Not(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Shows all blocks so far after each: the bench asks after each but the last.
    fn measured(
        &self,
        plan: &Plan,
        mut after_block: impl FnMut(&Report, &Report) -> Next,
    ) -> Result<Ended, RunError> {
        let bench = Bench::start(&self.project, &self.path, None, self.host.interrupt)?;
        let Some(replay) = &plan.replay else { return Err(RunError::Unread) };
        let files = [&replay.report_file, &plan.report_file];
        // What was not measured, as time ran out, is not shown.
        let mut show = |number: u32| {
            let [Ok(replay), Ok(candidate)] =
                files.map(|path| read_file::<Report>(Path::new(path)))
            else {
                return Err(RunError::Unread);
            };
            let blocks = candidate.blocks.as_ref().map_or(0, Vec::len);
            let is_there = blocks >= number as usize;
            Ok(if is_there { after_block(&candidate, &replay) } else { Next::Stop })
        };
        let mut shown = 0;
        let measurement = self.host.measure(bench, plan, None, |number| {
            shown = number;
            show(number)
        })?;
        if matches!(measurement.ended, Ended::Complete) {
            show(shown + 1)?;
        }
        Ok(measurement.ended)
    }

    fn build(&self, commit: &str) -> Result<FrozenBuild, RunError> {
        self.host.frozen(commit, None, &self.described, &self.path)
    }

    fn keep(&self) -> Result<(), RunError> {
        let json = to_json(&self.state)?;
        Ok(write_atomically(&self.file, json.as_bytes())?)
    }

    fn hash(&self, commit: usize) -> String {
        self.state.commits.get(commit).map(|of| of.commit.clone()).unwrap_or_default()
    }

    /// What a person knows a commit by.
    fn name(&self, commit: usize) -> (String, String) {
        let subject = self.state.commits.get(commit).map(|of| escape::line(&of.subject));
        (short(&self.hash(commit)).to_owned(), subject.unwrap_or_default())
    }
}

/// Whether it is the commit that cannot be built or measured, and not the machine.
fn is_of_the_commit(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Build { .. }
            | RunError::NoCode { .. }
            | RunError::NothingToReplay
            | RunError::Refused(_)
    )
}

fn kept(change: f64) -> Decimal {
    decimal(change, PLACES)
}

fn decimal(number: f64, places: i64) -> Decimal {
    Decimal::rounded(&BigDecimal::from_f64(number).unwrap_or_default(), places)
}

/// A probability in percent.
fn percent(probability: f64) -> Amount {
    Amount::new(decimal(probability * 100.0, 4)).unwrap_or_else(|_| Amount::from(0))
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
