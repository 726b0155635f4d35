//! Names that others chose, of interfaces, files and programs, made fit for a
//! terminal. What they are used for is not known here.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// `name` with `?` in place of each character that would control a terminal, as
/// `ls -q` shows it. What is not UTF-8 is shown as U+FFFD.
pub fn plain<N: AsRef<OsStr> + ?Sized>(name: &N) -> String {
    replaced(name.as_ref().to_string_lossy(), controls).into_owned()
}

/// The same of whole lines, whose ends are left alone.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    replaced(Cow::Borrowed(text), |c| c != '\n' && controls(c))
}

/// `json` of one line that says the same without these characters, each as an escape
/// of JSON's: they can only be in its strings. serde_json does so for C0 alone.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if controls(c) {
            // Cannot fail. All of them are below U+10000.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

fn replaced(text: Cow<'_, str>, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&is_bad) { text.replace(is_bad, "?").into() } else { text }
}

/// Whether a terminal does something else with it than to show it: the control
/// characters C0, DEL and C1, and those of Unicode that end a line or turn around
/// the order in which the rest of it is shown.
fn controls(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_controls_a_terminal_does_not_reach_it() {
        assert_eq!(plain("eth0"), "eth0");
        assert_eq!(
            plain("b\u{fc}ro \u{441}\u{435}\u{442}\u{44c}"),
            "b\u{fc}ro \u{441}\u{435}\u{442}\u{44c}"
        );
        assert_eq!(plain(Path::new("/a\x1b[31m\n/\u{9b}1m\x7f")), "/a?[31m?/?1m?");
        assert_eq!(plain("txt\u{202e}exe"), "txt?exe");
        assert_eq!(plain(OsStr::from_bytes(b"a\xff\x1b")), "a\u{fffd}?");
        assert_eq!(plain_lines("two\nl\x1bnes\n"), "two\nl?nes\n");
    }

    #[test]
    fn escaped_it_is_still_the_same_json() {
        for c in (0..=char::MAX as u32).filter_map(char::from_u32).filter(|&c| controls(c)) {
            let name = format!("a{c}\u{fc}");
            let json = escaped(&serde_json::Value::from(&*name).to_string());
            assert_eq!(plain(&json), json, "nothing is left to replace");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
        }
        assert_eq!(escaped("\"a\u{9b}b\u{202e}\""), r#""a\u009bb\u202e""#);
    }
}
