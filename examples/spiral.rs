//! Two interleaved spirals, told apart by a small network; the decision boundary is drawn as a picture.

#[path = "common/progress.rs"]
mod progress;

use std::error::Error;
use std::f32::consts::TAU;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use bessemer::prelude::*;
use clap::Parser;
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Trains a network to tell two spirals apart and draws what it learned.
#[derive(Parser)]
struct Args {
    /// Seed of the points and of the first values
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of training steps of all points
    #[arg(long, default_value_t = 2000)]
    steps: u64,
    /// Where to write the picture
    #[arg(long, default_value = "spiral.png")]
    out: PathBuf,
}

/// Half the side of the square that is drawn.
const REACH: f32 = 1.1;

/// Side of the picture in pixels.
const PIXELS: usize = 480;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (train_x, train_y) = spiral(400, args.seed);
    let (test_x, test_y) = spiral(400, args.seed + 1_000_000);

    let session = Session::new(&network()?)?;
    session.init(args.seed)?;
    let mut step = session.entry("train_step")?;
    let mut progress = progress::Progress::new(args.steps);
    for _ in 0..args.steps {
        step.run(&[("x", train_x.view().into()), ("y", train_y.view().into())])?;
        progress.step(step.scalar("loss")?);
    }
    progress.finish();

    draw(&args.out, &session, &train_x, &train_y)?;
    println!("wrote {}", args.out.display());
    let scores = session.run("predict", &[("x", test_x.view().into())])?;
    let scores = scores.get::<f32>("score")?;
    let correct = scores.iter().zip(&test_y).filter(|&(&s, &y)| (s > 0.0) == (y > 0.5)).count();
    println!("test accuracy {:.4} ({correct}/{})", correct as f64 / test_y.len() as f64, test_y.len());
    Ok(())
}

/// The network with its training step.
pub fn network() -> Result<Module, Diagnostics> {
    let module = Builder::new("spiral");
    module.function("predict", |f| {
        f.result("score", score(f.placeholder("x", DType::F32, [Extent::N, 2.into()])));
    });
    module.function("loss", |f| {
        let (x, y) = (
            f.placeholder("x", DType::F32, [Extent::N, 2.into()]),
            f.placeholder("y", DType::F32, [Extent::N]),
        );
        f.result("loss", nn::sigmoid_cross_entropy(score(x), y));
    });
    module.train(Train::minimize("train_step", "loss", optimizers::adam(0.01)));
    module.finish()
}

/// A number per point: above 0 for the second spiral.
fn score(x: Expr<'_>) -> Expr<'_> {
    let hidden = nn::dense(x, "hidden1", 32).tanh();
    let hidden = nn::dense(hidden, "hidden2", 32).tanh();
    nn::dense(hidden, "score", 1).reshape([Extent::N])
}

/// Points on two spirals that are half a turn apart, with their class, 0 or 1.
fn spiral(count: usize, seed: u64) -> (Array2<f32>, Array1<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let y = Array1::from_shape_fn(count, |i| (i % 2) as f32);
    let mut x = Array2::zeros((count, 2));
    for (mut point, class) in x.rows_mut().into_iter().zip(&y) {
        let r = 0.05 + 0.95 * rng.random::<f32>().sqrt();
        let angle = TAU * (1.5 * r + 0.5 * class);
        let mut noise = || 0.02 * (rng.random::<f32>() - 0.5);
        point[0] = r * angle.cos() + noise();
        point[1] = r * angle.sin() + noise();
    }
    (x, y)
}

/// Draws the score of every pixel as a colour from blue to orange, and the points that were learned from.
fn draw(
    path: &Path,
    session: &Session,
    points: &Array2<f32>,
    classes: &Array1<f32>,
) -> Result<(), Box<dyn Error>> {
    let place = |pixel: usize| (pixel as f32 + 0.5) / PIXELS as f32 * 2.0 * REACH - REACH;
    let grid = Array2::from_shape_fn((PIXELS * PIXELS, 2), |(i, axis)| {
        if axis == 0 { place(i % PIXELS) } else { -place(i / PIXELS) }
    });
    let scores = session.run("predict", &[("x", grid.view().into())])?;
    let mix = |a: f32, b: f32, part: f32| (a + (b - a) * part) as u8;
    let mut pixels: Vec<[u8; 3]> = scores
        .get::<f32>("score")?
        .iter()
        .map(|score| {
            let p = 1.0 / (1.0 + (-score).exp());
            [mix(112.0, 246.0, p), mix(160.0, 178.0, p), mix(220.0, 107.0, p)]
        })
        .collect();
    for (point, &class) in points.rows().into_iter().zip(classes) {
        let pixel = |v: f32| ((v + REACH) / (2.0 * REACH) * PIXELS as f32) as isize;
        let (column, row) = (pixel(point[0]), pixel(-point[1]));
        let colour = if class > 0.5 { [178, 84, 16] } else { [20, 62, 130] };
        for (dx, dy) in (-2..=2).flat_map(|dx| (-2..=2).map(move |dy| (dx, dy))) {
            let (x, y) = (column + dx, row + dy);
            let inside = |v: isize| (0..PIXELS as isize).contains(&v);
            if dx * dx + dy * dy <= 5 && inside(x) && inside(y) {
                pixels[y as usize * PIXELS + x as usize] = colour;
            }
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), PIXELS as u32, PIXELS as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels.as_flattened())?;
    Ok(())
}
