//! Text in lines of a width.

/// The lines of a text: the first begins with `first`, the others with as many spaces as `rest` says. A word
/// that is longer than a line is cut.
#[must_use]
pub fn wrapped(first: &str, rest: usize, text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut length, mut is_new) = (first.to_owned(), first.chars().count(), true);
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let space = usize::from(!is_new);
            let room = width.saturating_sub(length + space).max(usize::from(is_new));
            if length + space + word.len() <= width || is_new {
                let rest = word.split_off(room.min(word.len()));
                line.extend(std::iter::repeat_n(' ', space).chain(word.iter().copied()));
                length += space + word.len();
                (word, is_new) = (rest, false);
                if word.is_empty() {
                    break;
                }
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(rest)));
            (length, is_new) = (rest, true);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_ends_where_a_word_does() {
        assert_eq!(wrapped("a: ", 3, "one two three", 10), ["a: one two", "   three"]);
        assert_eq!(wrapped("", 2, "onetwothree four", 6), ["onetwo", "  thre", "  e", "  four"]);
        assert_eq!(wrapped("a: ", 3, "", 10), ["a: "]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_letter_is_lost(
            text in "[a-zäß ]{0,200}", rest in 0usize..9, width in 10usize..40,
        ) {
            let lines = wrapped("x: ", rest, &text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&format!("x: {text}")));
        }
    }
}
