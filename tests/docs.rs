//! Runs the blocks of `docs/text-form.md` and the README's modules, and holds its table of ops against the ops that there are: with `BLESS=1` in
//! the environment the table is written anew.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bessemer_compiler::graph::Module;
use bessemer_compiler::graph::verify::verify;
use bessemer_compiler::ops::Op;
use bessemer_compiler::pipeline::prepare;

const PAGE: &str = include_str!("../docs/text-form.md");
const README: &str = include_str!("../README.md");

/// The blocks of code of a page: what stands after the opening backticks, the line it begins at, and its text.
fn blocks(page: &str) -> Vec<(&str, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (i, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info, i + 1, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the page is not closed");
    blocks
}

#[test]
fn blocks_parse_verify_and_round_trip_or_fail_as_they_say() {
    let (mut right, mut wrong) = (0, 0);
    for (info, line, text) in blocks(PAGE) {
        let parsed = Module::parse("text-form.md", &text);
        match info.strip_prefix("bessemer") {
            Some("") => {
                let module = parsed.unwrap_or_else(|e| panic!("line {line}: {e}"));
                verify(&module).unwrap_or_else(|e| panic!("line {line}: {e}"));
                let printed = module.to_string();
                let again = Module::parse("printed", &printed).unwrap_or_else(|e| panic!("line {line}: {e}"));
                assert!(again.is_alike(&module), "line {line} prints as\n{printed}");
                assert_eq!(again.to_string(), printed, "line {line}");
                right += 1;
            }
            Some(fails) => {
                let code = fails.strip_prefix(",fail=").unwrap_or_else(|| panic!("line {line}: `{info}`"));
                let errors = parsed.map(|_| ()).expect_err("the block says that it fails");
                assert_eq!(errors.code(), code, "line {line}: {errors}");
                wrong += 1;
            }
            None => assert_eq!(info, "text", "line {line}: only the grammar is not run"),
        }
    }
    assert!(right > 0 && wrong > 0, "the page has no blocks that are run");
}

#[test]
fn modules_of_the_readme_prepare() {
    let modules: Vec<_> = blocks(README).into_iter().filter(|(info, ..)| *info == "bessemer").collect();
    assert!(!modules.is_empty());
    for (_, line, text) in modules {
        let module = Module::parse("README.md", &text).unwrap_or_else(|e| panic!("line {line}: {e}"));
        prepare(&module).unwrap_or_else(|e| panic!("line {line}: {e}"));
    }
}

/// The first paragraph of the doc comment in the file of each op, by the op's name.
fn descriptions() -> HashMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("compiler/src/ops");
    let mut descriptions = HashMap::new();
    for entry in fs::read_dir(folder).expect("the ops have a folder") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(path).expect("a file is text");
        let name =
            source.split_once("const NAME: &'static str = \"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((name, _)) = name else { continue };
        let docs = source.lines().map(str::trim_start).skip_while(|line| !line.starts_with("/// "));
        let paragraph: Vec<&str> = docs.map_while(|line| line.strip_prefix("/// ")).collect();
        descriptions.insert(name.to_owned(), paragraph.join(" ").replace('|', "\\|"));
    }
    descriptions
}

/// The table as it should be: a row for each op, in order of names.
fn table() -> String {
    let descriptions = descriptions();
    let mut names = Op::NAMES.to_vec();
    names.sort_unstable();
    let mut table = "| op | attributes | is |\n|---|---|---|\n".to_owned();
    for name in names {
        let fields = Op::fields(name).expect("an op of the list is known");
        let attributes: Vec<String> =
            fields.iter().map(|f| format!("`{}`{}", f.name, if f.optional { "?" } else { "" })).collect();
        let description = descriptions.get(name).filter(|d| !d.is_empty());
        let description = description.unwrap_or_else(|| panic!("the file of `{name}` describes it nowhere"));
        table += &format!("| `{name}` | {} | {description} |\n", attributes.join(" "));
    }
    table
}

#[test]
fn the_table_of_ops_is_complete() {
    let (before, rest) = PAGE.split_once("| op |").expect("the page has a table of ops");
    let length =
        rest.split_inclusive('\n').take_while(|line| line.contains('|')).map(str::len).sum::<usize>();
    let (found, after) = (format!("| op |{}", &rest[..length]), &rest[length..]);
    let table = table();
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/text-form.md");
        fs::write(path, format!("{before}{table}{after}")).expect("the page can be written");
    } else {
        assert_eq!(found, table, "BLESS=1 writes the table anew");
    }
}

#[test]
fn the_grammar_is_that_of_the_parser() {
    let source = include_str!("../compiler/src/graph/parse/mod.rs");
    let (_, _, grammar) =
        blocks(PAGE).into_iter().find(|(info, ..)| *info == "text").expect("there is a grammar");
    let documented: String = source
        .lines()
        .skip_while(|line| *line != "//! ```text")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//!").trim_start_matches(' ').to_owned() + "\n")
        .collect();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&grammar), words(&documented));
}
