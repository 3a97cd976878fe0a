//! Progress of a training run.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of a training run: a bar on a terminal, a line now and then in a pipe.
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    done: u64,
    started: Instant,
}

impl Progress {
    /// Progress over this many steps.
    pub fn new(steps: u64) -> Progress {
        let style =
            ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {msg}").expect("the template is valid");
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(steps).with_style(style));
        Progress { bar, steps, done: 0, started: Instant::now() }
    }

    /// One more step with this loss.
    pub fn step(&mut self, loss: f32) {
        self.done += 1;
        let now_and_then = (self.steps / 10).max(1);
        match &self.bar {
            Some(bar) if self.done.is_multiple_of(16) || self.done == self.steps => {
                bar.set_position(self.done);
                bar.set_message(format!("loss {loss:.4}"));
            }
            None if self.done.is_multiple_of(now_and_then) => {
                println!("step {:>6}  loss {loss:.4}", self.done);
            }
            _ => {}
        }
    }

    /// Ends the display and says how long it took.
    pub fn finish(self) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let each = seconds * 1e6 / self.done.max(1) as f64;
        println!("{} steps in {seconds:.2} s, {each:.0} µs each, data included", self.done);
    }
}
