//! The name that was probably meant.

/// Names longer than this are not typed by hand, and comparing them takes long.
const LONGEST: usize = 40;

/// The candidate that is nearest to `name`, if it is near: one edit in three characters. Of several, the first by
/// name.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let allowed = name.len().div_ceil(3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate.len().abs_diff(name.len()) > allowed {
            continue;
        }
        let edits = distance(name.as_bytes(), candidate.as_bytes());
        if edits <= allowed && best.is_none_or(|best| (edits, candidate) < best) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Number of bytes to insert, remove or replace to get from one text to the other (Wagner, Fischer 1974).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let edits = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], edits);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("matmul", "matmull", 1)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), edits, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let ops = ["add", "matmul", "reduce_sum"];
        assert_eq!(nearest("matmull", ops), Some("matmul"));
        assert_eq!(nearest("reduce_sun", ops), Some("reduce_sum"));
        assert_eq!(nearest("softmax", ops), None);
        assert_eq!(nearest("", ops), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), ops), None);
    }
}
