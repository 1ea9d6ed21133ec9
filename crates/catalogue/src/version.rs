//! Which version of a schema is the newest.

use std::cmp::Ordering;

/// A part of a version's name.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part<'a> {
    Text(&'a str),
    /// By its length without zeros in front, then by its digits: no number is too large.
    Number(usize, &'a str),
}

/// Numbers in the names are compared as numbers, everything else as text: `2` is before `10`, `v1.9`
/// before `v1.10`, `2023-12-01` before `2024-02-01`.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    // Equal numbers may be written differently.
    parts(one).cmp(parts(other)).then_with(|| one.cmp(other))
}

fn parts(mut rest: &str) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits);
        let (part, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        if digits {
            let number = part.trim_start_matches('0');
            return Some(Part::Number(number.len(), number));
        }
        Some(Part::Text(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers() {
        let check = |older: &str, newer: &str| {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater);
        };
        check("1", "2");
        check("2", "10");
        check("v1.9", "v1.10");
        check("1.9.9", "2");
        check("1", "1.1");
        check("2023-12-01", "2024-02-01");
        check("99999999999999999999", "100000000000000000000");
        check("01", "1");
        check("", "0");
        assert_eq!(compare("v1", "v1"), Ordering::Equal);
    }
}
