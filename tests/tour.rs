//! A tour of Bessemer in five minutes: one small network on its way from a graph to trained machine code, with a look at every
//! stage. Nothing is written to disk. Run it and see what it prints: `cargo test --test tour -- --nocapture`.

use bessemer::compile::Model;
use bessemer::compiler::codegen::Target;
use bessemer::compiler::graph::eval::{State, evaluate};
use bessemer::compiler::listing;
use bessemer::compiler::pipeline::Options;
use bessemer::prelude::*;
use ndarray::array;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

// 1. A module is a graph. Ops are methods and operators of `Expr`; layers and losses are functions that combine them.
// Exclusive or needs a hidden layer: no line separates (0,1) and (1,0) from (0,0) and (1,1).
fn network() -> Result<Module> {
    let module = Builder::new("xor");
    module.function("predict", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 2.into()]); // N is the batch size, known later
        f.result("p", score(x).sigmoid());
    });
    module.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 2.into()]);
        let y = f.placeholder("y", DType::F32, [Extent::N, 1.into()]);
        f.result("loss", nn::sigmoid_cross_entropy(score(x), y));
    });
    // A training step is declared, not written: the compiler derives it from the loss.
    module.train(Train::minimize("train_step", "loss", optimizers::adam(0.05)));
    Ok(module.finish()?)
}

/// Above 0 for true. Variables have names in scopes, such as `hidden/kernel`, and functions that say the same name share them.
fn score(x: Expr<'_>) -> Expr<'_> {
    let hidden = nn::dense(x, "hidden", 8).tanh();
    nn::dense(hidden, "out", 1)
}

/// The four examples of exclusive or.
fn examples() -> (Tensor, Tensor) {
    let x = array![[0f32, 0.], [0., 1.], [1., 0.], [1., 1.]];
    let y = array![[0f32], [1.], [1.], [0.]];
    (x.into(), y.into())
}

#[test]
fn from_a_graph_to_trained_machine_code() -> Result {
    // 2. A module prints as text, and the text reads back as the same module. Files of it end in `.bsm`.
    let module = network()?;
    let text = module.to_string();
    println!("{text}\n");
    assert!(text.contains("var @hidden/kernel : f32[2,8] = glorot_uniform"));
    assert_eq!(Module::parse("xor.bsm", &text)?.to_string(), text);

    // 3. Mistakes are explained: what, where, and how to mend it.
    let wrong = text.replace("func @loss(%x: f32[N,2]", "func @loss(%x: f32[N,3]");
    let error = Module::parse("xor.bsm", &wrong).unwrap_err().to_string();
    println!("{error}\n");
    assert!(error.contains("error[E0") && error.contains("xor.bsm:"));

    // 4. `Model` prepares a module for compilation: `train_step` is a function now, with the loss, its gradients by
    // reverse differentiation, and Adam's update. Nothing below this point knows what a gradient or Adam is.
    let model = Model::new(&module, Options::new(OptLevel::O3), Target::host()?)?;
    let (_, train_step) = model.entry_point("train_step")?;
    println!("{train_step}\n");
    let (_, loss) = model.entry_point("loss")?;
    assert!(train_step.nodes.len() > 3 * loss.nodes.len());
    assert!(train_step.assigns.iter().any(|assign| assign.variable == "hidden/kernel/adam/m"));

    // 5. Every stage can be evaluated, slowly and obviously. The evaluator is the definition of what is correct: here it
    // gives the variables their first values by running `init`, and makes one training step.
    let (x, y) = examples();
    let mut state = State { seed: 1, ..State::default() };
    evaluate(model.module(), model.entry_point("init")?.1, &[], &mut state)?;
    let bound = model.lower(train_step, 4)?.bound; // N = 4
    let evaluated = evaluate(model.module(), &bound, &[x.clone(), y.clone()], &mut state)?;
    println!("the evaluator says that the loss is {}\n", evaluated[0].at(0));

    // 6. Graph passes simplify the function; then every node becomes a kernel, a loop nest, and fusion merges kernels. The
    // report says what was fused into what.
    let unfused = Model::new(&module, Options::new(OptLevel::O0), Target::host()?)?;
    let unfused = unfused.lower(unfused.entry_point("train_step")?.1, 4)?;
    let lowered = model.lower(train_step, 4)?;
    let (before, after) = (unfused.kernels.kernels.len(), lowered.kernels.kernels.len());
    println!("{before} kernels, fused {after}: {}\n", lowered.report.fusion.lines.join("\n"));
    assert!(4 * after < before, "{before} kernels became {after}");

    // 7. A schedule says how kernels run: strips of vectors, tiles in registers, chunks for threads. It never changes a bit
    // of the result.
    let scheduled = model.schedule(&lowered);
    println!("{scheduled}\n");
    assert_eq!(scheduled.kernels.len(), after);

    // 8. Machine code, for this machine or another.
    let arm = Target::parse("aarch64-unknown-linux-gnu", "generic")?;
    let (compiled, functions) = listing::list(model.source(&lowered), &arm)?;
    println!("{}\n", functions[0].assembly);
    let entry = &compiled.program.entries[0];
    println!("{} bytes of arena, {} floating-point operations", entry.memory.arena_bytes, entry.flops);
    assert!(functions.iter().any(|f| f.symbol == "xor_train_step"));

    // 9. All of that in one: a session compiles what is called, when it is called, for the batch size that it is fed.
    let session = Session::new(&module)?;
    session.init(1)?;
    let mut step = session.entry("train_step")?;
    let mut losses = Vec::new();
    for _ in 0..300 {
        step.run(&[("x", (&x).into()), ("y", (&y).into())])?;
        losses.push(step.scalar::<f32>("loss")?);
    }
    println!("losses {} to {}", losses[0], losses[299]);
    let first = evaluated[0].at(0).as_f64();
    assert!((f64::from(losses[0]) - first).abs() < 1e-5, "compiled code does what the evaluator says");
    assert!(losses[299] < 0.05);

    // 10. It has learned. Another batch size is compiled anew, behind the same call, on the same variables.
    let outputs = session.run("predict", &[("x", (&array![[1f32, 0.], [1., 1.]]).into())])?;
    let p = outputs.get::<f32>("p")?;
    println!("1 xor 0 is {:.2}, 1 xor 1 is {:.2}", p[[0, 0]], p[[1, 0]]);
    assert!(p[[0, 0]] > 0.9 && p[[1, 0]] < 0.1);

    // 11. The same seed gives the same bits, whatever is fused and however many threads there are.
    let plain = Session::builder(&module).opt_level(OptLevel::O0).threads(2).build()?;
    plain.init(1)?;
    for _ in 0..300 {
        plain.run("train_step", &[("x", (&x).into()), ("y", (&y).into())])?;
    }
    assert_eq!(plain.variable("hidden/kernel")?, session.variable("hidden/kernel")?);
    Ok(())
}
