//! Indents JSON for people. Keeps every name, number and string as it was written.

use serde::de::IgnoredAny;

const INDENT: &str = "  ";

/// Indents `text`, up to about `bytes_max` bytes; `None` if it is no JSON.
pub fn indent(text: &str, bytes_max: usize) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut indented = String::with_capacity(text.len().min(bytes_max));
    let mut depth = 0_usize;
    let mut rest = text.trim_start().chars().peekable();
    while let Some(c) = rest.next() {
        // Nesting multiplies the length: cut off while writing, not afterwards.
        if indented.len() >= bytes_max {
            indented.push('…');
            break;
        }
        match c {
            '"' => {
                indented.push('"');
                push_string(&mut indented, &mut rest);
            }
            '{' | '[' => {
                indented.push(c);
                skip_space(&mut rest);
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    indented.push(close);
                } else {
                    depth += 1;
                    break_line(&mut indented, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut indented, depth);
                indented.push(c);
            }
            ',' => {
                indented.push(',');
                break_line(&mut indented, depth);
            }
            ':' => indented.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => indented.push(c),
        }
    }
    Some(indented)
}

type Rest<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// The rest of a string whose opening quote was read.
fn push_string(indented: &mut String, rest: &mut Rest<'_>) {
    while let Some(c) = rest.next() {
        indented.push(c);
        match c {
            '\\' => indented.extend(rest.next()),
            '"' => return,
            _ => {}
        }
    }
}

fn skip_space(rest: &mut Rest<'_>) {
    while rest.next_if(char::is_ascii_whitespace).is_some() {}
}

fn break_line(indented: &mut String, depth: usize) {
    indented.push('\n');
    for _ in 0..depth {
        indented.push_str(INDENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(indent(text, 1000).as_deref(), expect, "{text}");
    }

    #[test]
    fn shapes() {
        check(" 1.50 ", Some("1.50"));
        check("nonsense", None);
        check("{ } x", None);
        check(
            r#"{ "b" : [ ], "a" : { } }"#,
            Some("{\n  \"b\": [],\n  \"a\": {}\n}"),
        );
        check(
            "[1,[true, null]]",
            Some("[\n  1,\n  [\n    true,\n    null\n  ]\n]"),
        );
        let tricky = r#"{"a\\":"{,:[\" "}"#;
        check(tricky, Some("{\n  \"a\\\\\": \"{,:[\\\" \"\n}"));
    }

    #[test]
    fn output_is_bounded() {
        let deep = format!("{}{}", "[1,".repeat(100), "1") + &"]".repeat(100);
        let indented = indent(&deep, 200).unwrap();
        assert!(indented.len() < 450, "{}", indented.len());
        assert!(indented.ends_with('…'));
    }
}
