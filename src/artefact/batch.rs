//! Which batch sizes a library is compiled for.

use std::fmt;
use std::str::FromStr;

use bessemer_compiler::diagnostic::Diagnostic;

/// The most variants that an entry point has: each is code of its own.
const MOST: usize = 64;

/// A batch size, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchRange {
    /// The smallest, at least 1.
    pub first: usize,
    /// The largest.
    pub last: usize,
}

/// Batch sizes: one, a list, or all from one to another. Each that is named on its own has code of its own; each range has
/// one code, which is told the batch size when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSizes(Vec<BatchRange>);

impl BatchSizes {
    /// What was named, ascending, each once; at least one.
    pub fn ranges(&self) -> &[BatchRange] {
        &self.0
    }
}

impl FromStr for BatchSizes {
    type Err = Diagnostic;

    /// Reads `32`, `1,32` or `1..64`, where the last number is one of the sizes; also `1,8..16,32`. A size in a range may be
    /// named on its own as well.
    fn from_str(text: &str) -> Result<BatchSizes, Diagnostic> {
        let refused = |why: String| {
            Diagnostic::new("E0724", format!("`{text}` is no list of batch sizes"))
                .note(why)
                .help("write one size (`32`), several (`1,32`), or all from one to another (`1..64`)")
        };
        let number = |part: &str| {
            part.trim().parse::<usize>().map_err(|_| refused(format!("`{part}` is not a whole number")))
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once("..") {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first == 0 || first > last {
                return Err(refused(format!("`{part}` has no size, or one of 0")));
            }
            ranges.push(BatchRange { first, last });
        }
        ranges.sort_unstable();
        ranges.dedup();
        if ranges.len() > MOST {
            return Err(refused(format!("each has code of its own, and a library at most {MOST} of them")));
        }
        let is_range = |range: &&BatchRange| range.first < range.last;
        let mut wide = ranges.iter().filter(is_range).zip(ranges.iter().filter(is_range).skip(1));
        if let Some((a, b)) = wide.find(|(a, b)| b.first <= a.last) {
            return Err(refused(format!("`{a}` and `{b}` overlap")));
        }
        Ok(BatchSizes(ranges))
    }
}

impl fmt::Display for BatchRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.last),
            false => write!(f, "{}..{}", self.first, self.last),
        }
    }
}

impl fmt::Display for BatchSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.0.iter().map(BatchRange::to_string).collect();
        f.write_str(&list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_several_or_all_between() {
        for (text, named) in [
            ("32", "32"),
            ("32, 1,32", "1, 32"),
            ("1..4", "1..4"),
            ("8,2..3", "2..3, 8"),
            ("1..64,32", "1..64, 32"),
            ("5..5", "5"),
            ("1..8,9..1000000", "1..8, 9..1000000"),
        ] {
            assert_eq!(text.parse::<BatchSizes>().unwrap().to_string(), named, "{text}");
        }
        let many = (1..=65).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        for text in
            ["", "0", "x", "-1", "1,", "4..1", "0..3", "1..", "99999999999999999999999", "1..8,8..9", &many]
        {
            assert_eq!(text.parse::<BatchSizes>().unwrap_err().code, "E0724", "{text}");
        }
    }
}
