//! A convolutional network on MNIST: two convolutions with poolings, a dense layer with dropout, Adam.
//!
//! Expect 99.2% on the test images. The digits that it gets wrong are drawn as a picture: look at them, and say what they are.

#[path = "common/mnist.rs"]
mod mnist;
mod models;
#[path = "common/progress.rs"]
mod progress;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::Parser;

/// Trains a convolutional network on MNIST.
#[derive(Parser)]
struct Args {
    /// Seed of the first values, of dropout and of the order of the images
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often every image is seen
    #[arg(long, default_value_t = 8)]
    epochs: u64,
    /// Number of training steps of 50 images, in place of whole epochs
    #[arg(long)]
    steps: Option<u64>,
    /// Where to write the picture of the mistakes
    #[arg(long, default_value = "mnist_cnn.png")]
    out: PathBuf,
}

/// Images of a training step.
const BATCH: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let trainer = mnist::Trainer::new(
        &models::build("mnist_cnn", models::PIXELS).ok_or("the network is not known")??,
        args.seed,
        BATCH,
    )?;
    match args.steps {
        Some(steps) => trainer.train(0, steps)?,
        None => {
            for epoch in 0..args.epochs {
                trainer.train(epoch, (trainer.mnist.train.len() / BATCH) as u64)?;
                println!("epoch {}: test accuracy {}", epoch + 1, trainer.accuracy()?);
            }
        }
    }
    let mistakes = mistakes(&trainer)?;
    draw(&args.out, &mistakes)?;
    println!("the {} mistakes are in {}", mistakes.len(), args.out.display());
    println!("test accuracy {}", trainer.accuracy()?);
    Ok(())
}

/// A test image that is labelled wrongly.
struct Mistake {
    /// 28×28 pixels of 0 to 1.
    image: Vec<f32>,
    /// The label that it was given.
    given: usize,
}

fn mistakes(trainer: &mnist::Trainer) -> Result<Vec<Mistake>, Box<dyn Error>> {
    let mut predict = trainer.session.entry("predict")?;
    let mut mistakes = Vec::new();
    for data in trainer.mnist.test.batches(1000) {
        let (x, y) = (data.get::<f32>("x")?, data.get::<i32>("y")?);
        predict.run(&[("x", x.view().into())])?;
        let probabilities = predict.get::<f32>("probabilities")?;
        for ((image, &label), probabilities) in x.outer_iter().zip(&y).zip(probabilities.outer_iter()) {
            let largest = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let given = largest.map_or(0, |(digit, _)| digit);
            if given as i32 != label {
                mistakes.push(Mistake { image: image.iter().copied().collect(), given });
            }
        }
    }
    Ok(mistakes)
}

/// Side of an image, in pixels.
const SIDE: usize = 28;
/// Side of its place in the picture, with a border.
const PLACE: usize = SIDE + 4;
/// Places in a row of the picture.
const COLUMNS: usize = 16;

/// Draws images in rows, in the order in which they were found. The colour of a border says which digit the network
/// took it for: 0 is red, and the others follow around the circle of colours.
fn draw(path: &Path, mistakes: &[Mistake]) -> Result<(), Box<dyn Error>> {
    let (width, height) = (COLUMNS * PLACE, mistakes.len().div_ceil(COLUMNS).max(1) * PLACE);
    let mut pixels = vec![[255u8; 3]; width * height];
    for (n, Mistake { image, given }) in mistakes.iter().enumerate() {
        let (top, left) = (n / COLUMNS * PLACE, n % COLUMNS * PLACE);
        for y in 1..PLACE - 1 {
            for x in 1..PLACE - 1 {
                let inside = (2..PLACE - 2).contains(&y) && (2..PLACE - 2).contains(&x);
                pixels[(top + y) * width + left + x] = match inside {
                    true => [(image[(y - 2) * SIDE + x - 2] * 255.0) as u8; 3],
                    false => hue(*given as f32 / 10.0),
                };
            }
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels.as_flattened())?;
    Ok(())
}

/// A bright colour at a part of the circle of colours.
fn hue(part: f32) -> [u8; 3] {
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|of: f32| {
        let apart = (part - of).rem_euclid(1.0);
        let near = apart.min(1.0 - apart) * 6.0;
        ((2.0 - near).clamp(0.0, 1.0) * 255.0) as u8
    })
}
