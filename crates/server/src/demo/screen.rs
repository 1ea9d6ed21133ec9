//! Where the demo is shown: a terminal, or a file or pipe that keeps every line.

use std::io::{self, IsTerminal, Write};

/// Standard output, or what a test takes for it.
pub struct Screen {
    out: Box<dyn Write + Send>,
    kind: Kind,
    /// A line that the next one may be written over.
    is_line_open: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Terminal,
    Lines,
}

// === impl Screen ===

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        let out = io::stdout();
        let kind = if out.is_terminal() {
            Kind::Terminal
        } else {
            Kind::Lines
        };
        Self {
            out: Box::new(out),
            kind,
            is_line_open: false,
        }
    }

    /// Shows text, and ends the line if the text does not.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let open = if self.is_line_open { "\n" } else { "" };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.is_line_open = false;
        self.write(&format!("{open}{text}{end}"))
    }

    /// Shows how far it is: in place of the line before on a terminal, below it elsewhere.
    pub fn progress(&mut self, line: &str) -> io::Result<()> {
        if self.kind == Kind::Lines {
            return self.show(line);
        }
        self.is_line_open = true;
        // Back to the first column, and clear to the end of the line (ECMA-48 EL).
        self.write(&format!("\r{line}\x1b[K"))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}
