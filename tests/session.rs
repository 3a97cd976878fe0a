//! Sessions: values, batch sizes, state, files, errors, threads.

use std::path::{Path, PathBuf};

use bessemer::prelude::*;
use bessemer::{Error, load};
use ndarray::{Array1, Array2, Axis, array};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// `y = w·x + b` with squared error, and a classifier of four inputs into three classes.
const MODEL: &str = "
module @lines
var @w : f32[4,3] = glorot_uniform(seed = 3)
var @b : f32[3] = constant(0.5)

func @predict(%x: f32[N,4]) -> (scores: f32[N,3]) {
  %w = read @w : f32[4,3]
  %0 = matmul %x, %w : f32[N,3]
  %b = read @b : f32[3]
  %1 = broadcast %b {shape=[N,3]} : f32[N,3]
  %2 = add %0, %1 : f32[N,3]
  return %2
}

func @loss(%x: f32[N,4], %y: f32[N,3]) -> (loss: f32[]) {
  %w = read @w : f32[4,3]
  %0 = matmul %x, %w : f32[N,3]
  %b = read @b : f32[3]
  %1 = broadcast %b {shape=[N,3]} : f32[N,3]
  %2 = add %0, %1 : f32[N,3]
  %3 = sub %2, %y : f32[N,3]
  %4 = mul %3, %3 : f32[N,3]
  %5 = reduce_sum %4 {axes=[0,1]} : f32[]
  return %5
}

train @train_step(%lr: f32[]) = minimize @loss with sgd(lr = %lr)
";

fn session() -> Session {
    let module = Module::parse("lines.bsm", MODEL).unwrap();
    let session = Session::builder(&module).threads(2).build().unwrap();
    session.init(1).unwrap();
    session
}

fn examples(n: usize) -> (Array2<f32>, Array2<f32>) {
    let x = Array2::from_shape_fn((n, 4), |(i, j)| ((i * 7 + j * 3) % 5) as f32 / 4.0 - 0.5);
    let y = Array2::from_shape_fn((n, 3), |(i, j)| x[[i, j]] - 0.25);
    (x, y)
}

fn code<T: std::fmt::Debug>(result: std::result::Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn predictions_are_those_of_the_formula_at_every_batch_size() -> Result {
    let session = session();
    let (w, b) = (session.variable("w")?, session.variable("b")?);
    let w = w.array::<f32>().clone().into_dimensionality::<ndarray::Ix2>()?;
    assert_eq!(b, Tensor::from(array![0.5f32, 0.5, 0.5]));
    let mut predict = session.entry("predict")?;
    for n in [3, 1, 0, 17, 3] {
        let (x, _) = examples(n);
        predict.run(&[("x", (&x).into())])?;
        let expected = (x.dot(&w) + 0.5).into_dyn();
        let scores = predict.get::<f32>("scores")?;
        assert_eq!(scores.shape(), [n, 3]);
        assert!(scores.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{scores}\n{expected}");
        // Columns of the transposed array are rows in memory.
        let columns = x.t().as_standard_layout().into_owned();
        let outputs = session.run("predict", &[("x", columns.t().into())])?;
        assert_eq!(outputs.get::<f32>("scores")?, scores);
    }
    Ok(())
}

#[test]
fn training_lowers_the_loss_and_counts_steps() -> Result {
    let session = session();
    let (x, y) = examples(20);
    let mut step = session.entry("train_step")?;
    let mut losses = Vec::new();
    for _ in 0..200 {
        step.run(&[("x", (&x).into()), ("y", (&y).into()), ("lr", 0.01f32.into())])?;
        losses.push(step.scalar::<f32>("loss")?);
    }
    assert!(losses[199] < 0.01 * losses[0], "{} to {}", losses[0], losses[199]);
    assert_eq!((session.step()?, session.seed()?), (200, 1));
    let trained = session.variable("w")?;
    session.init(1)?;
    assert_ne!(session.variable("w")?, trained);
    assert_eq!((session.step()?, session.seed()?), (0, 1));
    step.run(&[("x", (&x).into()), ("y", (&y).into()), ("lr", 0.01f32.into())])?;
    assert_eq!(step.scalar::<f32>("loss")?, losses[0], "the same seed gives the same values");
    session.init(2)?;
    let other = session.run("loss", &[("x", (&x).into()), ("y", (&y).into())])?;
    assert_ne!(other.scalar::<f32>("loss")?, losses[0]);
    Ok(())
}

#[test]
fn variables_are_read_and_written() -> Result {
    let session = session();
    let types: Vec<String> = session.variables().map(|v| format!("{} : {}", v.name, v.ty)).collect();
    assert_eq!(types[..2], ["w : f32[4,3]", "b : f32[3]"]);
    session.set_variable("b", &array![1.0f32, 2.0, 3.0])?;
    session.set_variable("w", &Tensor::zeros(DType::F32, &[4, 3]))?;
    let outputs = session.run("predict", &[("x", (&Array2::<f32>::ones((2, 4))).into())])?;
    assert_eq!(outputs.get::<f32>("scores")?, array![[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]].into_dyn());
    assert_eq!(code(session.variable("v")), "E0710");
    assert_eq!(code(session.set_variable("b", &array![1.0f64, 2.0, 3.0])), "E0710");
    assert_eq!(code(session.set_variable("b", 1.0f32)), "E0710");
    assert_eq!(session.variable("b")?, Tensor::from(array![1.0f32, 2.0, 3.0]));
    Ok(())
}

#[test]
fn wrong_calls_are_explained() -> Result {
    let session = session();
    let (x, y) = examples(4);
    let (_, short) = examples(3);
    assert_eq!(code(session.entry("train")), "E0702");
    assert_eq!(code(session.run("loss", &[("x", (&x).into())])), "E0703");
    assert_eq!(code(session.run("predict", &[("x", (&x).into()), ("y", (&y).into())])), "E0704");
    assert_eq!(code(session.run("predict", &[("x", (&y).into())])), "E0705");
    let error = session.run("loss", &[("x", (&x).into()), ("y", (&short).into())]).unwrap_err();
    assert_eq!(
        error.to_string().replace(" |\n", ""),
        "error[E0706]: the feeds of `loss` disagree on the batch size
 = note: `x` is f32[N,4] and is fed f32[4,4], so N would be 4
 = note: `y` is f32[N,3] and is fed f32[3,3], so N would be 3"
    );
    assert_eq!(format!("{error:?}"), error.to_string());
    let mut entry = session.entry("predict")?;
    assert_eq!(code(entry.get::<f32>("scores")), "E0707");
    entry.run(&[("x", (&x).into())])?;
    assert_eq!(code(entry.get::<f64>("scores")), "E0707");
    assert_eq!(code(entry.get::<f32>("score")), "E0707");
    assert_eq!(code(entry.scalar::<f32>("scores")), "E0707");
    assert!(entry.get::<f32>("scores").is_ok());
    assert!(entry.run(&[]).is_err());
    assert_eq!(code(entry.get::<f32>("scores")), "E0707", "a failed run has no results");
    Ok(())
}

#[test]
fn wrong_choices_are_explained() {
    let module = Module::parse("lines.bsm", MODEL).unwrap();
    let builder = || Session::builder(&module);
    assert_eq!(code(builder().disable_pass("fuse").build()), "E0701");
    assert_eq!(code(builder().threads(0).build()), "E0711");
    assert_eq!(code(builder().threads(5000).build()), "E0711");
    assert_eq!(code(builder().target_cpu("pentium").build()), "E0711");
    let session = builder().threads(1).opt_level(OptLevel::O0).disable_pass("algebra").build().unwrap();
    assert_eq!(session.threads(), 1);
}

#[test]
fn levels_and_threads_give_the_same_bits() -> Result {
    let module = Module::parse("lines.bsm", MODEL)?;
    let (x, y) = examples(33);
    let trained = |level, threads| -> std::result::Result<Tensor, Error> {
        let session = Session::builder(&module).threads(threads).opt_level(level).build()?;
        session.init(7)?;
        let mut step = session.entry("train_step")?;
        for _ in 0..5 {
            step.run(&[("x", (&x).into()), ("y", (&y).into()), ("lr", 0.01f32.into())])?;
        }
        session.variable("w")
    };
    let w = trained(OptLevel::O3, 1)?;
    assert_eq!(trained(OptLevel::O3, 2)?, w);
    assert_eq!(trained(OptLevel::O0, 1)?, w);
    Ok(())
}

#[test]
fn an_index_out_of_range_is_named_and_changes_nothing() -> Result {
    let module = Builder::new("classes");
    module.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 4.into()]);
        let y = f.placeholder("y", DType::I32, [Extent::N]);
        f.result("loss", nn::sparse_softmax_cross_entropy(nn::dense(x, "logits", 3), y));
    });
    module.train(Train::minimize("train_step", "loss", optimizers::sgd(0.1)));
    let session = Session::new(&module.finish()?)?;
    session.init(1)?;
    let before = session.variable("logits/kernel")?;
    let (x, _) = examples(5);
    let y = Array1::from(vec![0, 1, 2, 3, -1]);
    let error = session.run("train_step", &[("x", (&x).into()), ("y", (&y).into())]).unwrap_err();
    let Error::IndexOutOfRange(index) = &error else { panic!("{error}") };
    let expected = IndexOutOfRange {
        entry: "train_step".into(),
        input: "y".into(),
        coordinates: vec![3],
        value: 3,
        bound: 3,
    };
    assert_eq!(**index, expected);
    assert!(error.to_string().contains("`y[3]` is 3; it must be at least 0 and below 3"), "{error}");
    assert_eq!(error.status(), Some(Status::IndexOutOfRange));
    assert_eq!(session.variable("logits/kernel")?, before);
    assert_eq!(session.step()?, 0);
    Ok(())
}

/// A lookup and, in the training step, the addition of its gradient to the rows of the table.
#[test]
fn an_unknown_token_is_named_and_changes_nothing() -> Result {
    let module = Builder::new("words");
    module.function("loss", |f| {
        let tokens = f.placeholder("tokens", DType::I32, [Extent::N, 4.into()]);
        let vectors = nn::embedding(tokens, "word", 7, 3);
        f.result("loss", nn::l2_penalty(vectors));
    });
    module.train(Train::minimize("train_step", "loss", optimizers::adam(0.1)));
    let session = Session::new(&module.finish()?)?;
    session.init(1)?;
    let tokens = |n: usize| Array2::from_shape_fn((n, 4), |(i, j)| ((5 * i + j) % 7) as i32);
    session.run("train_step", &[("tokens", (&tokens(3)).into())])?;
    let names: Vec<String> = session.variables().map(|v| v.name.clone()).collect();
    let state =
        || names.iter().map(|name| session.variable(name)).collect::<std::result::Result<Vec<_>, _>>();
    let before = state()?;
    for entry in ["loss", "train_step"] {
        for (n, row, column, value) in
            [(1, 0, 0, 7), (3, 2, 3, -1), (17, 9, 2, i32::MAX), (5, 1, 1, i32::MIN)]
        {
            let mut wrong = tokens(n);
            wrong[[row, column]] = value;
            let error = session.run(entry, &[("tokens", (&wrong).into())]).unwrap_err();
            assert_eq!(error.status(), Some(Status::IndexOutOfRange));
            let Error::IndexOutOfRange(index) = &error else { panic!("{error}") };
            let expected = IndexOutOfRange {
                entry: entry.into(),
                input: "tokens".into(),
                coordinates: vec![row, column],
                value: value.into(),
                bound: 7,
            };
            assert_eq!(**index, expected);
            assert_eq!((state()?, session.step()?), (before.clone(), 1));
        }
    }
    session.run("train_step", &[("tokens", (&tokens(3)).into())])?;
    assert_ne!(state()?, before);
    Ok(())
}

#[test]
fn several_threads_predict_and_compile_at_once() {
    let session = session();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let session = session.clone();
            scope.spawn(move || {
                let mut predict = session.entry("predict").unwrap();
                for n in 1..12 {
                    let (x, _) = examples((n * (thread + 1)) % 13 + 1);
                    predict.run(&[("x", (&x).into())]).unwrap();
                    let one = session.run("predict", &[("x", x.view().into())]).unwrap();
                    assert_eq!(one.get::<f32>("scores").unwrap(), predict.get::<f32>("scores").unwrap());
                }
            });
        }
    });
}

#[test]
fn a_batch_beyond_memory_is_an_error() {
    let module = Module::parse("lines.bsm", MODEL).unwrap();
    let session = Session::new(&module).unwrap();
    let mut predict = session.entry("predict").unwrap();
    assert_eq!(code(predict.compile(1 << 39)), "E0601");
    assert_eq!(code(predict.compile(usize::MAX)), "E0601");
    assert_eq!(predict.compile(1 << 37).unwrap_err().status(), None, "more points than a kernel may have");
    // A system that promises all that it is asked for has no end of memory before it is used.
    if !std::fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|how| how.trim() == "1") {
        assert_eq!(predict.compile(1 << 36).unwrap_err().status(), Some(Status::OutOfMemory));
    }
}

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn first_values_are_read_from_files() -> Result {
    let folder = folder("weights");
    let kernel: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let flags = [1u8, 0];
    let tensors = [
        ("layer.kernel", TensorView::new(Dtype::F32, vec![4, 3], &kernel)?),
        ("flags", TensorView::new(Dtype::BOOL, vec![2], &flags)?),
    ];
    safetensors::serialize_to_file(tensors, None, &folder.join("w.safetensors"))?;
    std::fs::write(folder.join("broken.safetensors"), b"not a header")?;
    let model = |kernel: &str, flags: &str| -> std::result::Result<Session, Error> {
        let text = format!(
            "module @m\nvar @w : f32[4,3] = {kernel}\nvar @b : f32[2] = ones\nvar @flags : bool[2] = {flags} {{trainable = false}}\n"
        );
        let path = folder.join("m.bsm");
        std::fs::write(&path, text).unwrap();
        let session = Session::new(&load(&path)?)?;
        session.init(0)?;
        Ok(session)
    };
    let good = ("file(\"w.safetensors\", \"layer.kernel\")", "file(\"w.safetensors\", \"flags\")");
    let session = model(good.0, good.1)?;
    assert_eq!(session.variable("w")?, Tensor::from_vec(&[4, 3], (0..12).map(|i| i as f32).collect()));
    assert_eq!(session.variable("flags")?, Tensor::from(array![true, false]));
    assert_eq!(session.variable("b")?, Tensor::from(array![1.0f32, 1.0]));
    for (kernel, expected) in [
        ("file(\"nowhere.safetensors\", \"layer.kernel\")", "E0801"),
        ("file(\"broken.safetensors\", \"layer.kernel\")", "E0802"),
        ("file(\"w.safetensors\", \"kernel\")", "E0803"),
        ("file(\"w.safetensors\", \"flags\")", "E0804"),
    ] {
        let error = model(kernel, good.1).unwrap_err();
        assert_eq!(error.code(), expected);
        assert!(error.to_string().contains("m.bsm:2:"), "{error}");
    }
    let Err(Error::Diagnostics(both)) = model("file(\"a\", \"w\")", "file(\"b\", \"w\")") else { panic!() };
    assert_eq!(both.errors.len(), 2, "all errors are given");
    Ok(())
}

/// Rows of 2,048 bytes are stored with gaps between them, of which a caller sees nothing.
#[test]
fn rows_with_gaps_between_them() -> Result {
    let text = "
module @wide
var @w : f32[9,512] = zeros
var @v : f32[9,512] = zeros
func @step(%x: f32[N,9]) -> (y: f32[N,512], flat: f32[4608]) {
  %w = read @w : f32[9,512]
  %y = matmul %x, %w : f32[N,512]
  %v = read @v : f32[9,512]
  %flat = reshape %v {shape=[4608]} : f32[4608]
  %next = add %w, %v : f32[9,512]
  assign @w, %next
  assign @v, %w
  return %y, %flat
}
";
    let session = Session::builder(&Module::parse("wide.bsm", text)?).threads(2).build()?;
    let w = Array2::from_shape_fn((9, 512), |(i, j)| (i * 512 + j) as f32);
    let v = w.mapv(|w| 0.5 - w);
    session.set_variable("w", &w)?;
    session.set_variable("v", &v)?;
    let x = Array2::from_shape_fn((10, 9), |(i, j)| f32::from(i == j || i == j + 1));
    let out = session.run("step", &[("x", (&x).into())])?;
    assert_eq!(out.get::<f32>("y")?, x.dot(&w).into_dyn());
    assert_eq!(out.get::<f32>("flat")?.as_slice(), v.as_slice());
    assert_eq!(session.variable("w")?, Tensor::from(&w + &v));
    assert_eq!(session.variable("v")?, Tensor::from(w));
    Ok(())
}

/// Layers of 65 and 34 columns lie in panels of sixteen, of which the last is not full. All sums but that of the loss
/// are exact.
#[test]
fn layers_whose_columns_fill_no_panel() -> Result {
    let text = "
module @odd
var @w : f32[20,65] = zeros
var @b : f32[65] = zeros
var @v : f32[65,34] = zeros
func @loss(%x: f32[N,20]) -> (loss: f32[]) {
  %w = read @w
  %0 = matmul %x, %w
  %b = read @b
  %1 = broadcast %b {shape=[N,65]}
  %2 = add %0, %1
  %zero = constant {dtype=f32, shape=[], value=0.0}
  %3 = broadcast %zero {shape=[N,65]}
  %4 = max %2, %3
  %v = read @v
  %5 = matmul %4, %v
  %6 = reduce_sum %5 {axes=[0,1]}
  return %6
}
train @step() = minimize @loss with momentum(lr = 0.25, momentum = 0.5)
";
    let module = Module::parse("odd.bsm", text)?;
    for (n, threads) in [(1, 1), (5, 1), (33, 2), (70, 2)] {
        let session = Session::builder(&module).threads(threads).build()?;
        session.init(1)?;
        let numbers = |shape, m: usize| {
            Array2::from_shape_fn(shape, |(i, j)| ((i * 31 + j * 17 + i * j * m) % 3) as f32 - 1.0)
        };
        let x = numbers((n, 20), 3);
        let [mut w, mut v] = [numbers((20, 65), 5), numbers((65, 34), 7)];
        let mut b = Array1::from_shape_fn(65, |j| (j % 3) as f32 - 1.0);
        session.set_variable("w", &w)?;
        session.set_variable("v", &v)?;
        session.set_variable("b", &b)?;
        let [mut w_slope, mut v_slope, mut b_slope] =
            [&w * 0.0, &v * 0.0, b.clone().insert_axis(Axis(0)) * 0.0];
        for _ in 0..2 {
            let h = (x.dot(&w) + &b).mapv(|h| h.max(0.0));
            let loss = session.run("step", &[("x", (&x).into())])?;
            let expected = h.dot(&v).sum();
            assert!((loss.get::<f32>("loss")?[[]] / expected - 1.0).abs() < 1e-5, "{n}: {expected}");
            let ones = Array2::from_elem((n, 34), 1.0);
            let d = ones.dot(&v.t()) * h.mapv(|h| f32::from(h > 0.0));
            w_slope = w_slope * 0.5 + x.t().dot(&d);
            b_slope = b_slope * 0.5 + d.sum_axis(Axis(0)).insert_axis(Axis(0));
            v_slope = v_slope * 0.5 + h.t().dot(&ones);
            w = w - &w_slope * 0.25;
            v = v - &v_slope * 0.25;
            b = b - &b_slope.row(0) * 0.25;
        }
        assert_eq!(session.variable("w")?, Tensor::from(w), "{n}");
        assert_eq!(session.variable("v")?, Tensor::from(v), "{n}");
        assert_eq!(session.variable("b")?, Tensor::from(b), "{n}");
        assert_eq!(session.variable("v/momentum/v")?, Tensor::from(v_slope), "{n}");
    }
    Ok(())
}

#[test]
fn a_rate_of_dropout_may_change_from_call_to_call() -> Result {
    let builder = Builder::new("dropout");
    builder.function("f", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 100.into()]);
        let rate = f.placeholder("rate", DType::F32, Shape::scalar());
        f.result("fixed", nn::dropout(x, 0.25));
        f.result("given", nn::dropout(x, rate));
    });
    let session = Session::new(&builder.finish()?)?;
    session.init(5)?;
    let mut f = session.entry("f")?;
    let x = Array2::from_elem((50, 100), 3.0f32);
    for rate in [0.0f32, 0.25, 0.75] {
        f.run(&[("x", (&x).into()), ("rate", rate.into())])?;
        let given = f.get::<f32>("given")?;
        let kept = given.iter().filter(|&&v| v != 0.0).count();
        assert!(given.iter().all(|&v| v == 0.0 || v == 3.0 / (1.0 - rate)), "{rate}");
        let expected = 5000.0 * (1.0 - rate);
        assert!((kept as f32 - expected).abs() <= 150.0, "{rate}: {kept} are kept");
    }
    Ok(())
}

/// A transformer trains to the same bits where weights of attention are computed again, threads are others and kernels are not
/// grouped.
#[test]
fn what_is_computed_again_has_the_same_bits() -> Result {
    let module = load(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/gpt.bsm"))?;
    let characters = Array2::from_shape_fn((1, 128), |(_, i)| (i * i % 95) as i32);
    let targets = characters.mapv(|c| c + 1);
    let trained = |builder: SessionBuilder<'_>| -> std::result::Result<Vec<u32>, Box<dyn std::error::Error>> {
        let session = builder.build()?;
        session.init(5)?;
        for _ in 0..2 {
            let feeds = [("characters", (&characters).into()), ("targets", (&targets).into())];
            session.run("train_step", &[&feeds[..], &[("lr", 0.01f32.into())]].concat())?;
        }
        let mut bits = Vec::new();
        for variable in session.variables() {
            if let Some(value) = session.variable(&variable.name)?.get::<f32>() {
                bits.extend(value.iter().map(|x| x.to_bits()));
            }
        }
        Ok(bits)
    };
    let builder = || Session::builder(&module);
    let plain = trained(builder().threads(1))?;
    assert!(plain.len() > 3_000_000);
    assert!(plain == trained(builder().threads(2).enable_pass("recompute"))?, "computed again");
    assert!(plain == trained(builder().threads(2).disable_pass("fuse-stages"))?, "not grouped");
    Ok(())
}
