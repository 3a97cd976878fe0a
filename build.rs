//! Compiles the runtime to the object file that shared libraries are linked with, which the command carries.
//!
//! rustc is called directly, once for the runtime and once for the little library over it: neither has dependencies. The
//! second call optimises both, and what they use of `core`, as one. Of the archive that results, one member is kept: all
//! that it refers to is in the C library and the compiler's own (libgcc).
//!
//! The same program makes the file for another system, where rustc has `core` for it (`rustup target add TRIPLE`):
//!
//! ```sh
//! rustc --edition 2024 build.rs -o build/make_runtime
//! TARGET=aarch64-unknown-linux-gnu OUT_DIR=build CARGO_MANIFEST_DIR="$PWD" build/make_runtime
//! ```

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets `{name}`"));
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("runtime");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    for path in ["src", "artefact"] {
        println!("cargo::rerun-if-changed={}", folder.join(path).display());
    }
    let target = variable("TARGET");

    println!("cargo::rustc-env=BESSEMER_RUNTIME_TRIPLE={target}");

    let library = out.join("libbessemer_runtime.rlib");
    rustc(
        &target,
        &folder.join("src/lib.rs"),
        &library,
        &["--crate-type=rlib", "--crate-name=bessemer_runtime"],
    );
    let archive = out.join("libbessemer_artefact.a");
    let external = format!("--extern=bessemer_runtime={}", library.display());
    let arguments = ["--crate-type=staticlib", "--crate-name=bessemer_artefact", "-Clto=fat", &external];
    rustc(&target, &folder.join("artefact/lib.rs"), &archive, &arguments);

    let archive = std::fs::read(&archive).expect("rustc made the archive");
    let object = member(&archive, b"bessemer_artefact").expect("the archive has the library's object file");
    let path = out.join("bessemer_runtime.o");
    std::fs::write(&path, object).expect("the output folder can be written to");
}

fn rustc(target: &str, source: &Path, output: &Path, arguments: &[&str]) {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--edition=2024", "--cap-lints=allow", "-Cpanic=abort", "-Copt-level=s", "-Ccodegen-units=1"])
        .args(["-Cdebuginfo=0", "-Crelocation-model=pic", "-Cforce-unwind-tables=no"])
        .arg(format!("--target={target}"))
        .args(arguments)
        .arg("-o")
        .arg(output)
        .arg(source);
    // Atomic operations as instructions, not as calls into a library of the compiler.
    if target.starts_with("aarch64") {
        command.arg("-Ctarget-feature=-outline-atomics");
    }
    let status = command.status().expect("rustc can be run");
    assert!(status.success(), "rustc could not compile `{}`", source.display());
}

/// The content of the first member of an archive with this in its name, which is a long one as rustc writes them.
///
/// Reference: ar(5) of System V with GNU's names.
fn member<'a>(archive: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const HEADER: usize = 60;
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok().map(str::trim_end);
    let mut rest = archive.strip_prefix(b"!<arch>\n")?;
    let mut long_names: &[u8] = &[];
    while let Some((header, after)) = rest.split_at_checked(HEADER) {
        let size: usize = text(&header[48..58])?.parse().ok()?;
        let content = after.get(..size)?;
        let short = text(&header[..16])?;
        let full = match short.strip_prefix('/').map(str::parse::<usize>) {
            Some(Ok(at)) => long_names.get(at..)?,
            _ => short.as_bytes(),
        };
        match short {
            "//" => long_names = content,
            "/" | "/SYM64/" => {}
            _ if full.split(|&b| b == b'\n').next()?.windows(name.len()).any(|w| w == name) => {
                return Some(content);
            }
            _ => {}
        }
        rest = after.get(size.next_multiple_of(2)..).unwrap_or(&[]);
    }
    None
}
