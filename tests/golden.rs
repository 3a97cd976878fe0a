//! Golden files: `tests/golden/STAGE/NAME.bsm` is a text with what the stage must say of it. One test a file.
//!
//! The first line is a comment that says what the file is about. Then there are, in comments,
//!
//! - `; check: TEXT`: the output has TEXT in it, after what the check before it found;
//! - `; check-not: TEXT`: the output does not have TEXT in it, anywhere;
//! - `; error: CODE TEXT` at the end of a line: an error with this code whose primary place is in that line, and whose
//!   rendering has TEXT in it; if there are any, every error must be expected so;
//! - `; expect:` alone on a line: the rest of the file is the whole output, in comments. With `BLESS=1` in the environment
//!   it is rewritten.
//!
//! A file without any of them fails. Lines of checks belong to the input; being comments, they change nothing.
//!
//! In the folder of a pass, the first line may say `; law: LAW`. Every law has such a file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use bessemer_compiler::fuse;
use bessemer_compiler::graph::{Function, Module};
use bessemer_compiler::ops::Op;
use bessemer_compiler::passes::{self, Laws};
use bessemer_compiler::pipeline::{self, OptLevel, Options, Report};
use libtest_mimic::{Arguments, Failed, Trial};

/// What a stage makes of a text. To add a stage, add an arm and a folder of its name.
fn run(stage: &str, source: &str) -> Result<String, String> {
    let parse = || Module::parse(NAME, source);
    match stage {
        "errors" => match parse() {
            Ok(_) => Err("expected an error, but the text is right".into()),
            Err(errors) => Ok(errors.to_string()),
        },
        "graph" => {
            let printed = parse().map_err(|e| e.to_string())?.to_string();
            let again = Module::parse(NAME, &printed)
                .map_err(|e| format!("{e}\n\nin the printed text\n{printed}"))?;
            match again.to_string() == printed {
                true => Ok(printed),
                false => Err(format!("printed again, it is another text\n{printed}\n{again}")),
            }
        }
        // The functions after the pass.
        pass if passes::PASSES.contains(&pass) => {
            Ok(functions(&parse().map_err(|e| e.to_string())?, |module, f| {
                let shared = Rc::new(RefCell::new(module.clone()));
                passes::run(&shared, f, pass, &mut Laws::default()).to_string()
            }))
        }
        // The kernels after this pass and those before it.
        pass if fuse::PASSES.contains(&pass) => {
            let later = fuse::PASSES.into_iter().skip_while(|p| *p != pass).skip(1);
            let options = later
                .fold(Options::new(OptLevel::O3), |options, p| options.disable(p).expect("it is a pass"));
            let kernels = |module: &Module, f: &Function| {
                pipeline::lower(module, f, &options.clone().verify_each(true), &mut Report::default())
                    .to_string()
            };
            Ok(functions(&parse().map_err(|e| e.to_string())?, kernels))
        }
        _ => Err(format!("there is no stage `{stage}`")),
    }
}

/// What `print` makes of the functions of a module.
fn functions(module: &Module, print: impl Fn(&Module, &Function) -> String) -> String {
    module.functions.values().map(|f| print(module, f) + "\n").collect()
}

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

/// Name of the text in errors.
const NAME: &str = "golden.bsm";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut trials = Vec::new();
    for folder in entries(&root) {
        let stage = name(&folder);
        for file in entries(&folder) {
            let stage = stage.clone();
            trials.push(Trial::test(format!("{stage}/{}", name(&file)), move || check(&stage, &file)));
        }
    }
    trials.push(Trial::test("laws", move || laws(&root)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
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
    let output = run(stage, source)?;
    let output = output.trim_end();
    let mut checks = in_order(source, output)?;
    checks |= errors(source, output)?;
    if let Some(expected) = expected {
        let commented = comment(output);
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            fs::write(file, format!("{source}{EXPECT}\n{commented}")).map_err(|e| e.to_string())?;
        } else if commented != expected {
            return Err(format!("expected\n{expected}\nfound\n{commented}\nBLESS=1 accepts it").into());
        }
        checks = true;
    }
    match checks {
        true => Ok(()),
        false => Err(format!("the file checks nothing; the output is\n{output}").into()),
    }
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

/// Checks `; check:` and `; check-not:` lines; whether there are any.
fn in_order(source: &str, output: &str) -> Result<bool, Failed> {
    let (mut rest, mut found_any) = (output, false);
    for wanted in source.lines().filter_map(|line| line.trim_start().strip_prefix("; check:")) {
        let wanted = wanted.trim();
        let at = rest.find(wanted).ok_or_else(|| {
            format!("`{wanted}` is not in the output after the checks before it; the output is\n{output}")
        })?;
        rest = &rest[at + wanted.len()..];
        found_any = true;
    }
    for unwanted in source.lines().filter_map(|line| line.trim_start().strip_prefix("; check-not:")) {
        if output.contains(unwanted.trim()) {
            return Err(format!("`{}` is in the output, which is\n{output}", unwanted.trim()).into());
        }
        found_any = true;
    }
    Ok(found_any)
}

/// Checks `; error:` comments; whether there are any.
fn errors(source: &str, output: &str) -> Result<bool, Failed> {
    const MARK: &str = "; error:";
    let mut found: Vec<&str> = output.split("error[").skip(1).collect();
    let mut any = false;
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
        any = true;
    }
    match found.first() {
        Some(error) if any => Err(format!("an error that is not expected:\nerror[{error}").into()),
        _ => Ok(any),
    }
}
