//! Text out of files is data: nothing in it may steer a terminal, a Markdown page or a reader's
//! eye.

/// Longest shown text, in characters after escaping; the rest is an ellipsis.
const SHOWN_MAX_CHARS: usize = 300;
/// Longest line of several such texts, with their cure at the end.
const LINE_MAX_CHARS: usize = 2000;

/// For a terminal or a log: control, bidirectional and invisible characters stand as `\u{..}`, and
/// a long text ends in an ellipsis. What a runner takes out of a log for a command is none any more.
#[must_use]
pub fn plain(text: &str) -> String {
    shown(&without_commands(text), SHOWN_MAX_CHARS, is_harmless)
}

/// The same for a whole line of output, in which long texts are shortened already.
#[must_use]
pub fn line(text: &str) -> String {
    shown(&without_commands(text), LINE_MAX_CHARS, is_harmless)
}

/// The workflow commands of GitHub are `::` at the beginning of a line, which is where a word begins once
/// lines are broken, and `##[` anywhere in it; other runners have more that begin with `##`.
fn without_commands(text: &str) -> String {
    let text = text.replace("##", "#\\u{23}");
    let mut shown = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let begins = before.is_whitespace() && character == ':' && characters.peek() == Some(&':');
        match begins {
            true => shown.push_str("\\u{3a}"),
            false => shown.push(character),
        }
        before = character;
    }
    shown
}

/// For the data of a workflow command of GitHub: in lines, each of which is [`plain`].
#[must_use]
pub fn command_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// For a property of such a command.
#[must_use]
pub fn command_property(text: &str) -> String {
    command_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// For a text in which a viewer finds `[links](to)`.
#[must_use]
pub fn without_links(text: &str) -> String {
    text.replace("](", "]\\u{28}")
}

/// For the line of a test in TAP, where `#` begins a directive.
#[must_use]
pub fn tap(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}

/// For a quoted string of OpenMetrics.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for character in plain(text).chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// For Markdown: a code span that cannot be broken out of, in a table cell neither. Inside a code
/// span nothing is markup, a mention or a link. A backtick stands as a quotation mark, so that every span is
/// one between single backticks, also to whoever has no reader of Markdown at hand.
#[must_use]
pub fn code(text: &str) -> String {
    // A table splits its cells before it finds code spans; the other two are for renderers that
    // treat HTML and escapes before anything else.
    let is_kept = |c| is_harmless(c) && !matches!(c, '|' | '<' | '\\');
    let text = shown(&text.replace('`', "'"), SHOWN_MAX_CHARS, is_kept);
    if text.trim().is_empty() { "`(empty)`".to_owned() } else { format!("`{text}`") }
}

/// For Erlang: a string in quotes, in ASCII, whatever the text is.
#[must_use]
pub fn erlang(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push_str(&format!("\\x{{{:X}}}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}

/// The beginning of a text, of so many characters at most; a longer text ends in an ellipsis.
#[must_use]
pub fn clip(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn shown(text: &str, max_chars: usize, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::new();
    let mut length = 0;
    for character in text.chars() {
        let piece = if is_kept(character) {
            character.to_string()
        } else {
            format!("\\u{{{:x}}}", u32::from(character))
        };
        length += piece.chars().count();
        if length > max_chars {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

/// Whether a character shows as itself and does nothing else.
fn is_harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            // Soft hyphen, joiners and fillers: invisible.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
            | '\u{ffa0}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}'
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            // Bidirectional marks, embeddings, overrides and isolates.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            // Line and paragraph separator; interlinear annotation.
            | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'
            // No character, and none that XML may have.
            | '\u{fffe}' | '\u{ffff}')
}
