//! Code for other machines, run by an emulator.

use std::path::Path;

use crate::support::*;

/// Triple, C compiler and emulator.
const MACHINES: [(&str, &str, &str); 2] = [
    ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc", "qemu-aarch64"),
    ("riscv64gc-unknown-linux-gnu", "riscv64-linux-gnu-gcc", "qemu-riscv64"),
];

fn machines() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    MACHINES.into_iter().filter(|(_, cc, emulator)| has(cc) && has(emulator))
}

/// Compiles a model to `folder/mnist.o` and `folder/mnist.h`.
fn object(model: &Path, folder: &Path, args: &[&str]) {
    let prefix = folder.join("mnist");
    compile(model, &[&["-o", prefix.to_str().unwrap(), "--emit", "obj,header", "-q"], args].concat());
}

/// Builds `tests/aot/c/raw.c` with it; the path of the program.
fn build_raw(cc: &str, folder: &Path) -> String {
    let program = folder.join("raw").display().to_string();
    let include = format!("-I{}", folder.display());
    let (source, object) =
        (format!("{ROOT}/tests/aot/c/raw.c"), folder.join("mnist.o").display().to_string());
    let args = [&C_FLAGS[..], &["-static", &include, &source, &object, "-o", &program]].concat();
    run(cc, args);
    program
}

#[test]
fn training_has_the_same_bits_on_other_machines() {
    let host = folder("cross-host");
    object(&mnist(), &host, &["--batch", "100", "--target-cpu", "x86-64-v3"]);
    let expected = run(build_raw("cc", &host), [""; 0]);
    assert_eq!(expected.lines().count(), 4, "{expected}");
    for (triple, cc, emulator) in machines() {
        let folder = folder(&format!("cross-{triple}"));
        object(&mnist(), &folder, &["--batch", "100", "--target", triple]);
        assert_eq!(run("nm", ["-u".as_ref(), folder.join("mnist.o").as_os_str()]), "", "{triple}");
        let program = build_raw(cc, &folder);
        assert_eq!(run(emulator, [program]), expected, "{triple}");
    }
}

#[test]
fn the_freestanding_example_runs_without_a_c_library() {
    let softmax = Path::new(ROOT).join("examples/models/mnist_softmax.bsm");
    let host = ("x86_64-unknown-linux-gnu", "cc", "");
    for (triple, cc, emulator) in machines().chain(cfg!(target_arch = "x86_64").then_some(host)) {
        let folder = folder(&format!("freestanding-{triple}"));
        object(&softmax, &folder, &["--batch", "16", "--target", triple]);
        let program = folder.join("freestanding").display().to_string();
        let include = format!("-I{}", folder.display());
        let examples = ["freestanding.c", "start.c"].map(|file| format!("{ROOT}/examples/c/{file}"));
        let object = folder.join("mnist.o").display().to_string();
        let flags = ["-ffreestanding", "-nostdlib", "-static", &include];
        let files = [&examples[0], &examples[1], &object, "-o", &program];
        run(cc, [&C_FLAGS[..], &flags, &files].concat());
        let command = if emulator.is_empty() { vec![&*program] } else { vec![emulator, &program] };
        let said = run(command[0], &command[1..]);
        assert!(said.starts_with("loss in thousandths"), "{triple}: {said}");
    }
}

#[test]
fn code_for_systems_without_a_runtime_is_made() {
    let folder = folder("other-systems");
    for triple in [
        "aarch64-apple-darwin",
        "x86_64-apple-darwin",
        "x86_64-pc-windows-msvc",
        "aarch64-unknown-none",
        "riscv64gc-unknown-none-elf",
    ] {
        let emit = if triple.contains("apple") { "obj,header" } else { "obj,header,staticlib" };
        let prefix = folder.join(triple).display().to_string();
        compile(&mnist(), &["-o", &prefix, "--name", "mnist", "--emit", emit, "--target", triple, "-q"]);
        let header = std::fs::read_to_string(format!("{prefix}.h")).unwrap();
        assert!(header.contains("mnist_raw_train_step(") && !header.contains("mnist_create("), "{triple}");
    }
}

/// Whether rustc has what a library without std needs for a target.
fn has_core(triple: &str) -> bool {
    let folder = run("rustc", ["--print", "target-libdir", "--target", triple]);
    let found = Path::new(folder.trim()).is_dir();
    if !found {
        println!("skipped: rustc has no `core` for {triple}");
    }
    found
}

#[test]
fn shared_libraries_for_other_machines_are_linked_with_their_runtime() {
    let host = folder("cross-so-host");
    compile(
        &mnist(),
        &["-o", host.join("mnist").to_str().unwrap(), "--batch", "100", "--target-cpu", "v3", "-q"],
    );
    let expected = run(build(&host, "mnist", "train"), [""; 0]);
    for (triple, cc, emulator) in machines().filter(|(triple, ..)| has_core(triple)) {
        let folder = folder(&format!("cross-so-{triple}"));
        let make_runtime = folder.join("make_runtime").display().to_string();
        run("rustc", ["--edition=2024", &format!("{ROOT}/build.rs"), "-o", &make_runtime]);
        let made = std::process::Command::new(make_runtime)
            .envs([("TARGET", triple), ("CARGO_MANIFEST_DIR", ROOT)])
            .env("OUT_DIR", &folder)
            .status();
        assert!(made.unwrap().success(), "{triple}");
        let runtime = folder.join("bessemer_runtime.o").display().to_string();
        let prefix = folder.join("mnist").display().to_string();
        let target = ["--target", triple, "--linker", cc, "--runtime", &runtime];
        compile(&mnist(), &[&["-o", &prefix, "--batch", "100", "-q"], &target[..]].concat());
        let program = folder.join("train").display().to_string();
        let include = format!("-I{}", folder.display());
        let source = format!("{ROOT}/tests/aot/c/train.c");
        let library = format!("{prefix}.so");
        let files = [&include, &source, &library, "-Wl,-rpath,$ORIGIN", "-o", &program];
        run(cc, [&C_FLAGS[..], &files[..]].concat());
        // Where Debian has the C library of the cross compiler.
        let root = format!("/usr/{}", cc.trim_end_matches("-gcc"));
        assert_eq!(run(emulator, ["-L", &root, &program]), expected, "{triple}");
    }
}
