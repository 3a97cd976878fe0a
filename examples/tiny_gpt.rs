//! A small transformer that learns to continue a text character by character, and then writes some of its own.
//!
//! The text is `examples/data/text/steelworks.txt`, sentences of a small grammar. After some hundred steps the loss is near the
//! entropy of the grammar, and the samples are made of its words.

mod models;
#[path = "common/progress.rs"]
mod progress;

use std::error::Error;
use std::path::{Path, PathBuf};

use bessemer::prelude::*;
use clap::Parser;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trains a transformer on a text and prints what it writes.
#[derive(Parser)]
struct Args {
    /// Seed of the first values, of the order of the text and of the samples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of training steps
    #[arg(long, default_value_t = 400)]
    steps: u64,
    /// Pieces of text in a step
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Characters to write
    #[arg(long, default_value_t = 300)]
    characters: usize,
    /// A text to learn instead
    #[arg(long)]
    text: Option<PathBuf>,
}

/// The learning rate, after it rose to this over the first steps.
const RATE: f32 = 1e-3;
/// Steps over which it rises.
const WARMUP: u64 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/text/steelworks.txt");
    let text = encode(&std::fs::read_to_string(args.text.unwrap_or_else(own))?);
    let session = Session::new(&models::build("gpt", models::PIXELS).ok_or("the network is not known")??)?;
    session.init(args.seed)?;

    let mut step = session.entry("train_step")?;
    let length = length(&step)?;
    if text.len() <= length {
        return Err(
            format!("the text has {} characters, and must have more than {length}", text.len()).into()
        );
    }
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut progress = progress::Progress::new(args.steps);
    for n in 0..args.steps {
        let starts: Vec<usize> = (0..args.batch).map(|_| rng.random_range(0..text.len() - length)).collect();
        let piece = |shift: usize| {
            Array2::from_shape_fn((args.batch, length), |(row, i)| text[starts[row] + i + shift])
        };
        let rate = RATE * ((n + 1) as f32 / WARMUP as f32).min(1.0);
        let (characters, targets) = (piece(0), piece(1));
        step.run(&[
            ("characters", (&characters).into()),
            ("targets", (&targets).into()),
            ("lr", rate.into()),
        ])?;
        progress.step(step.scalar("loss")?);
    }
    progress.finish();
    println!("{}", write(&session, length, args.characters, &mut rng)?);
    Ok(())
}

/// How many characters the network sees at once.
fn length(step: &Entry) -> Result<usize, Box<dyn Error>> {
    let characters = step.params().first().and_then(|p| p.ty.shape.0.get(1)?.as_const());
    Ok(characters.ok_or("the network has no characters as its first parameter")?)
}

/// New text, each character drawn with the probability that the network gives it behind those before.
fn write(
    session: &Session,
    length: usize,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Result<String, Box<dyn Error>> {
    let mut predict = session.entry("predict")?;
    let mut written = encode("\n");
    for _ in 0..count {
        let seen = &written[written.len().saturating_sub(length)..];
        let characters = Array2::from_shape_fn((1, length), |(_, i)| seen.get(i).copied().unwrap_or(0));
        predict.run(&[("characters", (&characters).into())])?;
        let probabilities = predict.get::<f32>("probabilities")?;
        let mut left = rng.random::<f32>();
        let next = (0..probabilities.shape()[2]).position(|character| {
            left -= probabilities[[0, seen.len() - 1, character]];
            left < 0.0
        });
        written.push(next.unwrap_or(0) as i32);
    }
    Ok(written.into_iter().skip(1).map(decode).collect())
}

/// Printable ASCII characters from 1 on; anything else ends a line, 0.
fn encode(text: &str) -> Vec<i32> {
    text.chars().map(|c| if (' '..='~').contains(&c) { c as i32 - 31 } else { 0 }).collect()
}

fn decode(character: i32) -> char {
    match u8::try_from(character + 31) {
        Ok(byte @ b' '..=b'~') => byte as char,
        _ => '\n',
    }
}
