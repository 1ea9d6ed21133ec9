//! A Rust file taken apart into code, comments and string literals, so that a rule about code is not broken by a
//! sentence. Must never fail: what it cannot make sense of counts as code.

use std::iter::Peekable;
use std::str::Chars;

use crate::tidy::File;

/// A Rust file, line by line.
pub(super) struct RustSource<'a> {
    pub(super) path: &'a str,
    pub(super) lines: Vec<SourceLine<'a>>,
    pub(super) strings: Vec<StringLiteral>,
    /// How many lines stand before the unit tests; all of them where there are none.
    pub(super) lines_before_tests: usize,
}

/// A line as it is, and what of it is code or comment.
#[derive(Default)]
pub(super) struct SourceLine<'a> {
    pub(super) raw: &'a str,
    pub(super) code: String,
    pub(super) comment: String,
}

/// A string literal and the line it begins on, counted from 1.
pub(super) struct StringLiteral {
    pub(super) line_number: usize,
    pub(super) text: String,
}

/// The part of the file that a character belongs to.
#[derive(Clone, Copy)]
enum Part {
    Code,
    LineComment,
    BlockComment {
        depth: usize,
    },
    /// With the number of `#` that end it; none at all where a backslash escapes.
    Text {
        hashes: Option<usize>,
    },
}

struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    part: Part,
    line: SourceLine<'a>,
    lines: Vec<SourceLine<'a>>,
    text: StringLiteral,
    strings: Vec<StringLiteral>,
}

// === impl RustSource ===

impl<'a> RustSource<'a> {
    pub(super) fn read(file: File<'a>) -> Self {
        let (mut lines, strings) = Scanner::new(file.text).scan();
        for (line, raw) in lines.iter_mut().zip(file.text.lines()) {
            line.raw = raw;
        }
        let lines_before_tests = lines_before_tests(&lines);
        Self {
            path: file.path,
            lines,
            strings,
            lines_before_tests,
        }
    }

    /// With its number, counted from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &SourceLine<'a>)> {
        (1..).zip(&self.lines)
    }

    /// Whether the line, counted from 1, is compiled for tests only.
    pub(super) fn is_test(&self, line_number: usize) -> bool {
        line_number > self.lines_before_tests || self.is_test_file()
    }

    /// An integration test, or the unit tests of a module in a file of their own.
    pub(super) fn is_test_file(&self) -> bool {
        let below_tests = self.path.starts_with("tests/") || self.path.contains("/tests/");
        below_tests || self.path.ends_with("/tests.rs")
    }

    /// Whether the line, or the one above, carries a comment that begins with `mark`: an exception with its reason.
    pub(super) fn is_excused(&self, line_number: usize, mark: &str) -> bool {
        let first = line_number.saturating_sub(2);
        let near = self.lines.iter().skip(first).take(line_number - first);
        near.map(|line| line.comment.trim()).any(|comment| {
            comment
                .strip_prefix(mark)
                .is_some_and(|reason| !reason.trim().is_empty())
        })
    }
}

fn lines_before_tests(lines: &[SourceLine<'_>]) -> usize {
    for (before, line) in lines.iter().enumerate() {
        if line.code.trim() == "#[cfg(test)]" {
            let mut after = lines.iter().skip(before + 1).map(|line| line.code.trim());
            let next = after.find(|code| !code.is_empty() && !code.starts_with('#'));
            if next.is_some_and(|code| code.split_whitespace().any(|word| word == "mod")) {
                return before;
            }
        }
    }
    lines.len()
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            chars: text.chars().peekable(),
            part: Part::Code,
            line: SourceLine::default(),
            lines: Vec::new(),
            text: StringLiteral {
                line_number: 1,
                text: String::new(),
            },
            strings: Vec::new(),
        }
    }

    fn scan(mut self) -> (Vec<SourceLine<'a>>, Vec<StringLiteral>) {
        while let Some(next) = self.chars.next() {
            match self.part {
                Part::Code => self.code(next),
                Part::LineComment => self.line_comment(next),
                Part::BlockComment { depth } => self.block_comment(next, depth),
                Part::Text { hashes } => self.text(next, hashes),
            }
            if next == '\n' {
                self.end_line();
            }
        }
        if !self.line.code.is_empty() || !self.line.comment.is_empty() {
            self.end_line();
        }
        (self.lines, self.strings)
    }

    fn code(&mut self, next: char) {
        match next {
            '/' if self.chars.next_if_eq(&'/').is_some() => self.part = Part::LineComment,
            '/' if self.chars.next_if_eq(&'*').is_some() => {
                self.part = Part::BlockComment { depth: 1 };
            }
            '"' => self.begin_text(None),
            'r' if !self.in_word() || self.after_byte_prefix() => self.raw_text_or_word(),
            '\'' => self.character_or_lifetime(),
            '\n' => {}
            _ => self.line.code.push(next),
        }
    }

    fn line_comment(&mut self, next: char) {
        match next {
            '\n' => self.part = Part::Code,
            _ => self.line.comment.push(next),
        }
    }

    fn block_comment(&mut self, next: char, depth: usize) {
        let depth = match next {
            '/' if self.chars.next_if_eq(&'*').is_some() => depth + 1,
            '*' if self.chars.next_if_eq(&'/').is_some() => depth - 1,
            _ => {
                if next != '\n' {
                    self.line.comment.push(next);
                }
                depth
            }
        };
        self.part = if depth == 0 {
            Part::Code
        } else {
            Part::BlockComment { depth }
        };
    }

    fn text(&mut self, next: char, hashes: Option<usize>) {
        match (next, hashes) {
            ('\\', None) => self.escape(),
            ('"', None | Some(0)) => self.end_text(),
            ('"', Some(hashes)) => {
                let mut ahead = self.chars.clone();
                if (0..hashes).all(|_| ahead.next() == Some('#')) {
                    self.chars = ahead;
                    self.end_text();
                } else {
                    self.text.text.push('"');
                }
            }
            _ => self.text.text.push(next),
        }
    }

    /// The character after a backslash ends nothing, but a line may.
    fn escape(&mut self) {
        if let Some(escaped) = self.chars.next() {
            self.text.text.push(escaped);
            if escaped == '\n' {
                self.end_line();
            }
        }
    }

    fn raw_text_or_word(&mut self) {
        let mut ahead = self.chars.clone();
        let mut hashes = 0;
        while ahead.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        if ahead.next() == Some('"') {
            self.chars = ahead;
            self.begin_text(Some(hashes));
        } else {
            self.line.code.push('r');
        }
    }

    /// `'x'` and `'\n'` are characters, of which nothing is kept; `'static` is a lifetime.
    fn character_or_lifetime(&mut self) {
        let mut ahead = self.chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('\\'), Some(_)) => {
                self.chars = ahead;
                while self
                    .chars
                    .next_if(|&next| next != '\'' && next != '\n')
                    .is_some()
                {}
                self.chars.next_if_eq(&'\'');
            }
            (Some(_), Some('\'')) => self.chars = ahead,
            _ => self.line.code.push('\''),
        }
    }

    fn begin_text(&mut self, hashes: Option<usize>) {
        self.text = StringLiteral {
            line_number: self.lines.len() + 1,
            text: String::new(),
        };
        self.part = Part::Text { hashes };
    }

    /// The code keeps an empty literal, so that what stands beside it stays apart.
    fn end_text(&mut self) {
        let empty = StringLiteral {
            line_number: 0,
            text: String::new(),
        };
        self.strings.push(std::mem::replace(&mut self.text, empty));
        self.line.code.push_str("\"\"");
        self.part = Part::Code;
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
    }

    fn in_word(&self) -> bool {
        self.line
            .code
            .ends_with(|last: char| last.is_alphanumeric() || last == '_')
    }

    fn after_byte_prefix(&self) -> bool {
        let word = self
            .line
            .code
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        matches!(word, Some("b" | "c"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RustSource<'_> {
        RustSource::read(File {
            path: "crates/domain/src/a.rs",
            text,
        })
    }

    #[track_caller]
    fn check(text: &str, code: &[&str], strings: &[&str]) {
        let source = read(text);
        let lines: Vec<&str> = source
            .lines
            .iter()
            .map(|line| line.code.trim_end())
            .collect();
        assert_eq!(lines, code, "{text}");
        let texts: Vec<&str> = source
            .strings
            .iter()
            .map(|string| string.text.as_str())
            .collect();
        assert_eq!(texts, strings, "{text}");
    }

    #[test]
    fn tells_code_from_comments_and_strings() {
        check("let a = 1; // use x::*;\n", &["let a = 1;"], &[]);
        check("a /* b /* c */ d */ e", &["a  e"], &[]);
        check("/* a\n b */ c\n", &["", " c"], &[]);
        check("f(\"x // y \\\" z\");", &["f(\"\");"], &["x // y \" z"]);
        check(
            "f(r#\"a \"b\" c\"#, br\"d\");",
            &["f(\"\", b\"\");"],
            &["a \"b\" c", "d"],
        );
        check("let r#type = 1;", &["let r#type = 1;"], &[]);
        check(
            "fn f<'a>(x: &'a str) { ['\"', '\\'', '\\u{7f}', 'b'] }",
            &["fn f<'a>(x: &'a str) { [, , , ] }"],
            &[],
        );
    }

    #[test]
    fn keeps_line_numbers_across_long_strings() {
        let source = read("a(\"one\\\n  two\nthree\", \"four\");\nb();\n");
        assert_eq!(source.lines.len(), 4);
        let numbers: Vec<usize> = source.strings.iter().map(|text| text.line_number).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(source.lines[3].code, "b();");
        assert_eq!(source.lines[3].raw, "b();");
    }

    #[test]
    fn finds_where_unit_tests_begin() {
        let tested = read("//! a\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!(tested.lines_before_tests, 2);
        assert!(tested.is_test(3) && !tested.is_test(2));
        let gated = read("//! a\n#[cfg(test)]\nuse b;\nfn a() {}\n");
        assert_eq!(gated.lines_before_tests, 4);
    }

    #[test]
    fn an_excuse_needs_a_reason() {
        let source = read("// sleep: the peer stalls\na();\nb(); // sleep:\nc();\n");
        assert!(source.is_excused(1, "sleep:") && source.is_excused(2, "sleep:"));
        assert!(!source.is_excused(3, "sleep:") && !source.is_excused(4, "sleep:"));
    }
}
