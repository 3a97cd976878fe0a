//! Training from C.

use bessemer::compiler::codegen::CpuLevel;
use bessemer::prelude::*;
use ndarray::{Array1, Array2};

use crate::support::*;

/// What `c/train.c` prints, as the compiler in this process has it.
fn expected(level: &str, steps: usize) -> String {
    let module = load(mnist()).unwrap();
    let session = Session::builder(&module).target_cpu(level).threads(1).build().unwrap();
    session.init(7).unwrap();
    let mut step = session.entry("train_step").unwrap();
    let mut state = 42u64;
    let mut unit = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    let mut text = String::new();
    for _ in 0..steps {
        let x = Array2::from_shape_simple_fn((100, 784), &mut unit);
        let y = Array1::from_shape_simple_fn(100, || (unit() * 10.0) as i32);
        step.run(&[("x", (&x).into()), ("y", (&y).into())]).unwrap();
        text += &format!("{:08x}\n", step.scalar::<f32>("loss").unwrap().to_bits());
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in ["hidden1/kernel", "hidden1/bias", "logits/kernel", "logits/bias"] {
        for byte in session.variable(name).unwrap().to_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    text + &format!("{hash:016x}\n")
}

#[test]
fn losses_from_c_have_the_bits_of_the_compiler_in_this_process() {
    for level in ["x86-64-v2", "x86-64-v3", "native"] {
        let folder = folder(&format!("training-{level}"));
        let prefix = folder.join("mnist");
        compile(&mnist(), &["-o", prefix.to_str().unwrap(), "--batch", "100", "--target-cpu", level, "-q"]);
        let program = build(&folder, "mnist", "train");
        assert_eq!(run(program, [""; 0]), expected(level, 12), "{level}");
    }
}

#[test]
fn of_several_levels_the_best_is_taken_that_the_cpu_has() {
    let folder = folder("levels");
    let prefix = folder.join("mnist");
    compile(&mnist(), &["-o", prefix.to_str().unwrap(), "--batch", "100", "--target-cpu", "v4,v2,v3", "-q"]);
    let program = build(&folder, "mnist", "train");
    // Whatever `native` is here, a library takes what the CPU has.
    let is_here = |level: &CpuLevel| CpuLevel::Native.features().contains(level.features());
    let best = [CpuLevel::X86_64V4, CpuLevel::X86_64V3, CpuLevel::X86_64V2].into_iter().find(is_here);
    assert_eq!(run(&program, [""; 0]), expected(&best.expect("this machine has the lowest").to_string(), 12));
    if has("qemu-x86_64") {
        // SSE4.2 and no more.
        let args = ["-cpu".as_ref(), "Nehalem".as_ref(), program.as_os_str()];
        assert_eq!(run("qemu-x86_64", args), expected("x86-64-v2", 12));
    }
}

#[test]
fn a_cpu_below_the_lowest_level_is_a_status() {
    if !has("qemu-x86_64") {
        return;
    }
    let folder = folder("below");
    for (level, cpu) in [("v3", "Nehalem"), ("v2", "qemu64")] {
        model(&folder, "var @w : f32[3] = ones", &["--target-cpu", level]);
        let program = build(&folder, "model", "create");
        let said = run("qemu-x86_64", ["-cpu".as_ref(), cpu.as_ref(), program.as_os_str()]);
        let text = format!(
            "7 this CPU lacks instructions that the code was compiled for: it needs x86-64-{level}; 0 0 0\n"
        );
        assert_eq!(said, text);
    }
}

#[test]
fn features_are_used_and_asked_for() {
    let folder = folder("features");
    let prefix = folder.join("mnist").display().to_string();
    // What fuses multiplications with additions gives other bits than what does not; wider vectors give the same.
    for (level, features, bits, cpu) in [
        ("v2", "+avx2", "x86-64-v2", "x86-64-v2+avx+avx2"),
        ("v2", "+fma", "x86-64-v3", "x86-64-v2+avx+fma"),
        ("v3", "-avx2,-bmi1", "x86-64-v3", "x86-64-v2+avx+bmi2+fma+lzcnt"),
    ] {
        let args = ["--target-cpu", level, "--target-features", features, "--batch", "100", "-q"];
        compile(&mnist(), &[&["-o", &prefix][..], &args].concat());
        let program = build(&folder, "mnist", "train");
        assert_eq!(run(&program, [""; 0]), expected(bits, 12), "{level} {features}");
        let header = std::fs::read_to_string(folder.join("mnist.h")).unwrap();
        assert!(header.contains(&format!("({cpu})")), "{header}");
        if has("qemu-x86_64") {
            let args = ["-cpu".as_ref(), "Nehalem".as_ref(), program.as_os_str()];
            let output = std::process::Command::new("qemu-x86_64").args(args).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(1) && text.contains(&format!("it needs {cpu}")), "{text}");
        }
    }
}

/// Compiles a model with a variable `@w` to `folder/model.so`.
fn model(folder: &std::path::Path, variable: &str, args: &[&str]) {
    let text = format!(
        "module @model\n{variable}\nfunc @f(%x: f32[3]) -> (y: f32[3]) {{\n  %0 = read @w\n  %1 = add %0, %x\n  return %1\n}}\n"
    );
    let file = folder.join("model.bsm");
    std::fs::write(&file, text).unwrap();
    compile(&file, &[&["-o", folder.join("model").to_str().unwrap(), "-q"], args].concat());
}

#[test]
fn weights_from_files_are_put_into_the_library_on_request() {
    let folder = folder("weights");
    let values: Vec<u8> = [1.5f32, -2.0, 3.25].iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3], &values).unwrap();
    safetensors::serialize_to_file([("kernel", view)], None, &folder.join("weights.safetensors")).unwrap();
    let variable = r#"var @w : f32[3] = file("weights.safetensors", "kernel")"#;
    for (weights, says) in [("embed", "0 ; 1.5 -2 3.25\n"), ("external", "0 ; 0 0 0\n")] {
        model(&folder, variable, &["--weights", weights]);
        assert_eq!(run(build(&folder, "model", "create"), [""; 0]), says);
    }
}

#[test]
fn the_learning_rate_is_a_variable() {
    let folder = folder("rate");
    tiny_with(&folder, &["--batch", "4", "-q"], |text| text.replace("adam(lr = 0.01)", "sgd(lr = 0.01)"));
    run(build(&folder, "tiny", "rate"), [folder.join("saved")]);
    let header = || std::fs::read_to_string(folder.join("tiny.h")).unwrap();
    assert!(header().contains("tiny_set_learning_rate("));
    tiny(&folder, &["--batch", "4", "-q", "--mutable", "none"]);
    assert!(!header().contains("learning_rate"));
}

#[test]
fn constants_that_were_asked_for_may_be_changed() {
    let folder = folder("constants");
    let text = "module @model
var @w : f32[6] = ones
func @loss(%x: f32[6]) -> (loss: f32[], kept: f32[6]) {
  %0 = read @w
  %dropout_rate = constant {dtype=f32, shape=[], value=0.5}
  %1 = random_uniform {key=1, dtype=f32, shape=[6]}
  %2 = broadcast %dropout_rate {shape=[6]}
  %3 = compare %1, %2 {direction=ge}
  %4 = constant {dtype=f32, shape=[], value=0.0}
  %5 = broadcast %4 {shape=[6]}
  %6 = select %3, %x, %5
  %7 = mul %0, %6
  %8 = reduce_sum %7 {axes=[0]}
  return %8, %6
}
train @train_step() = minimize @loss with momentum(lr = 0.1, momentum = 0.5), weight_decay(0.25)
";
    let file = folder.join("model.bsm");
    std::fs::write(&file, text).unwrap();
    let prefix = folder.join("model").display().to_string();
    let constants = "learning_rate,weight_decay,momentum,dropout_rate";
    compile(&file, &["-o", &prefix, "--mutable", constants, "-q"]);
    run(build(&folder, "model", "constants"), [folder.join("saved")]);
    let (code, said) = compile_fails(&[file.to_str().unwrap(), "-o", &prefix, "--mutable", "beta1"]);
    assert!(code == 2 && said.contains("E0730") && said.contains("`dropout_rate`"), "{said}");
}

#[test]
fn a_step_in_two_parts_has_the_bits_of_the_whole() {
    let folder = folder("split");
    for optimizer in ["sgd(lr = 0.5)", "adam(lr = 0.01), clip_norm(0.1), weight_decay(0.01)"] {
        tiny_with(&folder, &["--batch", "4", "--split", "-q"], |text| {
            text.replace("adam(lr = 0.01)", optimizer)
        });
        run(build(&folder, "tiny", "split"), [""; 0]);
    }
}

#[test]
fn a_loss_and_an_optimizer_may_come_from_the_command_line() {
    let folder = folder("loss");
    let text = "module @m
var @w : f32[4,3] = glorot_uniform
func @predict(%x: f32[N,4]) -> (scores: f32[N,3]) {
  %0 = read @w
  %1 = matmul %x, %0
  return %1
}
";
    let model = folder.join("m.bsm");
    std::fs::write(&model, text).unwrap();
    let prefix = folder.join("m").display().to_string();
    let out = ["-o", &prefix, "--loss", "softmax_cross_entropy"];
    let said = compile(
        &model,
        &[
            &out[..],
            &[
                "--optimizer",
                "adam:lr=1e-3",
                "--dump-ir",
                "fuse-epilogues",
                "--print-fusion",
                "--print-pass-times",
            ],
        ]
        .concat(),
    );
    for part in [
        "train_step",
        "; @train_step at batch size 32 after fuse-epilogues\nkernels @",
        "fusion of `train_step`",
        "12 parameters; ",
        "FLOPs",
        "fuse-epilogues ",
        "total",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let header = std::fs::read_to_string(folder.join("m.h")).unwrap();
    assert!(
        header.contains("m_train_step(m *model, size_t n, const float *x, const int32_t *y, float *loss);")
    );
    let model = model.display().to_string();
    let (code, text) = compile_fails(&[&[&*model], &out[..]].concat());
    assert!(code == 2 && text.contains("a loss needs an optimizer"), "{text}");
    let (code, text) = compile_fails(&[&model, "--dump-ir", "fuse"]);
    assert!(code == 2 && text.contains("E0701"), "{text}");
}

/// What `c/sizes.c` prints for some batch sizes of a library for others: of each, the hash, and the loss.
fn at_sizes(folder: &std::path::Path, batch: &str, args: &[&str], sizes: &[String]) -> Vec<(String, f64)> {
    let prefix = folder.join("mnist").display().to_string();
    compile(&mnist(), &[&["-o", &prefix, "--batch", batch, "-q"], args].concat());
    let said = run(build(folder, "mnist", "sizes"), sizes);
    let line = |line: &str| {
        let (hash, loss) = line.rsplit_once(' ').unwrap();
        (hash.to_owned(), loss.parse().unwrap_or(f64::NAN))
    };
    said.lines().map(line).collect()
}

#[test]
fn one_code_for_a_range_of_batch_sizes_does_what_code_for_each_does() {
    let folder = folder("range");
    let list = [1, 2, 3, 4, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 47, 63, 64];
    let sizes = list.map(|n| n.to_string());
    for level in ["x86-64-v2", "native"] {
        let args = ["--target-cpu", level];
        let each = at_sizes(&folder, &sizes.join(","), &args, &sizes);
        let range = at_sizes(&folder, "1..64", &args, &sizes);
        assert_eq!(range.len(), list.len());
        for ((hash, loss), (found, found_loss)) in each.iter().zip(&range) {
            // Predictions and variables have the same bits. The loss is a sum over examples, which code for one size
            // may cut into several.
            assert_eq!(found, hash, "{level}");
            assert!((found_loss / loss - 1.0).abs() < 1e-6, "{level}: {found_loss} {loss}");
        }
    }
    // Larger ones.
    let sizes = [200, 255, 256, 277, 300].map(|n| n.to_string());
    let each = at_sizes(&folder, &sizes.join(","), &[], &sizes);
    let range = at_sizes(&folder, "200..300", &[], &sizes);
    let hashes = |of: &[(String, f64)]| of.iter().map(|(hash, _)| hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&range), hashes(&each));
    let outside = at_sizes(&folder, "2..5,9", &[], &["1", "9", "6", "5"].map(String::from));
    let refused = "`train_step` was not compiled for n = 6, but for 2 to 5,";
    assert!(outside[2].0.contains(refused) && outside[0].0.contains("n = 1"), "{outside:?}");
    assert!(outside[1].1 > 0.0 && outside[3].1 > 0.0, "{outside:?}");
}

#[test]
fn what_cannot_be_run_for_a_range_names_the_op() {
    let folder = folder("no-range");
    let text = "module @m
func @f(%x: f32[N,4]) -> (y: f32[N,4]) {
  %0 = reverse %x {axes=[0]}
  return %0
}
";
    let model = folder.join("m.bsm");
    std::fs::write(&model, text).unwrap();
    let model = model.display().to_string();
    let prefix = folder.join("m").display().to_string();
    let (code, text) = compile_fails(&[&model, "-o", &prefix, "--batch", "1..8"]);
    for part in [
        "E0729",
        "`reverse` cannot run for every batch size up to 8",
        "m.bsm:3:",
        "name the batch sizes one by one",
    ] {
        assert!(code == 1 && text.contains(part), "{code} {text}");
    }
    compile(std::path::Path::new(&model), &["-o", &prefix, "--batch", "1,8", "-q"]);
}
