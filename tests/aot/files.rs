//! What the files are: what they refer to, what they export, how large they are, and what stands in their way.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::*;

/// The C functions that `folder/mnist.h` declares.
fn declared(folder: &Path) -> Vec<String> {
    let header = std::fs::read_to_string(folder.join("mnist.h")).unwrap();
    let lines = header.lines().filter(|line| !line.starts_with(' ') && line.ends_with(");"));
    let mut names: Vec<String> = lines
        .filter(|line| !line.starts_with("typedef"))
        .map(|line| line.split('(').next().unwrap().rsplit([' ', '*']).next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_object_file_refers_to_nothing_and_the_library_to_the_c_library_only() {
    let folder = folder("files");
    let prefix = folder.join("mnist");
    let entries = "predict,train_step,eval";
    compile(
        &mnist(),
        &["-o", prefix.to_str().unwrap(), "--emit", "so,header,obj,staticlib", "--entry", entries],
    );
    let (object, library) = (folder.join("mnist.o"), folder.join("mnist.so"));
    assert_eq!(run("nm", ["-u".as_ref(), object.as_os_str()]), "");

    let defined = run("nm", ["-D".as_ref(), "--defined-only".as_ref(), library.as_os_str()]);
    let exported: Vec<&str> = defined.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    let hidden = ["mnist_raw_call", "mnist_raw_program"];
    let mut shown: Vec<&str> = exported.iter().copied().filter(|name| !hidden.contains(name)).collect();
    shown.sort_unstable();
    assert_eq!(shown, declared(&folder), "all that is exported is declared, and the other way round");

    let dynamic = run("readelf", ["-dW".as_ref(), library.as_os_str()]);
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    // The loader is a part of the C library; it tells where a thread's own data is.
    assert!(needed.iter().all(|line| line.contains("[libc.so") || line.contains("[ld-linux")), "{needed:?}");
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
    assert!(dynamic.contains("BIND_NOW") && dynamic.contains("Library soname: [mnist.so]"), "{dynamic}");
    let segments = run("readelf", ["-lW".as_ref(), library.as_os_str()]);
    let flags = |segment: &str| segments.lines().find(|line| line.contains(segment)).map(str::to_owned);
    assert!(flags("GNU_RELRO").is_some(), "{segments}");
    assert!(flags("GNU_STACK").is_some_and(|line| line.contains(" RW ")), "{segments}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let emit = "so,header,obj,staticlib,ir,asm,pkgconfig,cmake";
    let make = |name: &str| {
        let folder = folder(name);
        compile(&mnist(), &["-o", folder.join("mnist").to_str().unwrap(), "--emit", emit, "-q"]);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let (first, second) = (make("same-1"), make("same-2"));
    assert_eq!(first.len(), 8);
    for ((name, a), (_, b)) in first.iter().zip(&second) {
        assert!(a == b, "{name:?} differs");
    }
}

#[test]
fn headers_are_clean_in_c_and_cpp() {
    let folder = folder("headers");
    let prefix = folder.join("mnist");
    compile(&mnist(), &["-o", prefix.to_str().unwrap(), "--emit", "header", "-q"]);
    let bare = folder.join("bare");
    compile(
        &mnist(),
        &["-o", bare.to_str().unwrap(), "--emit", "header", "-q", "--target", "aarch64-unknown-none"],
    );
    for header in ["mnist.h", "bare.h"].map(|name| folder.join(name)) {
        let header = header.to_str().unwrap();
        let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];
        for (compiler, language, standard) in [
            ("cc", "c", "-std=c11"),
            ("cc", "c", "-std=c99"),
            ("c++", "c++", "-std=c++11"),
            ("c++", "c++", "-std=c++20"),
        ] {
            run(compiler, [&["-x", language, standard], &warnings[..], &[header]].concat());
        }
    }
}

#[test]
fn what_stands_in_the_way_is_said() {
    let folder = folder("refused");
    let model = mnist().display().to_string();
    let at = |name: &str| folder.join(name).display().to_string();
    let out = at("mnist");
    for (args, code, says) in [
        (&["--name", "int"][..], 2, "E0721"),
        (&["--name", "a-b"], 2, "choose another with `--name`"),
        (&["--batch", "0"], 2, "E0724"),
        (&["--batch", "1..8,8..9"], 2, "overlap"),
        (&["--entry", "predikt"], 1, "E0702"),
        (&["--target", "wasm32-unknown-unknown"], 2, "E0711"),
        (&["--target", "thumbv7em-none-eabihf"], 2, "x86_64, aarch64 and riscv64, all of 64 bits"),
        (&["--target", "aarch64-unknown-linux-gnu"], 2, "E0726"),
        (&["--target-cpu", "pentium"], 2, "there is no CPU level `pentium`"),
        (&["--target-features", "+avx3"], 2, "the features are sse3, ssse3,"),
        (&["--target-features", "avx2"], 2, "write `+` or `-`"),
        (&["--target-features", "-sse4.1"], 2, "needs all features of `x86-64-v2`"),
        (&["--target-features", "-avx", "--target-cpu", "v2,v3"], 2, "one CPU level only"),
        (&["--target-features", "+v", "--target", "riscv64gc-unknown-linux-gnu"], 2, "are those of x86-64"),
        (&["--target-cpu", "v2,v3", "--target", "aarch64-unknown-linux-gnu"], 2, "does not fit"),
        (&["--linker", "no-such-compiler"], 2, "cannot run the linker `no-such-compiler`"),
        (&["--linker", "false"], 2, "the linker `false` failed"),
        (&["--runtime", "/nowhere/runtime.o"], 2, "E0801"),
        (&["--runtime", &model], 2, "E0725"),
        (&["--emit", "exe"], 2, "possible values"),
        (&["--disable-pass", "fuse"], 2, "E0701"),
    ] {
        let (found, text) = compile_fails(&[&[&model, "-o", &out], args].concat());
        assert_eq!(found, code, "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
    let (code, text) = compile_fails(&[&model, "-o", "/proc/nowhere/mnist", "--name", "mnist"]);
    assert!(code == 2 && text.contains("E0727") && text.contains("cannot write"), "{text}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn an_installed_command_needs_a_c_compiler_and_nothing_else() {
    let folder = folder("installed");
    let command = folder.join("bessemer");
    std::fs::copy(env!("CARGO_BIN_EXE_bessemer"), &command).unwrap();
    std::fs::copy(mnist(), folder.join("mnist.bsm")).unwrap();
    let compile = |path: &str, emit: &str| {
        let args = ["compile", "mnist.bsm", "-o", "mnist", "--batch", "100", "-q", "--emit", emit];
        Command::new(&command).args(args).current_dir(&folder).env_clear().env("PATH", path).output().unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let path = std::env::var("PATH").unwrap();
    let made = compile(&path, "so,header");
    assert!(made.status.success(), "{}", said(&made));
    let program = build(&folder, "mnist", "train");
    assert_eq!(run(program, [""; 0]).lines().count(), 13);
    // Without a C compiler.
    let made = compile("/nowhere", "obj,header,staticlib,pkgconfig,cmake");
    assert!(made.status.success(), "{}", said(&made));
    let refused = compile("/nowhere", "so");
    assert_eq!(refused.status.code(), Some(2));
    for part in ["error[E0725]: cannot run the linker `cc`", "help: install a C compiler"] {
        assert!(said(&refused).contains(part), "{}", said(&refused));
    }
}

#[test]
fn a_perceptron_and_its_training_take_little_room() {
    if !has("strip") {
        return;
    }
    let folder = folder("size");
    let prefix = folder.join("mnist").display().to_string();
    let bytes = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    for level in ["v2", "v3", "v4"] {
        let args = [
            "-o",
            &prefix,
            "--emit",
            "obj,so",
            "--target-cpu",
            level,
            "--batch",
            "100",
            "--weights",
            "external",
            "-q",
        ];
        compile(&mnist(), &[&args[..], &["--entry", "predict,train_step,eval"]].concat());
        assert!(bytes("mnist.o") <= 60 << 10, "{level}: {}", bytes("mnist.o"));
        compile(&mnist(), &args);
        run("strip", [folder.join("mnist.so")]);
        assert!(bytes("mnist.so") <= 150_000, "{level}: {}", bytes("mnist.so"));
    }
}
