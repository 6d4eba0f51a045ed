//! Processes of both builds by what they run, and the messages between them.

use std::collections::{BTreeMap, BTreeSet};

use cp1_format::{PlaceState, Processes, Profile, Profiles};

use super::figures::{number, size};
use super::places::BYTES_LEAST;
use super::{each, kept};

/// Part by which messages for a request must differ, and how many of them at least, to be others than before:
/// timers send some in any pass.
const MESSAGES_TOLERANCE: f64 = 0.1;
const MESSAGES_LEAST: f64 = 0.01;

/// A mailbox is no line of waiting requests below this.
const QUEUE_LEAST: u64 = 2;

/// What runs the same, on both sides.
#[derive(Debug, Clone)]
pub struct Running {
    /// What it runs, or its registered name.
    pub name: String,
    /// Whether its module belongs to the project.
    pub is_own: bool,
    frozen: Option<Processes>,
    candidate: Option<Processes>,
    requests: [u64; 2],
    workers: u64,
    /// Messages with others that changed, by direction, for a request.
    talk: Vec<Talk>,
}

/// Messages of one direction for a request.
#[derive(Debug, Clone)]
struct Talk {
    from: String,
    to: String,
    frozen: f64,
    candidate: f64,
    /// Words of one, on average.
    words: f64,
}

impl Talk {
    fn change(&self) -> f64 {
        self.candidate - self.frozen
    }

    fn is_changed(&self) -> bool {
        let least = MESSAGES_LEAST.max(MESSAGES_TOLERANCE * self.frozen.max(self.candidate));
        self.change().abs() >= least
    }
}

/// Those of both builds.
#[must_use]
pub fn compared(profiles: &Profiles) -> Vec<Running> {
    let Profiles { frozen, candidate } = profiles;
    let (mut before, mut after) = (by_name(frozen), by_name(candidate));
    let talks = talks(profiles);
    let mut names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let count = |name: &str| {
        let sides = [&before, &after].map(|side| side.get(name).map_or(0, |it| it.count));
        sides.into_iter().max().filter(|count| *count > 0).unwrap_or(u64::MAX)
    };
    // What two talk about is the business of the one of which there are fewer, as of a server and its
    // clients; of equals, of the receiver.
    let server = |talk: &Talk| {
        if count(&talk.from) < count(&talk.to) { talk.from.clone() } else { talk.to.clone() }
    };
    let mut of_server: BTreeMap<String, Vec<Talk>> = BTreeMap::new();
    for talk in talks.into_iter().filter(Talk::is_changed) {
        of_server.entry(server(&talk)).or_default().push(talk);
    }
    names.extend(of_server.keys().cloned());
    names
        .into_iter()
        .map(|name| {
            let (frozen, candidate) = (before.remove(&name), after.remove(&name));
            let is_own = [&frozen, &candidate].into_iter().flatten().any(|side| side.is_own);
            Running {
                is_own,
                frozen,
                candidate,
                requests: [profiles.frozen.requests, profiles.candidate.requests],
                workers: u64::from(profiles.candidate.workers),
                talk: of_server.remove(&name).unwrap_or_default(),
                name,
            }
        })
        .collect()
}

/// One entry of each name.
fn by_name(profile: &Profile) -> BTreeMap<String, Processes> {
    let mut all: BTreeMap<String, Processes> = BTreeMap::new();
    for processes in &profile.processes {
        let name = kept(&processes.name);
        match all.get_mut(&name) {
            None => {
                all.insert(name, processes.clone());
            }
            Some(sum) => {
                sum.is_own |= processes.is_own;
                sum.count = sum.count.saturating_add(processes.count);
                sum.bytes = sum.bytes.saturating_add(processes.bytes);
                sum.binary_bytes = sum.binary_bytes.saturating_add(processes.binary_bytes);
                sum.reductions = sum.reductions.saturating_add(processes.reductions);
                sum.running_us = sum.running_us.saturating_add(processes.running_us);
                sum.queue_max = sum.queue_max.max(processes.queue_max);
            }
        }
    }
    all
}

/// Messages of both sides by direction, for a request of their sample.
fn talks(profiles: &Profiles) -> Vec<Talk> {
    let mut talks: BTreeMap<(String, String), Talk> = BTreeMap::new();
    for (side, profile) in [&profiles.frozen, &profiles.candidate].into_iter().enumerate() {
        for messages in &profile.messages {
            let (from, to) = (kept(&messages.from), kept(&messages.to));
            let entry = talks.entry((from.clone(), to.clone()));
            let talk = entry.or_insert(Talk { from, to, frozen: 0.0, candidate: 0.0, words: 0.0 });
            let for_request = each(messages.count, messages.requests);
            match side {
                0 => talk.frozen += for_request,
                _ => talk.candidate += for_request,
            }
            talk.words = each(messages.words, messages.count);
        }
    }
    talks.into_values().collect()
}

impl Running {
    /// On which side they are.
    #[must_use]
    pub fn state(&self) -> PlaceState {
        match (&self.frozen, &self.candidate) {
            (None, Some(_)) => PlaceState::New,
            (Some(_), None) => PlaceState::Gone,
            _ => PlaceState::Both,
        }
    }

    fn change(&self, of: fn(&Processes) -> u64) -> f64 {
        let value = |side: &Option<Processes>| side.as_ref().map_or(0.0, |it| of(it) as f64);
        value(&self.candidate) - value(&self.frozen)
    }

    /// What their heaps, stacks and mailboxes hold more.
    #[must_use]
    pub fn change_bytes(&self) -> f64 {
        self.change(|it| it.bytes)
    }

    /// What the binaries that they hold on to have more; one that several hold counts for each.
    #[must_use]
    pub fn change_binary_bytes(&self) -> f64 {
        self.change(|it| it.binary_bytes)
    }

    /// Messages for a request that there are more with them.
    #[must_use]
    pub fn change_messages(&self) -> f64 {
        self.talk.iter().map(Talk::change).sum()
    }

    fn queue(side: &Option<Processes>) -> u64 {
        side.as_ref().map_or(0, |it| it.queue_max)
    }

    /// The longest mailbox in the candidate.
    #[must_use]
    pub fn queue_max(&self) -> u64 {
        Self::queue(&self.candidate)
    }

    /// Whether mailboxes grew longer than they were, or half of the workers stand in one.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        let (before, after) = (Self::queue(&self.frozen), Self::queue(&self.candidate));
        let is_line = after >= before && after >= QUEUE_LEAST.max(self.workers / 2);
        is_line || self.is_longer()
    }

    /// Whether it is new and has run, and is not there any more: spawned and ended for requests.
    #[must_use]
    pub fn is_spawned(&self) -> bool {
        let is_gone = self.candidate.as_ref().is_some_and(|it| it.count == 0 && it.running_us > 0);
        self.frozen.is_none() && is_gone
    }

    /// What it ran for a request of the candidate.
    #[must_use]
    pub fn ran_us(&self) -> f64 {
        let [_, requests] = self.requests;
        each(self.candidate.as_ref().map_or(0, |it| it.running_us), requests)
    }

    /// Whether a mailbox grew.
    #[must_use]
    pub fn is_longer(&self) -> bool {
        let (before, after) = (Self::queue(&self.frozen), Self::queue(&self.candidate));
        after > before && after >= before.saturating_mul(2).max(QUEUE_LEAST)
    }

    /// What differs, in words.
    #[must_use]
    pub fn evidence(&self) -> Vec<String> {
        let mut said = Vec::new();
        let count = |side: &Option<Processes>| side.as_ref().map_or(0, |it| it.count);
        match (self.state(), count(&self.frozen), count(&self.candidate)) {
            (PlaceState::New, _, 0) => {
                said.push("new, and ended before the last request".to_owned())
            }
            (PlaceState::New, _, after) => said.push(format!("new: {after} at the end")),
            (PlaceState::Gone, before, _) => {
                said.push(format!("not there any more: {before} before"))
            }
            (PlaceState::Both, before, after) if before != after => {
                said.push(format!("{after} at the end, {before} before"));
            }
            _ => {}
        }
        for talk in &self.talk {
            said.push(format!(
                "{} messages a request from {} to {}, {} before; {} words each",
                number(talk.candidate),
                talk.from,
                talk.to,
                number(talk.frozen),
                number(talk.words),
            ));
        }
        let (before, after) = (Self::queue(&self.frozen), Self::queue(&self.candidate));
        if after >= QUEUE_LEAST || before >= QUEUE_LEAST {
            said.push(format!("longest mailbox {after}, {before} before"));
        }
        let [requests_before, requests_after] = self.requests;
        let ran = |side: &Option<Processes>, requests| {
            each(side.as_ref().map_or(0, |it| it.running_us), requests)
        };
        let (before, after) =
            (ran(&self.frozen, requests_before), ran(&self.candidate, requests_after));
        if before > 0.0 || after > 0.0 {
            said.push(format!(
                "ran {} us of a request, {} us before",
                number(after),
                number(before)
            ));
        }
        for (what, of) in [
            ("memory", (|it| it.bytes) as fn(&Processes) -> u64),
            ("binaries held", |it| it.binary_bytes),
        ] {
            if self.change(of).abs() >= BYTES_LEAST {
                let value =
                    |side: &Option<Processes>| side.as_ref().map_or(0.0, |it| of(it) as f64);
                said.push(format!(
                    "{what} {}, {} before",
                    size(value(&self.candidate)),
                    size(value(&self.frozen))
                ));
            }
        }
        said
    }
}
