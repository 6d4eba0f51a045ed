//! The build of a frozen commit, for a replay: with the project's own command, in a work tree of its
//! own, kept by commit. The project's work tree and index stay as they are.
//!
//! What needs router_bench is left out, as is router_bench itself: the bench comes from the candidate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::read::git::{Git, GitError};
use crate::render::figures;
use crate::run::RunError;
use crate::run::build::{Libraries, build, code_path};
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;

/// Deepest directory of an application that is copied.
const DEPTH_MAX: u32 = 32;

/// The application of the bench.
const BENCH: &str = "router_bench";

/// What is built, and how.
#[derive(Debug)]
pub struct Frozen<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// Its build command.
    pub build: &'a str,
    /// Its globs of compiled modules.
    pub code_path: &'a str,
    /// The frozen commit.
    pub commit: &'a str,
    /// Its tree, which is built where the commit is gone.
    pub tree: Option<&'a str>,
    /// The release of Erlang/OTP that measures.
    pub otp_release: &'a str,
    /// Applications that come from the candidate.
    pub bench_applications: &'a [String],
    /// Where the candidate has its compiled modules.
    pub candidate_path: &'a [PathBuf],
}

/// The directory of the frozen commit's applications; built if it was not before.
///
/// # Errors
/// There is no such commit here, or it does not build.
pub fn frozen_build(
    frozen: &Frozen<'_>,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<PathBuf, RunError> {
    let git = Git::at(frozen.project);
    let commit = commit_to_build(&git, frozen)?;
    let how = Sha256::digest(format!("{}\0{}", frozen.build, frozen.code_path));
    let how: String = how.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept = frozen.project.join("_build/replay");
    let built = kept.join(format!("{}-otp{}-{how}", frozen.commit, frozen.otp_release));
    if built.is_dir() {
        return Ok(built);
    }
    let failed =
        |source| RunError::Io { what: "build the frozen commit in", path: kept.clone(), source };
    fs::create_dir_all(&kept).map_err(failed)?;
    let staged = tempfile::Builder::new().prefix(".building.").tempdir_in(&kept).map_err(failed)?;
    let worktree = Worktree::add(&git, &commit, staged.path().join("source"))?;
    let prefix = git.text(&["rev-parse", "--show-prefix"])?;
    let source = worktree.path.join(prefix);
    let libraries = staged.path().join("bench");
    fs::create_dir(&libraries).map_err(failed)?;
    for application in frozen.bench_applications {
        link(application, frozen.candidate_path, &libraries).map_err(failed)?;
        remove(application, &worktree.path, DEPTH_MAX).map_err(failed)?;
    }
    if !source.is_dir() {
        return Err(RunError::NothingToReplay);
    }
    spare_the_dependency(frozen.candidate_path, &source).map_err(failed)?;
    let what = format!("building the frozen commit {}", figures::short_commit(frozen.commit));
    build(&source, frozen.build, Libraries::Frozen(&libraries), interrupt, progress, &what)?;
    let ebins = code_path(&source, frozen.code_path);
    if ebins.is_empty() {
        return Err(RunError::NoCode { directory: source, globs: frozen.code_path.to_owned() });
    }
    let out = staged.path().join("lib");
    for (number, ebin) in ebins.iter().enumerate() {
        let application = ebin.parent().unwrap_or(ebin);
        // A number behind the name is a version to Erlang, whose `code:priv_dir/1` finds it then.
        let to = out.join(format!("{}-{number}", name(application, ebin).map_err(failed)?));
        // What an application needs when it runs; the rest is its source.
        for part in ["ebin", "priv"] {
            copy(&application.join(part), &to.join(part), DEPTH_MAX).map_err(failed)?;
        }
    }
    drop(worktree);
    // Another build of the same commit may have been faster.
    match fs::rename(&out, &built) {
        Err(_) if built.is_dir() => Ok(built),
        renamed => renamed.map(|()| built).map_err(failed),
    }
}

/// What an application is called: as its file says, else as its directory.
fn name(application: &Path, ebin: &Path) -> io::Result<String> {
    let files =
        fs::read_dir(ebin)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let described = files.iter().filter(|file| file.extension().is_some_and(|is| is == "app"));
    let stem = described.filter_map(|file| file.file_stem()).min();
    let name = stem.or(application.file_name()).unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// The commit, or where that is gone one made of its tree.
fn commit_to_build(git: &Git, frozen: &Frozen<'_>) -> Result<String, RunError> {
    let Frozen { commit, tree, .. } = *frozen;
    let has =
        |hash: &str, kind| git.text(&["cat-file", "-e", &format!("{hash}^{{{kind}}}")]).is_ok();
    let shallow =
        git.text(&["rev-parse", "--is-shallow-repository"]).map_err(|error| match error {
            GitError::NoRepository(_) => RunError::NoRepository(commit.to_owned()),
            error => RunError::Git(error),
        })?;
    if has(commit, "commit") {
        let of_commit = git.text(&["rev-parse", &format!("{commit}^{{tree}}")])?;
        return match tree {
            Some(tree) if tree != of_commit => {
                Err(RunError::OtherTree { commit: commit.to_owned(), tree: tree.to_owned() })
            }
            _ => Ok(commit.to_owned()),
        };
    }
    match tree {
        Some(tree) if has(tree, "tree") => Ok(git.text(&[
            "-c",
            "user.name=perf-gate",
            "-c",
            "user.email=perf-gate@localhost",
            "commit-tree",
            "-m",
            "the frozen tree",
            tree,
        ])?),
        _ => Err(RunError::NoCommit { commit: commit.to_owned(), is_shallow: shallow == "true" }),
    }
}

/// A work tree beside the project's own; gone when this is dropped.
struct Worktree<'a> {
    git: &'a Git,
    path: PathBuf,
}

impl<'a> Worktree<'a> {
    fn add(git: &'a Git, commit: &str, path: PathBuf) -> Result<Self, GitError> {
        let name = path.to_string_lossy().into_owned();
        git.output(&["worktree", "add", "--quiet", "--detach", &name, commit])?;
        let worktree = Self { git, path };
        if worktree.path.join(".gitmodules").is_file() {
            let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
            Git::at(&worktree.path).output(&update)?;
        }
        Ok(worktree)
    }
}

impl Drop for Worktree<'_> {
    fn drop(&mut self) {
        let name = self.path.to_string_lossy().into_owned();
        let removed = self.git.output(&["worktree", "remove", "--force", "--force", &name]);
        if removed.is_err() {
            // The directory goes with what it was made in; then git forgets it.
            let _ = fs::remove_dir_all(&self.path);
            let _ = self.git.output(&["worktree", "prune"]);
        }
    }
}

/// Puts the candidate's build of an application where the frozen build looks for libraries.
fn link(application: &str, candidate_path: &[PathBuf], libraries: &Path) -> io::Result<()> {
    let file = format!("{application}.app");
    let found = candidate_path.iter().find(|ebin| ebin.join(&file).is_file());
    match found.and_then(|ebin| ebin.parent()) {
        Some(directory) => {
            std::os::unix::fs::symlink(fs::canonicalize(directory)?, libraries.join(application))
        }
        None => Ok(()),
    }
}

/// A rebar3 project that has the bench as a dependency would fetch and compile it again, Rust and all:
/// as a checkout that is compiled already, it is neither.
fn spare_the_dependency(candidate_path: &[PathBuf], source: &Path) -> io::Result<()> {
    let config = source.join("rebar.config");
    let is_named = fs::read(config)
        .is_ok_and(|text| text.windows(BENCH.len()).any(|word| word == BENCH.as_bytes()));
    let file = format!("{BENCH}.app");
    let found = candidate_path.iter().find(|ebin| ebin.join(&file).is_file());
    let Some(compiled) = found.and_then(|ebin| ebin.parent()).filter(|_| is_named) else {
        return Ok(());
    };
    let checkout = source.join("_checkouts").join(BENCH);
    match fs::symlink_metadata(&checkout) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&checkout)?,
        Ok(_) => fs::remove_file(&checkout)?,
        Err(_) => {}
    }
    // Without its sources nothing of it is compiled.
    for part in ["ebin", "priv"] {
        copy(&compiled.join(part), &checkout.join(part), DEPTH_MAX)?;
    }
    Ok(())
}

/// Removes the directory of every application of this name from a source tree.
fn remove(application: &str, directory: &Path, depth: u32) -> io::Result<()> {
    let source = directory.join("src");
    // A link leads to an application that has a directory of its own.
    if source.join(format!("{application}.app.src")).is_file() && !source.is_symlink() {
        return fs::remove_dir_all(directory);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if depth > 0 && entry.file_type()?.is_dir() && entry.file_name() != ".git" {
            remove(application, &entry.path(), depth - 1)?;
        }
    }
    Ok(())
}

/// Copies what is there and follows links: a build is full of them, some to what nobody has to have.
fn copy(from: &Path, to: &Path, depth: u32) -> io::Result<()> {
    match fs::metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => {
            if depth == 0 {
                return Err(io::Error::other(format!("{} is too deep", from.display())));
            }
            fs::create_dir_all(to)?;
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                copy(&entry.path(), &to.join(entry.file_name()), depth - 1)?;
            }
            Ok(())
        }
        Ok(_) => fs::copy(from, to).map(|_| ()),
    }
}
