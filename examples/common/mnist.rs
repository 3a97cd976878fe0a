//! The training loop over MNIST.

use std::error::Error;
use std::path::Path;

use bessemer::prelude::*;

use crate::progress::Progress;

/// Trains an MNIST classifier for a number of steps and prints its accuracy on the test images as the last line.
pub fn train_mnist(module: &Module, seed: u64, steps: u64, batch: usize) -> Result<(), Box<dyn Error>> {
    let mnist = Mnist::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/mnist"))?;
    let session = Session::new(module)?;
    session.init(seed)?;

    let mut step = session.entry("train_step")?;
    let mut progress = Progress::new(steps);
    let batches = mnist.train.batches(batch).drop_last().shuffle(seed).forever().prefetch(2);
    for data in batches.into_iter().take(steps as usize) {
        step.run(&[("x", data.get::<f32>("x")?.into()), ("y", data.get::<i32>("y")?.into())])?;
        progress.step(step.scalar("loss")?);
    }
    progress.finish();

    let mut eval = session.entry("eval")?;
    let (mut correct, total) = (0, mnist.test.len());
    for data in mnist.test.batches(1000) {
        eval.run(&[("x", data.get::<f32>("x")?.into()), ("y", data.get::<i32>("y")?.into())])?;
        correct += eval.scalar::<i64>("correct")?;
    }
    println!("test accuracy {:.4} ({correct}/{total})", correct as f64 / total as f64);
    Ok(())
}
