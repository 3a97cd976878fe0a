//! A multilayer perceptron on MNIST: 784-128-10 with plain gradient descent, or 784-1024-1024-10 with Adam.
//!
//! Expect about 97.7% on the test images from the first, 98% from the second.

#[path = "common/mnist.rs"]
mod mnist;
mod models;
#[path = "common/progress.rs"]
mod progress;

use std::error::Error;

use clap::Parser;

/// Trains a multilayer perceptron on MNIST.
#[derive(Parser)]
struct Args {
    /// Seed of the first values and of the order of the images
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of training steps of 100 images
    #[arg(long, default_value_t = 5500)]
    steps: u64,
    /// Train the larger network
    #[arg(long)]
    large: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let name = if args.large { "mnist_mlp_large" } else { "mnist_mlp" };
    let module = models::build(name, models::PIXELS).ok_or("the network is not known")??;
    let trainer = mnist::Trainer::new(&module, args.seed, 100)?;
    trainer.train(0, args.steps)?;
    println!("test accuracy {}", trainer.accuracy()?);
    Ok(())
}
