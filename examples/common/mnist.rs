//! The training loop over MNIST.

use std::error::Error;
use std::path::Path;

use bessemer::prelude::*;

use crate::progress::Progress;

/// A network that is trained on MNIST.
pub struct Trainer {
    pub mnist: Mnist,
    pub session: Session,
    seed: u64,
    batch: usize,
}

impl Trainer {
    /// A classifier with first values from a seed, trained by so many images at a time.
    pub fn new(module: &Module, seed: u64, batch: usize) -> Result<Trainer, Box<dyn Error>> {
        let mnist = Mnist::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/mnist"))?;
        let session = Session::new(module)?;
        session.init(seed)?;
        Ok(Trainer { mnist, session, seed, batch })
    }

    /// Trains for a number of steps, on images in the order of an epoch and those after it.
    pub fn train(&self, first_epoch: u64, steps: u64) -> Result<(), Box<dyn Error>> {
        let mut step = self.session.entry("train_step")?;
        let mut progress = Progress::new(steps);
        let order = self.mnist.train.batches(self.batch).drop_last().shuffle(self.seed);
        let batches = order.forever().first_epoch(first_epoch).prefetch(2);
        for data in batches.into_iter().take(steps as usize) {
            step.run(&[("x", data.get::<f32>("x")?.into()), ("y", data.get::<i32>("y")?.into())])?;
            progress.step(step.scalar("loss")?);
        }
        progress.finish();
        Ok(())
    }

    /// What is said of the test images: how many labels are right, of how many.
    pub fn accuracy(&self) -> Result<String, Box<dyn Error>> {
        let mut eval = self.session.entry("eval")?;
        let (mut correct, total) = (0, self.mnist.test.len());
        for data in self.mnist.test.batches(1000) {
            eval.run(&[("x", data.get::<f32>("x")?.into()), ("y", data.get::<i32>("y")?.into())])?;
            correct += eval.scalar::<i64>("correct")?;
        }
        Ok(format!("{:.4} ({correct}/{total})", correct as f64 / total as f64))
    }
}
