//! The one place that runs git.
//!
//! Git answers about the repository that a directory is in, as its objects are. Nothing else has a say:
//! not the environment (a hook sets `GIT_DIR`), no replacement, graft or cache of the history, no
//! directory that only looks like a repository, and no name that could be two things. Nor does git run
//! what a repository's settings name, but for what fetching and checking out need: transports,
//! credential helpers and filters, which are settings of the machine and no part of a commit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Largest file that is read out of a repository, in bytes: as the reader of reports accepts.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Largest commit whose message is shown, in bytes.
const COMMIT_MAX_BYTES: u64 = 64 * 1024;

/// How often a git is looked at that must answer in time.
const POLL: Duration = Duration::from_millis(10);

/// Variables of git that say how a server is reached, and nothing about the repository.
const TRANSPORT: [&str; 10] = [
    "GIT_ASKPASS",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_SSL_NO_VERIFY",
];

/// Variables by which a git that runs a program, as a hook does, says which repository is meant.
const REPOSITORY: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// What git is told whatever its configuration says.
const SETTINGS: [&str; 8] = [
    // Programs.
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    // A tracked directory may look like a bare repository, with refs and settings of its own.
    "safe.bareRepository=explicit",
    // A cache that says which parents a commit has.
    "core.commitGraph=false",
    "advice.detachedHead=false",
    "advice.graftFileDeprecated=false",
];

/// Variables that git is given: raw objects, no prompt, and messages that can be told apart.
const VARIABLES: [(&str, &str); 4] = [
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_GRAFT_FILE", "/dev/null"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C"),
];

/// Takes from a program, such as a build, what would lead the gits that it runs elsewhere.
pub fn forget_repository(program: &mut Command) {
    for name in REPOSITORY {
        program.env_remove(name);
    }
}

/// A repository, by a directory in it.
#[derive(Debug, Clone)]
pub struct Git {
    directory: PathBuf,
}

/// Why the repository did not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("failed to run git: {0}; install git")]
    NotStarted(#[source] std::io::Error),
    /// Git refused.
    #[error("git {command} failed in {}: {message}", directory.display())]
    Failed {
        /// What was asked.
        command: String,
        /// Where.
        directory: PathBuf,
        /// What git said.
        message: String,
    },
    /// There is no repository.
    #[error("{} is in no git repository; clone the project, and run this there", .0.display())]
    NoRepository(PathBuf),
    /// Git does not touch a repository of another user.
    #[error(
        "git refuses the repository at {0}, which belongs to another user; if you trust its files: git \
         config --global --add safe.directory '{0}'"
    )]
    OtherOwner(String),
    /// There is no such revision.
    #[error(
        "the repository does not have the revision {0}; fetch it first, in a shallow clone with \
         `git fetch --unshallow`"
    )]
    NoRevision(String),
    /// The revision could be several things.
    #[error("{revision} is ambiguous: it could be {}; give the full name of the one that is meant",
        .meant.join(" or "))]
    Ambiguous {
        /// What was given.
        revision: String,
        /// The full names.
        meant: Vec<String>,
    },
    /// The revision does not have the file.
    #[error("the revision {revision} has no regular file {path}; name a revision that has it")]
    NoFile {
        /// Which revision.
        revision: String,
        /// Which file.
        path: String,
    },
    /// The file is too large.
    #[error("{0} is larger than {FILE_MAX_BYTES} bytes")]
    TooLarge(String),
}

impl Git {
    /// The repository that a directory is in.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// A path that git printed, which counts from the directory where that is relative.
    #[must_use]
    pub fn path(&self, printed: &str) -> PathBuf {
        self.directory.join(printed)
    }

    /// What a command prints.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        self.printed(arguments, output.map_err(GitError::NotStarted)?)
    }

    /// What a command prints that reads from its standard input.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn output_of(&self, arguments: &[&str], input: String) -> Result<Vec<u8>, GitError> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::NotStarted)?;
        let stdin = child.stdin.take();
        // Beside the reading, as git may print before it has read everything. Where it stops reading, its
        // code says why.
        let writer = std::thread::spawn(move || {
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        });
        let output = child.wait_with_output().map_err(GitError::NotStarted)?;
        let _ = writer.join();
        self.printed(arguments, output)
    }

    /// What a command prints that answers in time; `None` where it does not.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn output_until(
        &self,
        arguments: &[&str],
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, GitError> {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(GitError::NotStarted)?;
        let stdout = child.stdout.take();
        // Beside the waiting, as git waits for whoever reads.
        let reader = std::thread::spawn(move || {
            let mut printed = Vec::new();
            stdout.map(|mut stdout| stdout.read_to_end(&mut printed));
            printed
        });
        let status = loop {
            match child.try_wait().map_err(GitError::NotStarted)? {
                None if Instant::now() < deadline => std::thread::sleep(POLL),
                None => break None,
                ended => break ended,
            }
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let stdout = reader.join().unwrap_or_default();
        let Some(status) = status else { return Ok(None) };
        let output = Output { status, stdout, stderr: Vec::new() };
        self.printed(arguments, output).map(Some)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            let is_transport = TRANSPORT.iter().any(|kept| name == OsStr::new(kept));
            if name.as_encoded_bytes().starts_with(b"GIT_") && !is_transport {
                git.env_remove(name);
            }
        }
        git.env_remove("LANGUAGE").envs(VARIABLES);
        git.args(["--no-pager", "--no-optional-locks", "--literal-pathspecs"]);
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        git.arg("-C").arg(&self.directory).args(arguments);
        git
    }

    fn printed(&self, arguments: &[&str], output: Output) -> Result<Vec<u8>, GitError> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let directory = self.directory.clone();
        if message.contains("detected dubious ownership") {
            let named = message.split('\'').nth(1).map(str::to_owned);
            return Err(GitError::OtherOwner(
                named.unwrap_or_else(|| directory.display().to_string()),
            ));
        }
        if message.contains("fatal: not a git repository") {
            return Err(GitError::NoRepository(
                std::path::absolute(&directory).unwrap_or(directory),
            ));
        }
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        Err(GitError::Failed { command, directory, message })
    }

    /// What a command prints, as text without the space around it.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn text(&self, arguments: &[&str]) -> Result<String, GitError> {
        let bytes = self.output(arguments)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The branch that the server calls its default one, where the clone knows.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        let name = self.text(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]).ok()?;
        Some(name.strip_prefix("refs/remotes/origin/")?.to_owned())
    }

    /// The commit that a revision names, if that can be one thing only.
    ///
    /// # Errors
    /// [`GitError::NoRevision`], [`GitError::Ambiguous`], or that there is no repository.
    pub fn commit(&self, revision: &str) -> Result<String, GitError> {
        self.text(&["rev-parse", "--git-dir"])?;
        let wanted = format!("{}^{{commit}}", self.full(revision)?);
        self.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).map_err(
            |error| match error {
                GitError::Failed { .. } => GitError::NoRevision(revision.to_owned()),
                error => error,
            },
        )
    }

    /// A revision by the full name of its branch or tag. Git itself takes the first that it finds: a tag
    /// before a branch, and either before the branch of a remote.
    fn full(&self, revision: &str) -> Result<String, GitError> {
        let none = || GitError::NoRevision(revision.to_owned());
        let ends = [revision.find(['~', '^', ':']), revision.find("@{")];
        let end = ends.into_iter().flatten().min().unwrap_or(revision.len());
        let (name, suffix) = revision.split_at(end);
        // What finds a commit by its message believes what the commit says.
        if suffix.contains(['/', ':']) {
            return Err(none());
        }
        let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if matches!(name, "" | "HEAD" | "@") || (is_hex && matches!(name.len(), 40 | 64)) {
            return Ok(revision.to_owned());
        }
        if name.starts_with("refs/") {
            // Git would go on and look for a tag of this name.
            let has = !self.refs(vec![name.to_owned()])?.is_empty();
            return if has { Ok(revision.to_owned()) } else { Err(none()) };
        }
        let remote = format!("refs/remotes/{name}");
        let mut meant = self.refs(vec![
            format!("refs/{name}"),
            format!("refs/tags/{name}"),
            format!("refs/heads/{name}"),
            remote.clone(),
            format!("{remote}/HEAD"),
        ])?;
        if meant.is_empty() {
            return Ok(revision.to_owned());
        }
        let remotes = self.text(&["remote"])?;
        let is_of_remote = |of: &str| name.strip_prefix(of).is_some_and(|it| it.starts_with('/'));
        if remotes.lines().any(is_of_remote) && !meant.contains(&remote) {
            // Who gives such a name means the remote's branch, also before it was fetched.
            meant.push(remote);
        }
        if is_hex && name.len() >= 4 {
            let objects = self.text(&["rev-parse", &format!("--disambiguate={name}")])?;
            meant.extend(objects.lines().map(str::to_owned));
        }
        match meant.as_slice() {
            [one] => Ok(format!("{one}{suffix}")),
            _ => Err(GitError::Ambiguous { revision: revision.to_owned(), meant }),
        }
    }

    /// Those of these refs that there are.
    fn refs(&self, wanted: Vec<String>) -> Result<Vec<String>, GitError> {
        let list: Vec<&str> = ["for-each-ref", "--format=%(refname)"]
            .into_iter()
            .chain(wanted.iter().map(String::as_str))
            .collect();
        let listed = self.text(&list)?;
        // A name also stands for all below it.
        Ok(wanted.into_iter().filter(|name| listed.lines().any(|line| line == name)).collect())
    }

    /// A regular file as a commit has it; the path counts from this directory, or is absolute.
    ///
    /// # Errors
    /// [`GitError::NoFile`], [`GitError::TooLarge`]; or what the file is cannot be found out, as in a
    /// partial clone whose server is gone.
    pub fn file(&self, commit: &str, path: &str) -> Result<Vec<u8>, GitError> {
        let listed = self.output(&["ls-tree", "-z", commit, "--", path])?;
        match Entry::of_tree(&String::from_utf8_lossy(&listed)).as_slice() {
            [(_, entry)] if entry.is_file() => self.blob(&entry.blob, path),
            _ => Err(GitError::NoFile { revision: commit.to_owned(), path: path.to_owned() }),
        }
    }

    /// The first line of what each of these commits says, named by their hashes. What the repository does
    /// not have, or what is no commit, is left out; so is everything where there is no repository.
    #[must_use]
    pub fn subjects(&self, hashes: &[String]) -> BTreeMap<String, String> {
        let ask = |how: &str, hashes: &[&str]| {
            let lines = hashes.iter().map(|hash| format!("{hash}\n")).collect();
            if hashes.is_empty() {
                Vec::new()
            } else {
                self.output_of(&["cat-file", how], lines).unwrap_or_default()
            }
        };
        let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
        let kinds = String::from_utf8_lossy(&ask("--batch-check", &hashes)).into_owned();
        let small = |line: &&str| {
            let mut parts = line.split(' ').skip(1);
            let size = (parts.next() == Some("commit")).then(|| parts.next()).flatten();
            size.and_then(|size| size.parse().ok())
                .is_some_and(|size: u64| size <= COMMIT_MAX_BYTES)
        };
        let commits: Vec<_> =
            kinds.lines().filter(small).filter_map(|line| line.split(' ').next()).collect();
        let printed = ask("--batch", &commits);
        let mut rest = printed.as_slice();
        let mut subjects = BTreeMap::new();
        // Of each a line with its name, kind and size, and what it says, with an end of line behind.
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            let line = String::from_utf8_lossy(line);
            let mut parts = line.trim_end().split(' ');
            let (hash, size) = (parts.next().unwrap_or_default(), parts.nth(1));
            let Some(size) = size.and_then(|size| size.parse::<usize>().ok()) else { break };
            let (commit, after) = after.split_at_checked(size).unwrap_or((after, &[]));
            let commit = String::from_utf8_lossy(commit);
            let message = commit.split_once("\n\n").map_or("", |(_, message)| message);
            let subject = message.trim_start().lines().next().unwrap_or_default();
            subjects.insert(hash.to_owned(), subject.to_owned());
            rest = after.strip_prefix(b"\n").unwrap_or(after);
        }
        subjects
    }

    /// What a blob contains; `name` is what it is called in messages.
    ///
    /// # Errors
    /// [`GitError::TooLarge`], or it is not here and cannot be fetched.
    pub fn blob(&self, blob: &str, name: &str) -> Result<Vec<u8>, GitError> {
        let size = self.text(&["cat-file", "-s", blob])?;
        if size.parse::<u64>().is_ok_and(|bytes| bytes <= FILE_MAX_BYTES) {
            self.output(&["cat-file", "blob", blob])
        } else {
            Err(GitError::TooLarge(name.to_owned()))
        }
    }
}

/// What a tree has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Kind and permissions, as git writes them.
    pub mode: String,
    /// The hash of its content.
    pub blob: String,
}

impl Entry {
    /// Whether it is a file, and no link, directory or submodule.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    /// The paths and entries that `ls-tree -z` printed.
    #[must_use]
    pub fn of_tree(listed: &str) -> Vec<(String, Self)> {
        let entry = |line: &str| {
            let (head, path) = line.split_once('\t')?;
            let mut parts = head.split_whitespace();
            let (mode, _, blob) = (parts.next()?, parts.next()?, parts.next()?);
            Some((path.to_owned(), Self { mode: mode.to_owned(), blob: blob.to_owned() }))
        };
        listed.split('\0').filter_map(entry).collect()
    }
}
