//! Files that no commit may have.

use cp1_format::Problem;

use super::states::History;
use crate::artifacts;
use crate::contract::{ContractError, owned, problem};

impl History {
    /// Reports and verdicts do not belong into the history, nor does what is built.
    pub(super) fn artifacts(&self) -> Result<Vec<Problem>, ContractError> {
        let options = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", &self.head];
        let listed = self.git.output(&options)?;
        let paths = String::from_utf8_lossy(&listed).into_owned();
        let is_artifact = |path: &&str| {
            path.split('/').any(|part| part == artifacts::DIRECTORY)
                || artifacts::is_of_a_run(path.rsplit('/').next().unwrap_or_default())
        };
        let cure = "remove it: git rm --cached; link to where continuous integration keeps it";
        let artifact = |path: &str| problem(path, "an artifact of a run is committed", cure);
        let in_project = paths.split('\0').filter_map(|path| path.strip_prefix(&self.prefix));
        let in_project: Vec<&str> = in_project.collect();
        let built = owned::built_of(&in_project).map(|path| {
            let message =
                "a build product is committed, and would be measured for what is compiled";
            problem(
                path,
                message,
                "remove it: git rm -r --cached, and add its directory to .gitignore",
            )
        });
        let artifacts = paths.split('\0').filter(is_artifact).map(artifact);
        Ok(artifacts.chain(built).collect())
    }
}
