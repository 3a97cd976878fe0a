//! Running the command, compilers and what they made.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the project's files are.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The perceptron with 128 hidden units, as text.
pub fn mnist() -> PathBuf {
    Path::new(ROOT).join("examples/models/mnist_mlp.bsm")
}

/// A folder of this name, empty, for one test.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aot").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Runs a program; its standard output.
#[track_caller]
pub fn run<I: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = I>) -> String {
    let program = program.as_ref();
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = Command::new(program).args(&args).output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{program:?} {args:?}: {status}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}

/// Runs `bessemer compile MODEL` with these arguments; what it prints.
#[track_caller]
pub fn compile(model: &Path, args: &[&str]) -> String {
    let first = [OsStr::new("compile"), model.as_os_str()];
    run(env!("CARGO_BIN_EXE_bessemer"), first.into_iter().chain(args.iter().map(OsStr::new)))
}

/// Runs `bessemer compile` with arguments that it refuses: exit code and standard error.
pub fn compile_fails(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bessemer")).arg("compile").args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code().expect("no signal"), text)
}

/// The C compiler's arguments by which everything is built: no warning is let pass.
pub const C_FLAGS: [&str; 6] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"];

/// Compiles softmax regression of 6 inputs and 3 classes, trained by Adam, to `folder/tiny.so` and `folder/tiny.h`.
#[track_caller]
pub fn tiny(folder: &Path, args: &[&str]) -> String {
    tiny_with(folder, args, |text| text)
}

/// The same, with the model's text changed.
#[track_caller]
pub fn tiny_with(folder: &Path, args: &[&str], change: impl Fn(String) -> String) -> String {
    let text = std::fs::read_to_string(Path::new(ROOT).join("examples/models/mnist_softmax.bsm")).unwrap();
    let text = text
        .replace("784", "6")
        .replace("10]", "3]")
        .replace("=10", "=3")
        .replace("sgd(lr = 0.5)", "adam(lr = 0.01)");
    let model = folder.join("tiny.bsm");
    std::fs::write(&model, change(text)).unwrap();
    let prefix = folder.join("tiny");
    compile(&model, &[&["-o", prefix.to_str().unwrap()], args].concat())
}

/// Builds a C program of `tests/aot/c` with the library `folder/LIBRARY.so`; the path of the program.
#[track_caller]
pub fn build(folder: &Path, library: &str, program: &str) -> PathBuf {
    build_with(folder, &folder.join(format!("{library}.so")).display().to_string(), program)
}

/// The same, with this argument in place of a library.
#[track_caller]
pub fn build_with(folder: &Path, argument: &str, program: &str) -> PathBuf {
    let source = Path::new(ROOT).join("tests/aot/c").join(program).with_extension("c");
    let output = folder.join(program);
    let mut args: Vec<String> = C_FLAGS.map(String::from).to_vec();
    args.extend([
        format!("-I{}", folder.display()),
        source.display().to_string(),
        argument.into(),
        "-Wl,-rpath,$ORIGIN".into(),
        "-pthread".into(),
        "-o".into(),
        output.display().to_string(),
    ]);
    run("cc", args);
    output
}
/// Whether a program is there. Where it is not, says so: a test that needs it is then skipped.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no `{program}`");
    }
    found
}
