//! Finds the name that a mistyped one was meant to be.

/// The candidate with the fewest changed letters, if they are few enough for a slip.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let slips = written.chars().count() / 4 + 1;
    candidates
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many letters have to be put in, left out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, from) in (1..).zip(from.chars()) {
        let mut diagonal = index - 1;
        let mut left = index;
        for (slot, to) in row.iter_mut().skip(1).zip(to.chars()) {
            let above = *slot;
            left = (diagonal + usize::from(from != to))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            *slot = left;
        }
        if let Some(first) = row.first_mut() {
            *first = index;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expect) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("timeot", "timeout", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expect, "{from} {to}");
        }
    }

    #[test]
    fn only_slips_are_guessed() {
        let names = ["delivery.timeout", "server.listen"];
        let guess = |written| nearest(written, names.into_iter());
        assert_eq!(
            guess("delivery.timeot").as_deref(),
            Some("delivery.timeout")
        );
        assert_eq!(guess("server.tls_cert"), None);
    }
}
