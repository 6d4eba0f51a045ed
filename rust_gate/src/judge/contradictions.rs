//! What in a report contradicts the rest of it, of many the first.

use cp1_format::Problem;

/// Contradictions listed of one report; a damaged one could have thousands.
const LISTED_MAX: usize = 20;

/// Contradictions found so far.
pub(crate) struct Contradictions<'a> {
    file: &'a str,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl<'a> Contradictions<'a> {
    pub(crate) fn in_file(file: &'a str) -> Self {
        Self { file, problems: Vec::new(), unlisted: 0 }
    }

    pub(crate) fn add(&mut self, place: String, message: String) {
        if self.problems.len() == LISTED_MAX {
            self.unlisted += 1;
            return;
        }
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: Some(place),
            message,
            cure: "measure again; a report is not edited by hand".to_owned(),
        });
    }

    pub(crate) fn finish(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                place: None,
                message: format!("{} more contradictions are not listed", self.unlisted),
                cure: "measure again".to_owned(),
            });
        }
        self.problems
    }
}
