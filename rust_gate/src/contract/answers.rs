//! The three questions that whoever changes the contract answers, and which texts are no answers.

use std::collections::BTreeSet;
use std::path::Path;

use cp1_format::Problem;

use super::problem;
use crate::cli::arguments::Answers;

/// Fewest different words of an answer.
const WORDS_MIN: usize = 6;
/// Longest answer, and longest artifact, in characters.
const LENGTH_MAX: usize = 4000;
const ARTIFACT_LENGTH_MAX: usize = 300;

/// What stands where somebody wanted to say something later, or nothing.
const PLACEHOLDERS: [&str; 10] = [
    "todo",
    "tbd",
    "fixme",
    "xxx",
    "lorem ipsum",
    "n/a",
    "see above",
    "as discussed",
    "see merge request",
    "no reason",
];

/// Why the answers are none.
#[must_use]
pub fn problems(answers: &Answers, root: &Path) -> Vec<Problem> {
    let Answers { what, why_acceptable, why_policy_holds, artifact } = answers;
    let mut problems = Vec::new();
    let given = [
        ("--what", what),
        ("--why-acceptable", why_acceptable),
        ("--why-policy-holds", why_policy_holds),
    ];
    for (index, (option, answer)) in given.iter().enumerate() {
        let earlier = given.iter().take(index).any(|(_, other)| words(other) == words(answer));
        let refusal = if earlier { Some("it repeats another answer") } else { refusal(answer) };
        if let Some(refusal) = refusal {
            let cure = "say in a sentence or two what a reviewer needs to know";
            problems.push(problem(*option, refusal, cure));
        }
    }
    if artifact.is_empty() {
        let cure = "give the reports that were measured: a link, or a path that exists";
        problems.push(problem("--artifact", "there is no link to what was measured", cure));
    }
    for artifact in artifact {
        let is_link = artifact.starts_with("https://") && !artifact.contains(char::is_whitespace);
        let is_text = artifact.chars().all(|c| matches!(c, ' '..='~'));
        let is_short = artifact.chars().count() <= ARTIFACT_LENGTH_MAX;
        if !(is_text && is_short && (is_link || root.join(artifact).exists())) {
            let message = format!("{artifact} is no https:// link and no file");
            problems.push(problem("--artifact", message, "give a link, or a path that exists"));
        }
    }
    problems
}

fn words(answer: &str) -> Vec<String> {
    let words = answer.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn refusal(answer: &str) -> Option<&'static str> {
    let lower = format!(" {} ", answer.to_lowercase());
    let has = |placeholder: &str| {
        lower.match_indices(placeholder).any(|(at, found)| {
            let before = lower.get(..at).and_then(|text| text.chars().last());
            let after = lower.get(at + found.len()..).and_then(|text| text.chars().next());
            let is_edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
            is_edge(before) && is_edge(after)
        })
    };
    if words(answer).is_empty() {
        Some("the answer is empty")
    } else if answer.chars().count() > LENGTH_MAX {
        Some("the answer is longer than 4000 characters")
    } else if answer.chars().any(|c| c.is_control() && c != '\n') {
        Some("the answer has control characters")
    } else if PLACEHOLDERS.iter().any(|placeholder| has(placeholder)) {
        Some("the answer has a placeholder")
    } else if words(answer).into_iter().collect::<BTreeSet<_>>().len() < WORDS_MIN {
        Some("the answer has fewer than 6 different words")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_something() {
        for empty in ["", "  \n", "...", "fix", "TODO", "It is faster now.", "x x x x x x x x"] {
            assert!(refusal(empty).is_some(), "{empty}");
        }
        for placeholder in [
            "TODO: explain why we accept this change here",
            "This is acceptable as discussed in the daily meeting",
            "The answer to this question is n/a for our team",
        ] {
            assert_eq!(refusal(placeholder), Some("the answer has a placeholder"));
        }
        for answer in [
            "The transport encodes frames now, which costs eight microseconds a request.",
            "Die Methode todomatic() kostet jetzt mehr Speicher je Sitzung.",
        ] {
            assert_eq!(refusal(answer), None, "{answer}");
        }
    }
}
