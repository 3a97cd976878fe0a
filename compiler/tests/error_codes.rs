//! Holds the page of error codes, `docs/errors.md`, against the sources: a code that can be reported is on the page, and a
//! code on the page can be reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/errors.md");

/// Folders with sources that report errors.
const FOLDERS: [&str; 3] = ["compiler/src", "src", "train/src"];

/// Codes of the tables of the page: the first cells of their rows.
fn documented() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.map(|(code, _)| code).filter(|code| is_code(code)).collect()
}

/// Codes that stand in string literals of the sources, with the first file of each. Files and modules of tests do not
/// count: what only they name is not reported.
fn used() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut used = BTreeMap::new();
    for folder in FOLDERS {
        for file in sources(&root.join(folder)) {
            let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let reporting = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for code in reporting.split('"').filter(|literal| is_code(literal)) {
                used.entry(code.to_owned()).or_insert_with(|| file.clone());
            }
        }
    }
    used
}

fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix(['E', 'K']);
    digits.is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The Rust files below a folder, but for those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match path.is_dir() {
            _ if stem == "tests" || stem == "testing" => {}
            true => files.extend(sources(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

#[test]
fn every_code_that_is_used_is_on_the_page() {
    let documented: BTreeSet<&str> = documented().into_iter().collect();
    let used = used();
    assert!(used.len() > 50, "only {} codes were found: where are the sources?", used.len());
    let missing: Vec<_> = used.iter().filter(|(code, _)| !documented.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:?}");
}

#[test]
fn every_code_on_the_page_is_used() {
    let used = used();
    let unused: Vec<_> = documented().into_iter().filter(|code| !used.contains_key(*code)).collect();
    assert!(unused.is_empty(), "in docs/errors.md, but nowhere reported: {unused:?}");
}

#[test]
fn the_page_lists_codes_in_order_without_repetition() {
    let documented = documented();
    let unordered: Vec<_> = documented.windows(2).filter(|pair| pair[0] >= pair[1]).collect();
    assert!(unordered.is_empty(), "out of order: {unordered:?}");
}
