//! Training steps as functions: what `train … minimize … with …` expands to, run by the evaluator.

use bessemer_compiler::graph::eval::{State, evaluate};
use bessemer_compiler::graph::verify::verify;
use bessemer_compiler::graph::{Argument, Builder, Call, Module, Train};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType;
use bessemer_compiler::{initializers, nn, optimizers, train};

/// `mean((w·x - y)²)` over 4 examples, with w of 3 elements.
fn module(declared: Train) -> Module {
    let builder = Builder::new("m");
    builder.function("loss", |f| {
        let (x, y) = (f.placeholder("x", DType::F32, [4, 3]), f.placeholder("y", DType::F32, [4, 1]));
        let w = f.variable("w", [3, 1], initializers::zeros());
        f.result("loss", nn::mean_squared_error(x.matmul(w), y));
    });
    builder.train(declared);
    let module = train::expand(&builder.finish().unwrap()).unwrap_or_else(|e| panic!("{e}"));
    verify(&module).unwrap_or_else(|e| panic!("{e}"));
    module
}

/// Runs `steps` training steps from first values; the variable `w` and all losses.
fn run(module: &Module, steps: usize, extra: &[Tensor]) -> (Vec<f64>, Vec<f64>) {
    let mut state = State::default();
    let init = initializers::init_function(module).unwrap_or_else(|e| panic!("{e}"));
    evaluate(module, &init, &[], &mut state).unwrap();
    let function = &module.functions[module.function("step").unwrap()];
    let x: Vec<f32> = (0..12).map(|i| ((i * 7 % 5) as f32 - 2.0) / 2.0).collect();
    let w = [0.5f32, -1.0, 2.0];
    let y = x.chunks(3).map(|row| row.iter().zip(w).map(|(x, w)| x * w).sum::<f32>()).collect();
    let mut params = vec![Tensor::from_vec(&[4, 3], x), Tensor::from_vec(&[4, 1], y)];
    params.extend_from_slice(extra);
    let losses = (0..steps)
        .map(|_| evaluate(module, function, &params, &mut state).unwrap()[0].at(0).as_f64())
        .collect();
    (state.variables["w"].scalars().map(|s| s.as_f64()).collect(), losses)
}

#[test]
fn every_optimizer_lowers_the_loss() {
    for name in optimizers::NAMES {
        let lr = if name == "adagrad" { 0.5 } else { 0.05 };
        let (_, losses) =
            run(&module(Train::minimize("step", "loss", Call::word(name).with("lr", lr))), 60, &[]);
        assert!(losses[59] < 0.2 * losses[0], "{name}: {} to {}", losses[0], losses[59]);
    }
}

/// The first Adam step moves every element by the learning rate against the sign of its gradient.
#[test]
fn adam_starts_with_steps_of_the_learning_rate() {
    let (w, _) = run(&module(Train::minimize("step", "loss", optimizers::adam(0.01))), 1, &[]);
    for w in w {
        assert!((w.abs() - 0.01).abs() < 1e-5, "{w}");
    }
}

#[test]
fn momentum_and_nesterov_follow_their_formulas() {
    let (sgd, _) = run(&module(Train::minimize("step", "loss", optimizers::sgd(0.1))), 1, &[]);
    let (momentum, _) = run(&module(Train::minimize("step", "loss", optimizers::momentum(0.1))), 1, &[]);
    let (nesterov, _) = run(&module(Train::minimize("step", "loss", optimizers::nesterov(0.1))), 1, &[]);
    for i in 0..3 {
        assert!((momentum[i] - sgd[i]).abs() < 1e-6);
        assert!((nesterov[i] - 1.9 * sgd[i]).abs() < 1e-6);
    }
}

/// Two calls that accumulate do what one call does with the mean of both gradients, which here are the same.
#[test]
fn accumulation_changes_variables_on_the_last_call_only() {
    let accumulate = Call::word("accumulate").with("calls", 2.0);
    let declared = Train::minimize("step", "loss", optimizers::adam(0.01)).with(accumulate);
    let module = module(declared);
    let plain = self::module(Train::minimize("step", "loss", optimizers::adam(0.01)));
    assert_eq!(run(&module, 1, &[]).0, [0.0; 3]);
    assert_eq!(run(&module, 2, &[]).0, run(&plain, 1, &[]).0);
    assert_eq!(run(&module, 5, &[]).0, run(&plain, 2, &[]).0);
}

#[test]
fn the_learning_rate_is_a_parameter_or_a_schedule() {
    let declared = Train::minimize("step", "loss", optimizers::sgd(Argument::Param("lr".into()))).param("lr");
    let half = run(&module(declared), 1, &[Tensor::from(0.05f32)]).0;
    let whole = run(&module(Train::minimize("step", "loss", optimizers::sgd(0.1))), 1, &[]).0;
    let warm = Call::word("warmup").with("rate", 0.1).with("steps", 2.0);
    let warm = run(&module(Train::minimize("step", "loss", optimizers::sgd(warm))), 1, &[]).0;
    for i in 0..3 {
        assert!((2.0 * half[i] - whole[i]).abs() < 1e-6);
        assert!((warm[i] - half[i]).abs() < 1e-6);
    }
}

#[test]
fn clipping_bounds_the_update() {
    let by_norm =
        Train::minimize("step", "loss", optimizers::sgd(1.0)).with(Call::word("clip_norm").arg(0.25));
    let w = run(&module(by_norm), 1, &[]).0;
    assert!((w.iter().map(|v| v * v).sum::<f64>().sqrt() - 0.25).abs() < 1e-6, "{w:?}");
    let by_value =
        Train::minimize("step", "loss", optimizers::sgd(1.0)).with(Call::word("clip_value").arg(0.125));
    let w = run(&module(by_value), 1, &[]).0;
    assert!(w.iter().all(|v| v.abs() <= 0.125) && w.iter().any(|v| v.abs() == 0.125), "{w:?}");
}

#[test]
fn decay_is_of_chosen_variables() {
    let decay = |over: &[&str]| {
        let list = Argument::Variables(over.iter().map(|v| (*v).to_owned()).collect());
        let adamw = optimizers::adamw(0.01).with("decay", 0.5).with("decay_over", list);
        run(&module(Train::minimize("step", "loss", adamw)), 20, &[]).0
    };
    let plain = run(&module(Train::minimize("step", "loss", optimizers::adam(0.01))), 20, &[]).0;
    assert_eq!(decay(&[]), plain);
    assert!(decay(&["w"]).iter().zip(&plain).all(|(a, b)| a.abs() < b.abs()));
}

#[test]
fn mistakes_are_named() {
    let expand = |declared: Train| {
        let builder = Builder::new("m");
        builder.function("loss", |f| {
            let w = f.variable("w", [3], initializers::zeros());
            f.variable("unused", [3], initializers::zeros());
            f.result("loss", (w * w).sum());
        });
        builder.train(declared);
        let module = builder.finish().unwrap_or_else(|e| panic!("{e}"));
        train::expand(&module).expect_err("the step is wrong").code()
    };
    assert_eq!(expand(Train::minimize("t", "loss", Call::word("sdg").with("lr", 0.1))), "E0503");
    assert_eq!(expand(Train::minimize("t", "loss", Call::word("sgd"))), "E0502");
    assert_eq!(expand(Train::minimize("t", "loss", optimizers::sgd(0.1).with("beta", 1.0))), "E0501");
    assert_eq!(expand(Train::minimize("t", "loss", optimizers::sgd(0.1)).over(&["unused"])), "E0507");
    assert_eq!(expand(Train::minimize("t", "loss", optimizers::sgd(true))), "E0502");
    assert_eq!(expand(Train::minimize("t", "loss", optimizers::sgd(Call::word("linear")))), "E0503");
}

/// Three updates by every optimizer, with the defaults of its table, against the published formulas in f64.
#[test]
fn optimizers_follow_their_formulas() {
    const STEPS: usize = 3;
    const LR: f64 = 0.05;
    let x: Vec<f64> = (0..12).map(|i| (f64::from(i * 7 % 5) - 2.0) / 2.0).collect();
    let target = [0.5, -1.0, 2.0];
    let dot = |row: &[f64], w: &[f64]| row.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
    let gradient = |w: &[f64]| -> Vec<f64> {
        let residuals: Vec<f64> = x.chunks(3).map(|row| dot(row, w) - dot(row, &target)).collect();
        (0..3).map(|i| x.chunks(3).zip(&residuals).map(|(row, r)| 2.0 * r * row[i] / 4.0).sum()).collect()
    };
    for name in optimizers::NAMES {
        let mut w = vec![0.0; 3];
        let initial = if name == "adagrad" { 0.1 } else { 0.0 };
        let (mut first, mut second) = (vec![0.0; 3], vec![initial; 3]);
        for t in 1..=STEPS {
            let g = gradient(&w);
            for i in 0..3 {
                let (w, g, m, v) = (&mut w[i], g[i], &mut first[i], &mut second[i]);
                match name {
                    "sgd" => *w -= LR * g,
                    "momentum" | "nesterov" => {
                        *m = 0.9 * *m + g;
                        *w -= LR * if name == "nesterov" { g + 0.9 * *m } else { *m };
                    }
                    "adagrad" => {
                        *v += g * g;
                        *w -= LR * g / (v.sqrt() + 1e-7);
                    }
                    "rmsprop" => {
                        *v = 0.9 * *v + 0.1 * g * g;
                        *w -= LR * g / (v.sqrt() + 1e-7);
                    }
                    _ => {
                        *m = 0.9 * *m + 0.1 * g;
                        *v = 0.999 * *v + 0.001 * g * g;
                        let decay = if name == "adamw" { LR * 0.01 * *w } else { 0.0 };
                        let unbiased = |moment: f64, beta: f64| moment / (1.0 - beta.powi(t as i32));
                        *w -= LR * unbiased(*m, 0.9) / (unbiased(*v, 0.999).sqrt() + 1e-8) + decay;
                    }
                }
            }
        }
        let declared = Train::minimize("step", "loss", Call::word(name).with("lr", LR));
        let (found, _) = run(&module(declared), STEPS, &[]);
        for (found, expected) in found.iter().zip(&w) {
            assert!((found - expected).abs() < 2e-5, "{name}: {found} instead of {expected}");
        }
    }
}

/// A variable that a loss reads twice has the sum of two gradients.
#[test]
fn all_reads_of_a_variable_count() {
    let module = Module::parse(
        "twice.bsm",
        "module @twice
var @w : f32[2] = constant(3.0)
func @loss(%x: f32[2]) -> (loss: f32[]) {
  %a = read @w
  %0 = mul %a, %x
  %b = read @w
  %1 = mul %b, %b
  %2 = add %0, %1
  %3 = reduce_sum %2 {axes=[0]}
  return %3
}
train @step() = minimize @loss with sgd(lr = 0.5)
",
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let module = train::expand(&module).unwrap_or_else(|e| panic!("{e}"));
    let mut state = State::default();
    let init = initializers::init_function(&module).unwrap_or_else(|e| panic!("{e}"));
    evaluate(&module, &init, &[], &mut state).unwrap();
    let step = &module.functions[module.function("step").unwrap()];
    evaluate(&module, step, &[Tensor::from_vec(&[2], vec![1.0f32, -2.0])], &mut state).unwrap();
    // w - (x + 2w) / 2
    assert_eq!(state.variables["w"], Tensor::from_vec(&[2], vec![-0.5f32, 1.0]));
}
