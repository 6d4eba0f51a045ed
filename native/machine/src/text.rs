//! The texts of the kernel, taken apart. Pure; garbage is absence.

/// Longest text that is passed on.
const TEXT_MAX_CHARS: usize = 200;

/// What a reader may print: white space at the ends is gone, and whatever is not printable ASCII.
pub(crate) fn printable(text: &str) -> String {
    let kept = text.chars().filter(|c| matches!(c, ' '..='~')).take(TEXT_MAX_CHARS);
    kept.collect::<String>().trim().to_owned()
}

/// A word that is one whole number: digits and nothing else.
pub(crate) fn count(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// A text that is one whole number.
pub(crate) fn only_count(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let first = count(words.next()?)?;
    words.next().is_none().then_some(first)
}

/// The number in the one line `key number`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut found = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(key)).then(|| Some((words.next()?, words.next())))
    });
    match (found.next()??, found.next()) {
        ((word, None), None) => count(word),
        _ => None,
    }
}

/// The values of all lines `Key : Value`, in order.
pub(crate) fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// A share in percent or a load average: digits with at most one point.
pub(crate) fn decimal(word: &str) -> Option<f64> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain.then(|| word.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

/// How many processors a list such as `0-3,8` names.
pub(crate) fn listed(list: &str) -> Option<u64> {
    list.trim().split(',').try_fold(0_u64, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let length = count(last)?.checked_sub(count(first)?)?.checked_add(1)?;
        sum.checked_add(length)
    })
}

/// Identifier, name and user plus system ticks of a `stat` of a process. The name stands in
/// parentheses and may hold anything, so fields count from behind the last one.
pub(crate) fn process_stat(text: &str) -> Option<(u32, String, u64)> {
    let (before, rest) = text.rsplit_once(')')?;
    let (id, name) = before.split_once('(')?;
    // Fields 14 and 15; the rest begins with field 3.
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = count(fields.next()?)?.checked_add(count(fields.next()?)?)?;
    Some((id.trim().parse().ok()?, printable(name), ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(only_count("2400000\n"), Some(2_400_000));
        for wrong in ["", "\n", "+1", "-1", "1e5", "1.5", "1 2", "x", "99999999999999999999999"] {
            assert_eq!(only_count(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_key_stands_once_and_with_one_number() {
        assert_eq!(keyed("a 1\nab 2\n", "a"), Some(1));
        for wrong in ["", "a", "a x", "a 1 2", "a 1\na 2", "b 1"] {
            assert_eq!(keyed(wrong, "a"), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_list_of_processors_is_counted_or_refused() {
        assert_eq!(listed("0-3,8\n"), Some(5));
        for wrong in ["", "3-0", "a", "1,,2", "0-18446744073709551615"] {
            assert_eq!(listed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_name_may_hold_what_separates_fields() {
        let stat = "42 (a (b) 1 2) S 1 42 42 0 -1 4194560 9 9 9 9 150 50 7 7 20 0 9 0\n";
        assert_eq!(process_stat(stat), Some((42, "a (b) 1 2".to_owned(), 200)));
        for wrong in ["", ")", "1 (x) S 1 2", "x (x) S 1 1 1 0 -1 4 9 9 9 9 1 5 7"] {
            assert_eq!(process_stat(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_printed_is_short_and_printable() {
        assert_eq!(printable(" \u{1b}[2Ja\u{202e}b\t "), "[2Jab");
        assert_eq!(printable(&"x".repeat(9000)).len(), TEXT_MAX_CHARS);
    }
}
