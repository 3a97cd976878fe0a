//! Golden files: `tests/golden/STAGE/NAME.bsm` is a text with what the stage must say of it. One test a file.
//!
//! The first line is a comment that says what the file is about. Then there are, in comments,
//!
//! - `; check: TEXT`: the output has TEXT in it, after what the check before it found;
//! - `; check-not: TEXT`: the output does not have TEXT in it, anywhere;
//! - `; not-between: TEXT`: it does not have TEXT between what the checks before and behind this line found;
//! - `; error: CODE TEXT` at the end of a line: an error with this code whose primary place is in that line, and whose
//!   rendering has TEXT in it; if there are any, every error must be expected so;
//! - `; expect:` alone on a line: the rest of the file is the whole output, in comments. With `BLESS=1` in the environment
//!   it is rewritten.
//!
//! A file without any of them fails. Lines of checks belong to the input; being comments, they change nothing.
//!
//! Functions are lowered for N = 6. In the folders `schedule`, `clif` and `asm`, a line `; target: TRIPLE LEVEL` says what code
//! is made for; it is x86-64-v2 else. In that of a fusion pass, the output begins with what the pass saves, in kernels and in
//! bytes that kernels read and write.
//!
//! In the folder of a pass, the first line may say `; law: LAW`. Every law has such a file.

#[path = "support/stages.rs"]
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use bessemer::compiler::ops::Op;
use bessemer::compiler::passes;
use libtest_mimic::{Arguments, Failed, Trial};
use stages::NAME;

/// What the first line of a file that is about a law begins with.
const LAW: &str = "; law: ";

/// Checks that every law has a file in the folder of its pass that begins with it, and that no file names another.
fn laws(root: &Path) -> Result<(), Failed> {
    let known = Op::laws().into_iter().map(|(_, pass, law)| (pass, law)).chain(passes::LAWS);
    let known: BTreeSet<(String, String)> =
        known.map(|(pass, law)| (pass.to_owned(), law.to_owned())).collect();
    let mut tested = BTreeSet::new();
    for pass in passes::PASSES {
        for file in entries(&root.join(pass)) {
            let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
            if let Some(law) = text.lines().next().and_then(|line| line.strip_prefix(LAW)) {
                tested.insert((pass.to_owned(), law.to_owned()));
            }
        }
    }
    let list = |laws: Vec<&(String, String)>| {
        laws.iter().map(|(p, law)| format!("\n  {p}: {law}")).collect::<String>()
    };
    let (without, unknown) =
        (list(known.difference(&tested).collect()), list(tested.difference(&known).collect()));
    match without.is_empty() && unknown.is_empty() {
        true => Ok(()),
        false => {
            Err(format!("laws without a file:{without}\nfiles of laws that there are not:{unknown}").into())
        }
    }
}

/// How many files kept all checks, and how many checks those were.
static KEPT: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut trials = Vec::new();
    let mut stages = BTreeMap::new();
    for folder in entries(&root) {
        let stage = name(&folder);
        let files = entries(&folder);
        stages.insert(stage.clone(), files.len());
        for file in files {
            let stage = stage.clone();
            trials.push(Trial::test(format!("{stage}/{}", name(&file)), move || check(&stage, &file)));
        }
    }
    trials.push(Trial::test("laws", move || laws(&root)));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let [files, checks] = KEPT.each_ref().map(|count| count.load(Ordering::Relaxed));
    if files > 0 {
        let stages: Vec<String> = stages.iter().map(|(stage, files)| format!("{stage} {files}")).collect();
        println!("golden files: {files} with {checks} checks; there are: {}\n", stages.join(", "));
    }
    conclusion.exit_code()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = read.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort_unstable();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The line that the whole output stands under.
const EXPECT: &str = "; expect:";

fn check(stage: &str, file: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
    if !text.starts_with("; ") {
        return Err("the first line must be a comment that says what the file is about".into());
    }
    let (source, expected) = split(&text);
    let output = stages::run(stage, source)?;
    let output = output.trim_end();
    let mut checks = texts(source, output)? + errors(source, output)?;
    if let Some(expected) = expected {
        let commented = comment(output);
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            fs::write(file, format!("{source}{EXPECT}\n{commented}")).map_err(|e| e.to_string())?;
        } else if commented != expected {
            return Err(format!("expected\n{expected}\nfound\n{commented}\nBLESS=1 accepts it").into());
        }
        checks += 1;
    }
    if checks == 0 {
        return Err(format!("the file checks nothing; the output is\n{output}").into());
    }
    KEPT[0].fetch_add(1, Ordering::Relaxed);
    KEPT[1].fetch_add(checks, Ordering::Relaxed);
    Ok(())
}

/// The input, and what stands under the line `; expect:`.
fn split(text: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == EXPECT {
            return (&text[..at], Some(&text[at + line.len()..]));
        }
        at += line.len();
    }
    (text, None)
}

fn comment(output: &str) -> String {
    output.lines().map(|line| format!("; {line}").trim_end().to_owned() + "\n").collect()
}

/// Checks lines that want texts to be in the output or not; how many there are.
fn texts(source: &str, output: &str) -> Result<usize, Failed> {
    let (mut rest, mut between, mut count) = (output, Vec::new(), 0);
    let absent = |unwanted: &str, part: &str| match part.contains(unwanted) {
        true => Err(Failed::from(format!("`{unwanted}` is in the output, which is\n{output}"))),
        false => Ok(()),
    };
    for line in source.lines() {
        let Some((directive, text)) = line.trim_start().strip_prefix("; ").and_then(|l| l.split_once(':'))
        else {
            continue;
        };
        let text = text.trim();
        match directive {
            "check" => {
                let at = rest.find(text).ok_or_else(|| {
                    format!(
                        "`{text}` is not in the output after the checks before it; the output is\n{output}"
                    )
                })?;
                between.drain(..).try_for_each(|unwanted| absent(unwanted, &rest[..at]))?;
                rest = &rest[at + text.len()..];
            }
            "check-not" => absent(text, output)?,
            "not-between" => between.push(text),
            _ => continue,
        }
        count += 1;
    }
    between.drain(..).try_for_each(|unwanted| absent(unwanted, rest))?;
    Ok(count)
}

/// Checks `; error:` comments; how many there are.
fn errors(source: &str, output: &str) -> Result<usize, Failed> {
    const MARK: &str = "; error:";
    let mut found: Vec<&str> = output.split("error[").skip(1).collect();
    let mut count = 0;
    for (i, line) in source.lines().enumerate() {
        let Some((_, wanted)) = line.split_once(MARK) else { continue };
        let (code, text) = wanted.trim().split_once(' ').unwrap_or((wanted.trim(), ""));
        let place = format!(" --> {NAME}:{}:", i + 1);
        let fits = |e: &&str| {
            e.starts_with(&format!("{code}]"))
                && e.lines().any(|l| l.trim_start().starts_with(place.trim_start()))
                && e.contains(text.trim())
        };
        let at = found.iter().position(fits).ok_or_else(|| {
            format!("line {}: there is no error {code} with `{text}` here; the output is\n{output}", i + 1)
        })?;
        found.remove(at);
        count += 1;
    }
    match found.first() {
        Some(error) if count > 0 => Err(format!("an error that is not expected:\nerror[{error}").into()),
        _ => Ok(count),
    }
}
