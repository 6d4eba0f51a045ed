//! Adds the profile `perf` to a `rebar.config`, as text, so that nothing else of it changes. Pure.

/// The profile: the adapter is compiled in it alone, and `rebar3 as perf ct` is the gate.
const PROFILE: &str = "{perf, [{project_app_dirs, [\"apps/*\", \"lib/*\", \".\", \"perf/adapter\"]},\n         \
     {ct_opts, [{dir, \"perf/suite\"}, {keep_logs, 5}, {ct_hooks, [cth_surefire]}]}]}";

/// What is to be done with a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// It has the profile.
    Done,
    /// The file with the profile in it.
    Text(String),
    /// A person has to do it: the text to add, and where.
    ByHand(String),
}

/// The file with the profile.
#[must_use]
pub fn with_profile(text: &str) -> Edit {
    let code = code_of(text);
    let by_hand = || {
        Edit::ByHand(format!(
            "add to profiles in rebar.config, with the directories that project_app_dirs has: {PROFILE}"
        ))
    };
    if text.contains("\"perf/adapter\"") {
        return Edit::Done;
    }
    // A list of directories of its own stands for more than this program should guess.
    if has_term(&code, "project_app_dirs") {
        return by_hand();
    }
    let Some(open) = profiles(&code) else {
        if has_term(&code, "profiles") {
            return by_hand();
        }
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Edit::Text(format!("{text}{gap}\n{{profiles, [{PROFILE}]}}.\n"));
    };
    if has_term(&code, "perf") {
        return by_hand();
    }
    let (before, after) = text.split_at(open);
    let is_empty = code.get(open..).is_some_and(|rest| rest.trim_start().starts_with(']'));
    let comma = if is_empty { "" } else { ",\n " };
    Edit::Text(format!("{before}{PROFILE}{comma}{after}"))
}

/// The text with comments, strings and quoted atoms blanked, byte for byte.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut inside: Option<char> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let blank = " ".repeat(character.len_utf8());
        match (inside, character) {
            (Some('%'), '\n') => {
                inside = None;
                code.push('\n');
            }
            (Some(quote), '\\') if quote != '%' => {
                code.push_str(&blank);
                let escaped = characters.next();
                code.push_str(&" ".repeat(escaped.map_or(0, char::len_utf8)));
            }
            (Some(quote), end) if quote != '%' && quote == end => {
                inside = None;
                code.push_str(&blank);
            }
            (Some(_), _) => code.push_str(&blank),
            (None, '%' | '"' | '\'') => {
                inside = Some(character);
                code.push_str(&blank);
            }
            // `$"` is a character.
            (None, '$') => {
                code.push('$');
                let escaped = characters.next();
                code.push_str(&" ".repeat(escaped.map_or(0, char::len_utf8)));
            }
            (None, _) => code.push(character),
        }
    }
    code
}

/// Whether a tuple begins with this name.
fn has_term(code: &str, name: &str) -> bool {
    after_name(code, name).is_some()
}

/// Where a tuple that begins with this name goes on after the name.
fn after_name(code: &str, name: &str) -> Option<usize> {
    code.match_indices('{').find_map(|(brace, _)| {
        let inside = code.get(brace + 1..)?;
        let rest = inside.trim_start().strip_prefix(name)?;
        let comma = rest.trim_start().strip_prefix(',')?;
        Some(code.len() - comma.len())
    })
}

/// Where the list of profiles begins, after its bracket.
fn profiles(code: &str) -> Option<usize> {
    let rest = code.get(after_name(code, "profiles")?..)?;
    let list = rest.trim_start().strip_prefix('[')?;
    Some(code.len() - list.len())
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn edited(text: &str) -> String {
        match with_profile(text) {
            Edit::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_without_profiles_gets_them_at_its_end() {
        assert_eq!(edited(""), format!("\n{{profiles, [{PROFILE}]}}.\n"));
        let text = "%% {profiles, [\n{erl_opts, [{d, 'profiles'}, \"{profiles, [\", $\", $%]}.";
        assert_eq!(edited(text), format!("{text}\n\n{{profiles, [{PROFILE}]}}.\n"));
    }

    #[test]
    fn profiles_that_are_there_keep_everything_and_get_one_more() {
        let text = "{ profiles , % ours\n [ {test, [{deps, [meck]}]} ] }.\n";
        let expected =
            format!("{{ profiles , % ours\n [{PROFILE},\n  {{test, [{{deps, [meck]}}]}} ] }}.\n");
        assert_eq!(edited(text), expected);
        assert_eq!(edited("{profiles, []}."), format!("{{profiles, [{PROFILE}]}}."));
    }

    #[test]
    fn an_edit_is_made_once_and_what_cannot_be_guessed_is_left_to_a_person() {
        assert_eq!(with_profile(&edited("")), Edit::Done);
        for text in [
            "{profiles, [{perf, [{erl_opts, []}]}]}.",
            "{project_app_dirs, [\"erlang/*\"]}.",
            "{profiles, Profiles}.",
        ] {
            assert!(matches!(with_profile(text), Edit::ByHand(_)), "{text}");
        }
    }
}
