//! Softmax regression on MNIST: one dense layer, 1,000 steps of 100 images, plain gradient descent.
//!
//! The training step is compiled to machine code in this process. Expect about 92% on the test images.

#[path = "common/mnist.rs"]
mod mnist;
mod models;
#[path = "common/progress.rs"]
mod progress;

use std::error::Error;

use clap::Parser;

/// Trains softmax regression on MNIST.
#[derive(Parser)]
struct Args {
    /// Seed of the first values and of the order of the images
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of training steps
    #[arg(long, default_value_t = 1000)]
    steps: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let module = models::build("mnist_softmax", models::PIXELS).ok_or("the network is not known")??;
    let trainer = mnist::Trainer::new(&module, args.seed, 100)?;
    trainer.train(0, args.steps)?;
    println!("test accuracy {}", trainer.accuracy()?);
    Ok(())
}
