//! Code for other machines, run by an emulator.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use object::read::archive::{ArchiveFile, ArchiveKind};

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

/// What the program prints on this machine.
fn losses() -> &'static str {
    static LOSSES: OnceLock<String> = OnceLock::new();
    LOSSES.get_or_init(|| {
        let folder = folder("cross-host");
        object(&mnist(), &folder, &["--batch", "100", "--target-cpu", "x86-64-v3"]);
        let losses = run(build_raw("cc", &folder), [""; 0]);
        assert_eq!(losses.lines().count(), 4, "{losses}");
        losses
    })
}

#[test]
fn training_has_the_same_bits_on_other_machines() {
    let expected = losses();
    for (triple, cc, emulator) in machines() {
        let folder = folder(&format!("cross-{triple}"));
        object(&mnist(), &folder, &["--batch", "100", "--target", triple]);
        assert_eq!(run("nm", ["-u".as_ref(), folder.join("mnist.o").as_os_str()]), "", "{triple}");
        let program = build_raw(cc, &folder);
        assert_eq!(run(emulator, [program]), expected, "{triple}");
    }
}

/// Code for Windows follows other conventions and has other relocations: a program that loads it here runs it.
#[test]
fn training_has_the_same_bits_on_windows() {
    let x86 = ("x86_64-pc-windows-msvc", "x64", "cc", "");
    let arm = ("aarch64-pc-windows-msvc", "arm64", "aarch64-linux-gnu-gcc", "qemu-aarch64");
    for (triple, machine, cc, emulator) in [x86, arm] {
        if !has("lld-link") || !has(cc) || !(emulator.is_empty() || has(emulator)) {
            continue;
        }
        let folder = folder(&format!("windows-{machine}"));
        object(&mnist(), &folder, &["--batch", "100", "--target", triple]);
        let linked = Command::new("lld-link")
            .args(["/dll", "/noentry", "/nodefaultlib", "/out:mnist.dll", "mnist.o"])
            .args(["/export:mnist_raw_init", "/export:mnist_raw_train_step", &format!("/machine:{machine}")])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(linked.status.success(), "{triple}: {}", String::from_utf8_lossy(&linked.stderr));
        let program = folder.join("pe").display().to_string();
        let (include, source) = (format!("-I{}", folder.display()), format!("{ROOT}/tests/aot/c/pe.c"));
        run(cc, [&C_FLAGS[..], &["-static", &include, &source, "-o", &program]].concat());
        let library = folder.join("mnist.dll").display().to_string();
        let command = [emulator, &program, &library];
        let command = if emulator.is_empty() { &command[1..] } else { &command[..] };
        assert_eq!(run(command[0], &command[1..]), losses(), "{triple}");
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
        "aarch64-pc-windows-msvc",
        "x86_64-unknown-none",
        "aarch64-unknown-none",
        "riscv64gc-unknown-none-elf",
    ] {
        let emit = "obj,header,staticlib";
        let prefix = folder.join(triple).display().to_string();
        compile(&mnist(), &["-o", &prefix, "--name", "mnist", "--emit", emit, "--target", triple, "-q"]);
        let header = std::fs::read_to_string(format!("{prefix}.h")).unwrap();
        assert!(header.contains("mnist_raw_train_step(") && !header.contains("mnist_create("), "{triple}");
        // Each system's tools read another form of static libraries.
        let bytes = std::fs::read(format!("{prefix}.a")).unwrap();
        let archive = ArchiveFile::parse(&*bytes).unwrap();
        let (kind, name) = match triple.split('-').nth(1) {
            Some("apple") => (ArchiveKind::Bsd, "_mnist_raw_train_step"),
            Some("pc") => (ArchiveKind::Coff, "mnist_raw_train_step"),
            _ => (ArchiveKind::Gnu, "mnist_raw_train_step"),
        };
        assert_eq!(archive.kind(), kind, "{triple}");
        let mut symbols = archive.symbols().unwrap().expect("an index").map(|s| s.unwrap());
        let found = symbols.find(|symbol| symbol.name() == name.as_bytes()).expect("it is in the index");
        let member = archive.member(found.offset()).unwrap();
        assert_eq!(member.name(), b"mnist.o", "{triple}");
        assert!(member.data(&*bytes).unwrap() == std::fs::read(format!("{prefix}.o")).unwrap(), "{triple}");
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
        let made = Command::new(make_runtime)
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
