//! Settings of the database.

use std::path::PathBuf;

use crate::config::section::section;
use crate::config::value::Scalar;

section! {
    /// Where everything is kept.
    pub struct StoreSection in "store" {
        /// The database: `sqlite:` and the path of a file, which is made when it is missing.
        /// Absent: `hookseal.db` in the data directory.
        url: Option<StoreUrl>, such as "sqlite:data/hookseal.db";
    }
}

/// The database to use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreUrl {
    /// SQLite in a file.
    Sqlite(PathBuf),
}

impl Scalar for StoreUrl {
    const FORM: &'static str = "sqlite: and the path of a file, such as sqlite:data/hookseal.db";

    fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix("sqlite:")?;
        let names_file = !path.is_empty() && !path.starts_with(':') && !path.ends_with('/');
        names_file.then(|| Self::Sqlite(PathBuf::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let sqlite = |path: &str| Some(StoreUrl::Sqlite(PathBuf::from(path)));
        assert_eq!(StoreUrl::parse("sqlite:a/b.db"), sqlite("a/b.db"));
        assert_eq!(StoreUrl::parse("sqlite:/var/b.db"), sqlite("/var/b.db"));
        for text in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:a/",
            "mysql://x",
            "a.db",
        ] {
            assert_eq!(StoreUrl::parse(text), None, "{text}");
        }
    }
}
