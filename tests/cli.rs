//! The command line: exit codes and what is printed.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const MODEL: &str = "module @tiny

var @w : f32[4,3] = glorot_uniform(seed = 1)

func @predict(%x: f32[N,4]) -> (scores: f32[N,3]) {
  %0 = read @w : f32[4,3]
  %1 = matmul %x, %0 : f32[N,3]
  return %1
}

func @loss(%x: f32[N,4]) -> (loss: f32[]) {
  %0 = read @w : f32[4,3]
  %1 = matmul %x, %0 : f32[N,3]
  %2 = mul %1, %1 : f32[N,3]
  %3 = reduce_sum %2 {axes=[0,1]} : f32[]
  return %3
}

train @step() = minimize @loss with sgd(lr = 0.01)
";

/// A file with this content, for one test.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn model(name: &str) -> String {
    file(name, MODEL).display().to_string()
}

/// What a command prints: exit code, standard output, standard error.
fn bessemer(args: &[&str]) -> (i32, String, String) {
    output(Command::new(env!("CARGO_BIN_EXE_bessemer")).args(args))
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

#[track_caller]
fn fails(args: &[&str], code: i32, says: &str) {
    fails_with(Command::new(env!("CARGO_BIN_EXE_bessemer")).args(args), code, says);
}

#[track_caller]
fn fails_with(command: &mut Command, code: i32, says: &str) {
    let (found, out, err) = output(command);
    assert_eq!(found, code, "{command:?}\n{out}\n{err}");
    assert!(err.contains(says), "{command:?}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[track_caller]
fn prints(args: &[&str], says: &[&str]) -> String {
    let (code, out, err) = bessemer(args);
    assert_eq!((code, &*err), (0, ""), "{args:?}");
    for text in says {
        assert!(out.contains(text), "{args:?} does not print `{text}`\n{out}");
    }
    out
}

#[test]
fn wrong_use_exits_with_2() {
    let model = model("use.bsm");
    fails(&[], 2, "Usage: bessemer <COMMAND>");
    fails(&["train"], 2, "unrecognized subcommand");
    fails(&["compile"], 2, "required arguments");
    fails(&["verify"], 2, "required arguments");
    fails(&["inspect", &model, "--stage", "ast"], 2, "possible values");
    fails(&["inspect", &model, "--batch=-1"], 2, "--batch");
    fails(&["inspect", &model, "--dot"], 2, "`--dot` needs `--stage`");
    fails(&["inspect", &model, "-O", "9"], 2, "possible values");
    fails(&["inspect", &model, "--disable-pass", "fuse"], 2, "E0701");
    fails(&["inspect", &model, "--target-cpu", "pentium"], 2, "there is no CPU level `pentium`");
    fails(&["bench", &model, "--seconds", "nan"], 2, "`--seconds` must be");
    fails(&["bench", &model, "--threads", "0"], 2, "cannot run on 0 threads");
}

/// What `native` is can be lowered, and nothing else.
#[test]
fn the_environment_names_the_native_cpu() {
    let model = model("native.bsm");
    let inspect = |level: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bessemer"));
        output(command.args(["inspect", &model, "--stage", "kernels"]).env("BESSEMER_NATIVE_CPU", level))
    };
    let (code, _, err) = inspect("pentium");
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("BESSEMER_NATIVE_CPU=pentium: there is no CPU level `pentium`"), "{err}");
    if cfg!(target_arch = "x86_64") {
        let lowest = inspect("x86-64-v2");
        let named = bessemer(&["inspect", &model, "--stage", "kernels", "--target-cpu", "x86-64-v2"]);
        assert_eq!(lowest, named);
    }
}

#[test]
fn help_is_no_error() {
    prints(&["--help"], &["Usage: bessemer", "verify", "inspect", "bench"]);
    prints(&["inspect", "--help"], &["differentiated:", "--disable-pass <PASS>"]);
    prints(&["--version"], &["bessemer 0."]);
}

#[test]
fn files_that_cannot_be_read_exit_with_2() {
    for command in ["verify", "inspect", "bench"] {
        fails(&[command, "/nowhere/model.bsm"], 2, "error[E0801]: cannot read `/nowhere/model.bsm`");
        fails(&[command, env!("CARGO_TARGET_TMPDIR")], 2, "E0801");
    }
}

#[test]
fn malformed_models_exit_with_1() {
    let bad = file("bad.bsm", MODEL.replace("matmul %x, %0", "matmul %0, %x")).display().to_string();
    let bytes = file("bytes.bsm", b"module @m\n\xff\xfe").display().to_string();
    let empty = file("open.bsm", "func @f(").display().to_string();
    let good = model("good.bsm");
    for command in ["verify", "inspect", "bench"] {
        fails(&[command, &bad], 1, "bad.bsm:7:8");
        fails(&[command, &bytes], 1, "is not UTF-8 text");
        fails(&[command, &empty], 1, "E01");
    }
    let (code, out, err) = bessemer(&["verify", &good, &bad, &bytes]);
    assert_eq!((code, out), (1, format!("{good}: ok\n")));
    assert!(err.contains("bad.bsm:13:8") && err.contains("line 2"), "{err}");
    fails(&["verify", &bad, "/nowhere"], 2, "bad.bsm:7:8");
    let underivable =
        file("train.bsm", MODEL.replace("sgd(lr = 0.01)", "sgdd(lr = 0.01)")).display().to_string();
    fails(&["verify", &underivable], 1, "E05");
}

#[test]
fn unknown_entry_points_are_named() {
    let model = model("entries.bsm");
    for command in ["inspect", "bench"] {
        fails(
            &[command, &model, "--entry", "predikt"],
            1,
            "the entry points of `tiny` are: `predict`, `loss`, `step`",
        );
    }
}

#[test]
fn batches_that_are_too_large_are_errors() {
    let model = model("large.bsm");
    let huge = usize::MAX.to_string();
    for command in ["inspect", "bench"] {
        fails(&[command, &model, "--batch", &huge], 1, "E0601");
        fails(&[command, &model, "--batch", "100000000000"], 1, "E0602");
    }
    // Whatever the system promises, the process has 16 GB.
    let limited = "ulimit -v 16000000 && exec \"$0\" \"$@\"";
    let args = [env!("CARGO_BIN_EXE_bessemer"), "bench", &model, "--batch", "50000000000"];
    fails_with(Command::new("sh").args(["-c", limited]).args(args), 1, "out of memory");
    fails(&["inspect", &model, "--batch", "99999999999999999999999"], 2, "--batch");
}

#[test]
fn every_stage_is_shown() {
    let model = model("stages.bsm");
    let stage = |name, says: &[&str]| prints(&["inspect", &model, "--stage", name], says);
    let graph = stage("graph", &["train @step() = minimize @loss", "f32[N,4]"]);
    assert_eq!(graph, format!("{}\n", MODEL.trim_end()), "the text is in canonical form");
    stage("differentiated", &["func @step(%x: f32[N,4])", "assign @w, ", "func @init()"]);
    stage("optimised", &["func @step(%x: f32[100,4])"]);
    stage("kernels", &["kernels @step {", "acc0 = dot", "; k"]);
    stage("memory", &["without reuse", "lower bound", "for each thread", "@step at batch size 100"]);
    stage("clif", &["; tiny_step", "function u0:", "return"]);
    stage("asm", &["tiny_step:", "block0:"]);
    let one = prints(
        &["inspect", &model, "--stage", "optimised", "--entry", "loss", "--batch", "7"],
        &["f32[7,3]"],
    );
    assert!(!one.contains("@predict"));
    prints(
        &["inspect", &model, "--stage", "graph", "--entry", "loss", "--dot"],
        &["digraph \"loss\" {", "matmul"],
    );
}

#[test]
fn the_summary_has_costs_times_and_fusion() {
    let model = model("summary.bsm");
    let out = prints(
        &["inspect", &model, "--entry", "step", "--batch", "10"],
        &[
            "parameters  FLOPs  bytes",
            "read @w",
            "fuse-producers",
            "fusion\n",
            "emit kernels",
            "kernels, in order",
        ],
    );
    // 4·3 parameters; a product of 10×4 and 4×3 is 10·3·4 multiplications and additions.
    let matmul = out.lines().find(|line| line.contains("matmul") && line.contains("f32[10,3]")).unwrap();
    assert!(matmul.trim_end().ends_with("240    120"), "{matmul}");
    assert!(out.lines().any(|line| line.contains("read @w") && line.trim_end().ends_with(" 12")), "{out}");
    let unfused = prints(&["inspect", &model, "--entry", "step", "--disable-pass", "fuse-producers"], &[]);
    assert!(!unfused.contains("fuse-producers:"));
}

#[test]
fn bench_prints_figures() {
    let model = model("bench.bsm");
    let run = |extra: &[&str]| {
        let args = ["bench", &model, "--seconds", "0.05", "--batch", "16", "--threads", "1"];
        prints(&[&args[..], extra].concat(), &[])
    };
    let figures: serde_json::Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!(figures["entry"], "step");
    assert_eq!((figures["batch"].as_u64(), figures["threads"].as_u64()), (Some(16), Some(1)));
    assert_eq!(figures["parameters"], 12);
    for positive in ["compile_ms", "median_us", "p10_us", "p90_us", "flops", "gflops", "runs"] {
        assert!(figures[positive].as_f64().unwrap() > 0.0, "{positive} in {figures}");
    }
    assert!(figures["p10_us"].as_f64() <= figures["median_us"].as_f64());
    assert!(figures["arena_bytes"].is_u64() && figures["checksum"].as_str().unwrap().len() == 16);
    let again: serde_json::Value = serde_json::from_str(&run(&["--json", "-O", "0"])).unwrap();
    assert_eq!(again["checksum"], figures["checksum"], "levels agree bit for bit");
    assert_eq!(again["last_result"], figures["last_result"]);
    let text = run(&["--entry", "predict"]);
    assert!(
        text.starts_with("@predict at batch size 16 on 1 threads\n") && text.contains("median"),
        "{text}"
    );
    let trained = figures["checksum"].as_str().unwrap();
    assert!(text.contains("checksum") && !text.contains(trained), "predicting assigns nothing\n{text}");
}

#[test]
fn a_reader_may_stop_reading() {
    let model = model("pipe.bsm");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bessemer"))
        .args(["inspect", &model, "--stage", "clif", "--entry", "step"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap()), (Some(0), String::new()));
}
