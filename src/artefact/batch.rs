//! Which batch sizes a library is compiled for.

use std::fmt;
use std::str::FromStr;

use bessemer_compiler::diagnostic::Diagnostic;

/// The most batch sizes that a library is compiled for: each has code of its own.
const MOST: usize = 64;

/// Batch sizes: one, a list, or all from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSizes(Vec<usize>);

impl BatchSizes {
    /// The sizes, ascending, each once; at least one.
    pub fn sizes(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for BatchSizes {
    type Err = Diagnostic;

    /// Reads `32`, `1,32` or `1..64`, where the last number is one of the sizes; also `1,8..16,32`.
    fn from_str(text: &str) -> Result<BatchSizes, Diagnostic> {
        let refused = |why: String| {
            Diagnostic::new("E0724", format!("`{text}` is no list of batch sizes"))
                .note(why)
                .help("write one size (`32`), several (`1,32`), or all from one to another (`1..16`)")
        };
        let number = |part: &str| {
            part.trim().parse::<usize>().map_err(|_| refused(format!("`{part}` is not a whole number")))
        };
        let mut sizes = Vec::new();
        for part in text.split(',') {
            let (low, high) = match part.split_once("..") {
                Some((low, high)) => (number(low)?, number(high)?),
                None => (number(part)?, number(part)?),
            };
            if low == 0 || low > high {
                return Err(refused(format!("`{part}` has no size, or one of 0")));
            }
            if high - low >= MOST || sizes.len() + (high - low) >= MOST {
                return Err(refused(format!(
                    "each size has code of its own, and a library at most {MOST} of them"
                )));
            }
            sizes.extend(low..=high);
        }
        sizes.sort_unstable();
        sizes.dedup();
        Ok(BatchSizes(sizes))
    }
}

impl fmt::Display for BatchSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_several_or_all_between() {
        for (text, sizes) in
            [("32", &[32][..]), ("32, 1,32", &[1, 32]), ("1..4", &[1, 2, 3, 4]), ("8,2..3", &[2, 3, 8])]
        {
            assert_eq!(text.parse::<BatchSizes>().unwrap().sizes(), sizes, "{text}");
        }
        for text in
            ["", "0", "x", "-1", "1,", "4..1", "1..65", "1..64,65", "0..3", "1..", "99999999999999999999999"]
        {
            assert_eq!(text.parse::<BatchSizes>().unwrap_err().code, "E0724", "{text}");
        }
        assert_eq!("1..64".parse::<BatchSizes>().unwrap().sizes().len(), 64);
    }
}
