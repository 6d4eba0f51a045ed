//! Tables of ETS of both builds, by name.

use std::collections::{BTreeMap, BTreeSet};

use cp1_format::{PlaceState, Profile, Profiles};

use super::figures::size;
use super::kept;
use crate::render::figures::grouped;

/// How the tables of a name are on one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Made {
    kinds: BTreeSet<String>,
    owners: BTreeSet<String>,
    count: u64,
    rows: u64,
    bytes: u64,
    /// All of them.
    read_concurrency: bool,
    write_concurrency: bool,
}

/// The tables of a name on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The name.
    pub name: String,
    frozen: Option<Made>,
    candidate: Option<Made>,
}

/// Those of both builds.
#[must_use]
pub fn compared(profiles: &Profiles) -> Vec<Tables> {
    let (mut frozen, mut candidate) = (made(&profiles.frozen), made(&profiles.candidate));
    let names: BTreeSet<String> = frozen.keys().chain(candidate.keys()).cloned().collect();
    let sides = |name: String| Tables {
        frozen: frozen.remove(&name),
        candidate: candidate.remove(&name),
        name,
    };
    names.into_iter().map(sides).collect()
}

fn made(profile: &Profile) -> BTreeMap<String, Made> {
    let mut made: BTreeMap<String, Made> = BTreeMap::new();
    for table in &profile.tables {
        let of_name = made.entry(kept(&table.name)).or_insert_with(|| Made {
            read_concurrency: true,
            write_concurrency: true,
            ..Made::default()
        });
        of_name.kinds.insert(kept(&table.kind));
        of_name.owners.insert(kept(&table.owner));
        of_name.count = of_name.count.saturating_add(table.count);
        of_name.rows = of_name.rows.saturating_add(table.rows);
        of_name.bytes = of_name.bytes.saturating_add(table.bytes);
        of_name.read_concurrency &= table.read_concurrency;
        of_name.write_concurrency &= table.write_concurrency;
    }
    made
}

impl Tables {
    /// On which side they are.
    #[must_use]
    pub fn state(&self) -> PlaceState {
        match (&self.frozen, &self.candidate) {
            (None, Some(_)) => PlaceState::New,
            (Some(_), None) => PlaceState::Gone,
            _ => PlaceState::Both,
        }
    }

    /// Whether they are made otherwise, new or gone, which no noise does.
    #[must_use]
    pub fn is_made_otherwise(&self) -> bool {
        let how = |made: &Made| {
            (made.kinds.clone(), made.read_concurrency, made.write_concurrency, made.count)
        };
        self.frozen.as_ref().map(how) != self.candidate.as_ref().map(how)
    }

    /// What they hold more.
    #[must_use]
    pub fn change_bytes(&self) -> f64 {
        let bytes = |side: &Option<Made>| side.as_ref().map_or(0.0, |made| made.bytes as f64);
        bytes(&self.candidate) - bytes(&self.frozen)
    }

    /// What of them is seen, whichever side has more of it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        [&self.frozen, &self.candidate]
            .into_iter()
            .flatten()
            .map(|made| made.rows)
            .max()
            .unwrap_or(0)
    }

    /// Whether a process of this name owns them.
    #[must_use]
    pub fn is_of(&self, owner: &str) -> bool {
        let sides = [&self.frozen, &self.candidate];
        sides.into_iter().flatten().any(|made| made.owners.contains(owner))
    }

    /// What differs, in words.
    #[must_use]
    pub fn evidence(&self) -> Vec<String> {
        let all = |texts: &BTreeSet<String>| {
            texts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let of = |made: &Made| {
            format!(
                "{}, {} rows, {}, of {}",
                all(&made.kinds),
                grouped(&made.rows.to_string()),
                size(made.bytes as f64),
                all(&made.owners)
            )
        };
        let (before, after) = match (&self.frozen, &self.candidate) {
            (Some(before), Some(after)) => (before, after),
            (None, Some(after)) => return vec![format!("a new table: {}", of(after))],
            (Some(before), None) => return vec![format!("not there any more: {}", of(before))],
            (None, None) => return Vec::new(),
        };
        let mut said = Vec::new();
        if before.kinds != after.kinds {
            said.push(format!("{}, {} before", all(&after.kinds), all(&before.kinds)));
        }
        if before.count != after.count {
            said.push(format!("{} of them, {} before", after.count, before.count));
        }
        for (option, was, is) in [
            ("read_concurrency", before.read_concurrency, after.read_concurrency),
            ("write_concurrency", before.write_concurrency, after.write_concurrency),
        ] {
            if was != is {
                said.push(format!("{option} {is}, {was} before"));
            }
        }
        if before.rows != after.rows || before.bytes != after.bytes {
            said.push(format!(
                "{} rows in {}, {} in {} before",
                grouped(&after.rows.to_string()),
                size(after.bytes as f64),
                grouped(&before.rows.to_string()),
                size(before.bytes as f64)
            ));
        }
        said
    }
}
