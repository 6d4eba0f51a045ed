//! Where a function stands in a module's source, for `git log -L`: git's own look for a function's name would
//! end at its second clause. Only as much of Erlang is read as that needs, and no macro is expanded.

/// The first and the last line of a function, from 1; `None` where the source does not have it.
#[must_use]
pub fn lines(source: &str, function: &str, arity: u8) -> Option<(usize, usize)> {
    forms(source).into_iter().find_map(|form| {
        let (name, of_form) = head(form.text)?;
        (name == function && of_form == usize::from(arity)).then_some((form.first, form.last))
    })
}

/// A piece of the source up to the dot at its end, without what precedes its first token.
struct Form<'a> {
    text: &'a str,
    first: usize,
    last: usize,
}

fn forms(source: &str) -> Vec<Form<'_>> {
    let mut forms = Vec::new();
    let (mut begin, mut line, mut first) = (None, 1, 1);
    let mut tokens = Tokens { rest: source };
    while let Some(token) = tokens.next() {
        if !token.is_space() && begin.is_none() {
            (begin, first) = (Some(source.len() - tokens.rest.len() - token.text().len()), line);
        }
        line += token.text().matches('\n').count();
        if let (Token::End(_), Some(from)) = (&token, begin) {
            let text = source.get(from..source.len() - tokens.rest.len()).unwrap_or_default();
            // The dot's own token has the space behind it.
            let last = line - token.text().matches('\n').count();
            forms.push(Form { text, first, last });
            begin = None;
        }
    }
    forms
}

/// Name and arity of a function's first clause.
fn head(form: &str) -> Option<(String, usize)> {
    let mut tokens = Tokens { rest: form }.filter(|token| !token.is_space());
    let name = match tokens.next()? {
        Token::Word(word) if word.starts_with(|c: char| c.is_lowercase()) => word.to_owned(),
        Token::Quoted(quoted) if quoted.starts_with('\'') => quoted.trim_matches('\'').to_owned(),
        _ => return None,
    };
    let Some(Token::Other("(")) = tokens.next() else { return None };
    let (mut depth, mut commas, mut is_empty) = (1_u32, 0, true);
    for token in tokens {
        match token {
            Token::Other("(" | "[" | "{" | "<<") => (depth, is_empty) = (depth + 1, false),
            Token::Other(")" | "]" | "}" | ">>") => {
                depth -= 1;
                if depth == 0 {
                    return Some((name, if is_empty { 0 } else { commas + 1 }));
                }
            }
            Token::Other(",") if depth == 1 => commas += 1,
            _ => is_empty = false,
        }
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// White space, or a comment up to its end of line.
    Space(&'a str),
    /// An atom, a variable, a number.
    Word(&'a str),
    /// A string, a quoted atom, a character.
    Quoted(&'a str),
    /// A dot with the white space, comment or end of file behind it.
    End(&'a str),
    /// A bracket, a comma, or any other character.
    Other(&'a str),
}

impl<'a> Token<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Space(text)
            | Self::Word(text)
            | Self::Quoted(text)
            | Self::End(text)
            | Self::Other(text) => text,
        }
    }

    fn is_space(&self) -> bool {
        matches!(self, Self::Space(_))
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.rest;
        let first = text.chars().next()?;
        let until = |is_end: &dyn Fn(char) -> bool| text.find(is_end).unwrap_or(text.len());
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@');
        let (length, kind): (usize, fn(&'a str) -> Token<'a>) = match first {
            c if c.is_whitespace() => (until(&|c| !c.is_whitespace()), Token::Space),
            '%' => (until(&|c| c == '\n'), Token::Space),
            '"' | '\'' => (quoted(text, first), Token::Quoted),
            '$' => (character(text), Token::Quoted),
            '.' => {
                let after = text.get(1..).and_then(|rest| rest.chars().next());
                match after {
                    Some(c) if c.is_whitespace() => (1 + c.len_utf8(), Token::End),
                    None | Some('%') => (1, Token::End),
                    Some(_) => (1, Token::Other),
                }
            }
            '<' if text.starts_with("<<") => (2, Token::Other),
            '>' if text.starts_with(">>") => (2, Token::Other),
            c if is_word(c) => (until(&|c| !is_word(c)), Token::Word),
            c => (c.len_utf8(), Token::Other),
        };
        let (token, rest) = text.split_at_checked(length).unwrap_or((text, ""));
        self.rest = rest;
        Some(kind(token))
    }
}

/// The length of a text in quotes, from the first to the last; all that is left where there is no end.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `$c` or `$\n`.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next().map_or(text.len(), |(at, escaped)| at + escaped.len_utf8())
        }
        Some((at, plain)) => at + plain.len_utf8(),
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODULE: &str = r#"%% @doc A dot. In a comment.
-module(x).
-define(SAY(T), io:format("a. b~n", T)).

%% @doc First.
-spec route(term()) -> ok.
route(#{a := [_, _], b := <<_:8, _/binary>>} = M) ->
    $. , $\', $\s, "it is \"here\". ",
    other(M);
route(_) ->
    1.5.

other(A) -> other(A, {b, c}).
other(A, B) ->
    fun(X) -> {A, B, X} end. % the end. not this
'quoted name'() -> 'don\'t. '.
last() -> ok."#;

    #[test]
    fn a_function_stands_from_its_first_clause_to_the_dot() {
        for (function, arity, found) in [
            ("route", 1, Some((7, 11))),
            ("other", 1, Some((13, 13))),
            ("other", 2, Some((14, 15))),
            ("quoted name", 0, Some((16, 16))),
            ("last", 0, Some((17, 17))),
            ("route", 2, None),
            ("module", 1, None),
            ("missing", 0, None),
        ] {
            assert_eq!(lines(MODULE, function, arity), found, "{function}/{arity}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_source_is_lines_are_within_it(
            source in "[a-z(){}<>.,;'\"$%\\\\ \nä-]{0,200}", arity in 0u8..3,
        ) {
            for function in ["a", "b", "z"] {
                if let Some((first, last)) = lines(&source, function, arity) {
                    let most = source.matches('\n').count() + 1;
                    prop_assert!(1 <= first && first <= last && last <= most);
                }
            }
            let all: String = Tokens { rest: &source }.map(|token| token.text().to_owned()).collect();
            prop_assert_eq!(all, source);
        }
    }
}
