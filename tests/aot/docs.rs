//! The page on shipping a model: its commands are run, in order, in a folder that looks like the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

/// The fenced blocks of a page, with their language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), body.join("\n")));
        }
    }
    blocks
}

/// A Python with NumPy.
fn python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python).args(["-c", "import numpy"]).output().is_ok_and(|output| output.status.success())
    })
}

#[test]
fn the_commands_of_the_page_work() {
    let folder = folder("page");
    std::os::unix::fs::symlink(Path::new(ROOT).join("examples"), folder.join("examples")).unwrap();
    let page = std::fs::read_to_string(Path::new(ROOT).join("docs/ship-a-model.md")).unwrap();
    let blocks = blocks(&page);
    let of = |language: &str| blocks.iter().find(|(l, _)| l == language).map(|(_, body)| body).unwrap();
    let project = folder.join("build/project");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::write(project.join("CMakeLists.txt"), of("cmake")).unwrap();
    std::fs::copy(Path::new(ROOT).join("examples/cpp/predict.cpp"), project.join("predict.cpp")).unwrap();

    let bin = PathBuf::from(env!("CARGO_BIN_EXE_bessemer"));
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut said = String::new();
    for (_, block) in blocks.iter().filter(|(language, _)| language == "sh") {
        let needs = [("cmake -S", "cmake"), ("pkg-config", "pkg-config")];
        if needs.iter().any(|(word, program)| block.contains(word) && !has(program)) {
            continue;
        }
        let mut script = block.clone();
        if block.contains("python3 ") {
            match python() {
                Some(python) => script = block.replace("python3 ", &format!("{python} ")),
                None => {
                    println!("skipped: there is no Python with NumPy");
                    continue;
                }
            }
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&folder)
            .env("PATH", &path)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{block}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        said += &text(&output.stdout);
    }
    let accuracy = said.lines().find_map(|line| line.strip_prefix("loaded: test accuracy "));
    let accuracy: f64 = accuracy.expect("the example says its accuracy").trim().parse().unwrap();
    // CPU levels differ in bits, and so do runs.
    assert!(accuracy >= 0.965, "{accuracy}\n{said}");
    assert!(said.matches("image 7 is a 7").count() >= 2, "{said}");
    assert!(said.contains("loss in thousandths"), "{said}");
}

/// A Rust program may link the static library: the runtime in it brings nothing that Rust's own library has.
#[test]
fn rust_programs_link_the_static_library() {
    let folder = folder("rust-static");
    let prefix = folder.join("mnist").display().to_string();
    compile(&mnist(), &["-o", &prefix, "--emit", "staticlib", "-q"]);
    let source = folder.join("main.rs");
    std::fs::write(
        &source,
        "use std::ffi::c_void;
unsafe extern \"C\" {
    fn mnist_create(out: *mut *mut c_void) -> i32;
    fn mnist_init(model: *mut c_void, seed: u64) -> i32;
    fn mnist_destroy(model: *mut c_void);
    fn mnist_num_parameters() -> u64;
}
fn main() {
    let mut model = std::ptr::null_mut();
    unsafe {
        assert_eq!(mnist_create(&raw mut model), 0);
        assert_eq!(mnist_init(model, 1), 0);
        println!(\"{}\", mnist_num_parameters());
        mnist_destroy(model);
    }
    assert!(std::panic::catch_unwind(|| panic!(\"expected\")).is_err());
}
",
    )
    .unwrap();
    let program = folder.join("program").display().to_string();
    let search = format!("-L{}", folder.display());
    let source = source.display().to_string();
    run("rustc", ["--edition=2024", &source, &search, "-lstatic:+verbatim=mnist.a", "-o", &program]);
    assert_eq!(run(program, [""; 0]), "101770\n");
}
