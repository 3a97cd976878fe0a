//! Regression on a scalar: Friedman's first function of ten inputs, five of which mean nothing, with noise of standard
//! deviation 1. The root of the mean squared error on unseen examples cannot go below 1.
//!
//! Reference: Friedman, "Multivariate adaptive regression splines", 1991, section 4.3.

#[path = "common/progress.rs"]
mod progress;

use std::error::Error;
use std::f32::consts::PI;

use bessemer::prelude::*;
use clap::Parser;
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trains a network to predict a number.
#[derive(Parser)]
struct Args {
    /// Seed of the data, the first values and the order of the examples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of training steps of 64 examples
    #[arg(long, default_value_t = 4000)]
    steps: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let data = friedman(8192 + 2048, args.seed)?;
    let (train, test) = data.split(0.8)?;

    let session = Session::new(&network()?)?;
    session.init(args.seed)?;
    let mut step = session.entry("train_step")?;
    let mut progress = progress::Progress::new(args.steps);
    let batches = train.batches(64).drop_last().shuffle(args.seed).forever().prefetch(2);
    for batch in batches.into_iter().take(args.steps as usize) {
        step.run(&[("x", batch.get::<f32>("x")?.into()), ("y", batch.get::<f32>("y")?.into())])?;
        progress.step(step.scalar("loss")?);
    }
    progress.finish();

    let outputs =
        session.run("loss", &[("x", test.get::<f32>("x")?.into()), ("y", test.get::<f32>("y")?.into())])?;
    println!("test rmse {:.4}", outputs.scalar::<f32>("loss")?.sqrt());
    Ok(())
}

/// The network with its training step.
pub fn network() -> Result<Module, Diagnostics> {
    let module = Builder::new("regression");
    module.function("predict", |f| {
        f.result("y", predict(f.placeholder("x", DType::F32, [Extent::N, 10.into()])));
    });
    module.function("loss", |f| {
        let (x, y) = (
            f.placeholder("x", DType::F32, [Extent::N, 10.into()]),
            f.placeholder("y", DType::F32, [Extent::N]),
        );
        f.result("loss", nn::mean_squared_error(predict(x), y));
    });
    // The rate falls from 0.01 to nothing along half a cosine.
    let rate = Call::word("cosine").with("rate", 0.01).with("steps", 4000.0);
    module.train(Train::minimize("train_step", "loss", optimizers::adamw(rate)));
    module.finish()
}

fn predict(x: Expr<'_>) -> Expr<'_> {
    let hidden = nn::gelu(nn::dense(x, "hidden1", 64));
    let hidden = nn::gelu(nn::dense(hidden, "hidden2", 64));
    nn::dense(hidden, "out", 1).reshape([Extent::N])
}

/// Examples of `10 sin(π x₀x₁) + 20 (x₂ - ½)² + 10 x₃ + 5 x₄ + noise`, with ten inputs uniform in 0..1.
fn friedman(count: usize, seed: u64) -> Result<Dataset, DatasetError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = Array2::from_shape_simple_fn((count, 10), || rng.random::<f32>());
    // The sum of twelve uniform numbers, less 6, is normal enough.
    let noise =
        Array1::from_shape_simple_fn(count, || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
    let clean = x.map_axis(ndarray::Axis(1), |x| {
        10.0 * (PI * x[0] * x[1]).sin() + 20.0 * (x[2] - 0.5).powi(2) + 10.0 * x[3] + 5.0 * x[4]
    });
    Dataset::new().with("x", x)?.with("y", clean + noise)
}
