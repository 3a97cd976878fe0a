//! The evaluator of Kernel IR: slow, obvious, and the definition of correct, to the bit.
//!
//! Nothing here is clever but for one thing: where an access goes is worked out as one affine expression of the axes
//! before the loops run. Schedules are not looked at.
//!
//! An accumulator begins as its combination says ([`FoldOp`](super::FoldOp)) in each lane; a `dot` combines lanes by
//! adding. Where argmax or argmin combines lanes, the earlier position wins among equals and among NaNs; zeros are equal.

mod body;
mod fold;
mod memory;

pub use memory::Memory;

use std::fmt;

use self::body::{Code, Env, View};
use self::fold::Accumulators;
use super::{FoldKind, Kernel, KernelFunction, Stage, most};
use crate::tensor::Scalar;

/// What of a target the meaning of a kernel depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the CPU level multiplies and adds with one rounding.
    pub fused_multiply_add: bool,
}

/// An index out of range that ended a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexError {
    /// Which check of the function failed.
    pub site: usize,
    /// Row-major position of the index in the checked value.
    pub position: usize,
    /// The index.
    pub value: i64,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} at position {} of check {} is out of range", self.value, self.position, self.site)
    }
}

impl std::error::Error for IndexError {}

/// Runs the kernels of a [verified](super::verify()) function on `memory`, for the largest batch size if it depends on one
/// ([`KernelFunction::at`] gives it for another).
///
/// # Errors
/// The smallest error, by site and then position, of the first kernel in which a check fails. That kernel is complete,
/// with the nearest indices in place of those that failed; later ones have not run.
///
/// # Panics
/// If the function breaks a rule of the verifier, or `memory` is of another function.
pub fn evaluate(function: &KernelFunction, memory: &mut Memory, options: Options) -> Result<(), IndexError> {
    for kernel in &function.kernels {
        let stages: Vec<StageCode<'_>> =
            kernel.stages.iter().map(|stage| StageCode::new(function, kernel, stage)).collect();
        let mut point = vec![0; stages.iter().map(|s| s.extents.len()).max().unwrap_or(kernel.axes.len())];
        let mut env = Env { memory, options, error: None };
        each_point(&most(&kernel.axes), 0, &mut point, |point| {
            stages.iter().for_each(|stage| stage.run(&mut env, kernel.axes.len(), point));
        });
        if let Some(error) = env.error {
            return Err(error);
        }
    }
    Ok(())
}

/// Calls `f` for every point of axes with these extents, in row-major order, with their coordinates in `point` from
/// `first` on.
fn each_point(extents: &[usize], first: usize, point: &mut [usize], mut f: impl FnMut(&mut [usize])) {
    if extents.contains(&0) {
        return;
    }
    point[first..first + extents.len()].fill(0);
    loop {
        f(point);
        let mut axis = extents.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            point[first + axis] += 1;
            if point[first + axis] < extents[axis] {
                break;
            }
            point[first + axis] = 0;
        }
    }
}

/// A stage with its accesses worked out.
struct StageCode<'a> {
    stage: &'a Stage,
    /// Extents of all its axes.
    extents: Vec<usize>,
    fold: Option<Code<'a>>,
    body: Code<'a>,
    stores: Vec<View>,
}

impl<'a> StageCode<'a> {
    fn new(function: &'a KernelFunction, kernel: &Kernel, stage: &'a Stage) -> StageCode<'a> {
        let fold_axes = stage.fold.as_ref().map_or(&[][..], |f| &f.axes);
        StageCode {
            stage,
            extents: most(&[&kernel.axes[..], &stage.axes, fold_axes].concat()),
            fold: stage.fold.as_ref().map(|fold| Code::new(function, &fold.body)),
            body: Code::new(function, &stage.body),
            stores: stage
                .stores
                .iter()
                .map(|s| View::new(function, s.buffer, &s.index, s.indirect))
                .collect(),
        }
    }

    /// Runs the stage for the point of the kernel's axes that `point` begins with.
    fn run(&self, env: &mut Env<'_>, kernel_axes: usize, point: &mut [usize]) {
        let mut values = Vec::with_capacity(self.body.len());
        let mut elements = Vec::with_capacity(self.fold.as_ref().map_or(0, Code::len));
        let first = kernel_axes + self.stage.axes.len();
        let own = &self.extents[kernel_axes..first];
        each_point(own, kernel_axes, point, |point| {
            let Some((fold, code)) = self.stage.fold.as_ref().zip(self.fold.as_ref()) else {
                return self.finish(env, point, &mut values, None);
            };
            let mut accumulators = Accumulators::new(fold);
            each_point(&self.extents[first..], first, point, |point| {
                code.run(env, point, &mut elements, None);
                let innermost = point[first..first + fold.axes.len()].last().copied().unwrap_or(0);
                accumulators.combine(&elements, innermost % fold.lanes, env.options);
                if fold.kind == FoldKind::Scan {
                    self.finish(env, point, &mut values, Some(&accumulators));
                }
            });
            if fold.kind == FoldKind::Reduce {
                accumulators.combine_lanes();
                self.finish(env, point, &mut values, Some(&accumulators));
            }
        });
    }

    /// Runs the body and the stores.
    fn finish(
        &self,
        env: &mut Env<'_>,
        point: &[usize],
        values: &mut Vec<Scalar>,
        accumulators: Option<&Accumulators<'_>>,
    ) {
        self.body.run(env, point, values, accumulators);
        for (store, view) in self.stage.stores.iter().zip(&self.stores) {
            view.store(env.memory, point, values, store);
        }
    }
}

#[cfg(test)]
mod tests;
