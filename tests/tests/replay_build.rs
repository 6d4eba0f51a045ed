//! `scripts/replay_build.sh` against real repositories.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use cp1_pipeline_tests::{Ended, root};

/// A commit that no repository has.
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef01234567";

/// A clone with the scripts as they are here, and with the compiled bench.
struct Clone {
    directory: tempfile::TempDir,
}

impl Clone {
    fn new(options: &[&str]) -> Self {
        let clone = Self { directory: tempfile::tempdir().unwrap() };
        let url = format!("file://{}", root().canonicalize().unwrap().display());
        let mut git = Command::new("git");
        git.args(["clone", "--quiet"]).args(options).arg(url).arg(clone.path("project"));
        succeed(&mut git);
        for script in ["replay_build.sh", "common.sh"] {
            let of = Path::new("scripts").join(script);
            std::fs::copy(root().join(&of), clone.path("project").join(&of)).unwrap();
        }
        clone
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.path("project")).args(arguments);
        succeed(&mut git).trim().to_owned()
    }

    fn build(&self, arguments: &[&str]) -> Ended {
        let mut build = Command::new(self.path("project/scripts/replay_build.sh"));
        Ended::from(build.args(arguments).output().unwrap())
    }

    fn refuses(&self, arguments: &[&str], said: &str) {
        let ended = self.build(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.printed);
        assert!(ended.printed.contains(said), "{arguments:?}: {}", ended.printed);
        assert!(!self.path("project/_build/replay").exists(), "nothing is left behind");
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_cannot_be_built_is_refused_with_the_cure() {
    let clone = Clone::new(&[]);
    let (commit, tree) =
        (clone.git(&["rev-parse", "HEAD"]), clone.git(&["rev-parse", "HEAD^{tree}"]));
    let outside = clone.path("outside");
    let option = format!("--output={}", outside.display());
    clone.refuses(&[], "give a commit");
    for hostile in [option.as_str(), "HEAD", "", "../../etc", &UNKNOWN[1..], "$(touch outside)"] {
        clone.refuses(&[hostile], "40 lower-case hexadecimal digits");
        clone.refuses(&[&commit, hostile], if hostile.is_empty() { continue } else { "the tree" });
    }
    assert!(!outside.exists());
    clone.refuses(&[UNKNOWN], &format!("git fetch origin {UNKNOWN}"));
    clone.refuses(&[&tree], "does not have the frozen commit");
    clone.refuses(&[&commit, UNKNOWN], "is not that of its commit");

    let shallow = Clone::new(&["--depth", "1"]);
    let parent = clone.git(&["rev-parse", "HEAD~1"]);
    shallow.refuses(&[&parent], "git fetch --unshallow");

    std::fs::rename(clone.path("project/.git"), clone.path("git")).unwrap();
    clone.refuses(&[&commit], "PERF_COMPARE=frozen");
}

#[test]
fn a_commit_is_built_once_and_a_lost_one_by_its_tree() {
    let clone = Clone::new(&[]);
    // The bench that the frozen router is built for: this repository's own.
    succeed(Command::new("rebar3").current_dir(root()).args(["as", "perf", "compile"]));
    std::fs::create_dir(clone.path("project/_build")).unwrap();
    let compiled = root().canonicalize().unwrap().join("_build/perf");
    std::os::unix::fs::symlink(compiled, clone.path("project/_build/perf")).unwrap();
    let commit = clone.git(&["rev-parse", "HEAD"]);
    let tree = clone.git(&["rev-parse", "HEAD^{tree}"]);

    let built = clone.build(&[&commit, &tree]);
    assert_eq!(built.code, Some(0), "{}", built.printed);
    let directory = PathBuf::from(built.printed.lines().next().unwrap());
    assert!(directory.join("ref_router/ebin/ref_router.beam").is_file());
    assert!(!directory.join("router_bench").exists(), "the bench comes from the candidate");
    assert!(!directory.join("ref_router_adapter").exists(), "and so does its adapter");
    let again = clone.build(&[&commit, &tree]);
    assert_eq!(again.printed.lines().count(), 1, "built before: {}", again.printed);

    let by_tree = clone.build(&[UNKNOWN, &tree]);
    assert_eq!(by_tree.code, Some(0), "{}", by_tree.printed);
    assert!(by_tree.printed.contains(&format!("{UNKNOWN}-otp")), "{}", by_tree.printed);
    let left: Vec<_> = std::fs::read_dir(clone.path("project/_build/replay"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(clone.git(&["status", "--porcelain", "--untracked-files=no"]).lines().count(), {
        // Scripts that differ from the clone's commit, nothing else.
        clone.git(&["diff", "--name-only", "--", "scripts"]).lines().count()
    });
}
