//! Under tools that watch memory, unload libraries, and let system calls fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::*;

#[test]
fn valgrind_finds_nothing() {
    if !has("valgrind") {
        return;
    }
    let folder = folder("valgrind");
    tiny(&folder, &["--batch", "4", "--target-cpu", "x86-64-v3", "-q"]);
    let program = build(&folder, "tiny", "life");
    let output = Command::new("valgrind")
        .args([
            "--leak-check=full",
            "--show-leak-kinds=all",
            "--errors-for-leak-kinds=all",
            "--error-exitcode=99",
        ])
        .args([program, folder.join("saved")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("ERROR SUMMARY: 0 errors"), "{text}");
    assert!(text.contains("All heap blocks were freed"), "{text}");
}

#[test]
fn a_thousand_loads_leave_no_memory_behind() {
    let folder = folder("dlopen");
    tiny(&folder, &["--batch", "4", "-q"]);
    let said = run(build_with(&folder, "-ldl", "dlopen"), [folder.join("tiny.so")]);
    assert!(said.ends_with(" KiB\n"), "{said}");
}

#[test]
fn threads_share_an_instance_and_instances_share_nothing() {
    let folder = folder("threads");
    tiny(&folder, &["--batch", "4", "-q"]);
    let said = run(build(&folder, "tiny", "threads"), [""; 0]);
    assert_eq!(said, "2000 trained, 0 failed\n");
}

/// A program and a file, for faults to be put into its saving.
struct Saving {
    program: PathBuf,
    file: PathBuf,
}

impl Saving {
    fn run(&self, word: &str) -> String {
        run(&self.program, [self.file.as_os_str(), word.as_ref()])
    }

    /// Saves while the n-th of some system calls gets a fault; whether that call was made.
    fn fault(&self, call: &str, fault: &str, n: usize) -> bool {
        let inject = format!("inject={call}:{fault}:when={n}");
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &inject])
            .args([&self.program, &self.file])
            .arg("second")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).contains("INJECTED") || !output.status.success()
    }

    /// Removes what a process that was killed left.
    fn clean(&self) {
        for entry in std::fs::read_dir(self.file.parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "partial") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    fn partial(&self) -> usize {
        let is_partial = |path: &Path| path.extension().is_some_and(|e| e == "partial");
        let entries = std::fs::read_dir(self.file.parent().unwrap()).unwrap();
        entries.filter(|entry| is_partial(&entry.as_ref().unwrap().path())).count()
    }
}

#[test]
fn whatever_fails_while_saving_the_old_file_or_the_new_one_is_there() {
    if !has("strace") {
        return;
    }
    let folder = folder("save");
    tiny(&folder, &["--batch", "4", "-q"]);
    let saving = Saving { program: build(&folder, "tiny", "save"), file: folder.join("saved") };
    saving.run("first");
    assert_eq!(saving.run("check"), "1\n");
    // The calls by which a file is saved, in order; `open` is made under this name.
    let calls = ["openat", "write", "fsync", "close", "rename", "unlink"];
    let mut tried = 0;
    for call in calls {
        for fault in ["signal=SIGKILL", "error=ENOSPC", "error=EIO"] {
            for n in 1..40 {
                saving.run("first");
                if !saving.fault(call, fault, n) {
                    break;
                }
                tried += 1;
                let found = saving.run("check");
                assert!(found == "1\n" || found == "2\n", "{call} {n} {fault}: {found}");
                if fault != "signal=SIGKILL" && call != "unlink" {
                    assert_eq!(saving.partial(), 0, "{call} {n} {fault}: a file is left behind");
                }
                saving.clean();
            }
        }
    }
    assert!(tried >= 12, "{tried} faults");
}
