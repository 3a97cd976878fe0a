//! Random kernels under random schedules.

use crate::codegen::Target;
use crate::codegen::check::check;
use crate::codegen::testing::{Inputs, PACKED, assert_same, expected, results, schedule, strip, targets};
use crate::kernel::math::expand;
use crate::kernel::random::RandomCase;
use crate::kernel::{Kernel, StageSchedule};
use crate::ops::sample::Sampler;
use crate::schedule::ScheduleOptions;

/// Functions that are tried.
const CASES: u64 = 200;

/// Gives a kernel a schedule that fits it, of any kind.
fn reschedule(kernel: &mut Kernel, draw: &mut Sampler, target: &Target) {
    let mut below = |n: usize| draw.int(0, n as i64) as usize;
    for _ in 0..40 {
        let chunks = match kernel.axes.len() {
            0 => None,
            axes => [None, Some((below(axes), 1 + below(7)))][below(2)],
        };
        let stages: Vec<_> = kernel
            .stages
            .iter()
            .map(|stage| {
                let fold_axes = stage.fold.as_ref().map_or(0, |f| f.axes.len());
                let axes = (kernel.axes.len() + stage.axes.len() + fold_axes).max(1);
                let lanes = [1, 2, 4][below(3)];
                match below(3) {
                    0 => strip(below(axes), lanes),
                    1 => StageSchedule::Tile {
                        row_axis: below(axes),
                        col_axis: below(axes),
                        rows: 1 + below(4),
                        cols: lanes * (1 + below(3)),
                        lanes,
                        row_operand: below(2),
                        pack: PACKED[below(4)],
                    },
                    _ => StageSchedule::Scalar,
                }
            })
            .collect();
        kernel.schedule = schedule(chunks, &stages);
        let is_cut = |axis: usize| chunks.is_some_and(|(cut, _)| cut == axis);
        kernel.schedule.each =
            (0..kernel.axes.len()).filter(|&axis| !is_cut(axis) && below(3) == 0).collect();
        if check(kernel, target).is_ok() {
            return;
        }
    }
    kernel.schedule = schedule(None, &[]);
}

#[test]
fn random_kernels_under_random_schedules() {
    for seed in 0..CASES {
        let RandomCase { mut function, params } = RandomCase::new(seed);
        expand(&mut function);
        let inputs = Inputs::Params(&params);
        for target in targets() {
            let expected = expected(&function, &target, inputs);
            let mut draw = Sampler::new(seed);
            let mut f = function.clone();
            for kernel in &mut f.kernels {
                reschedule(kernel, &mut draw, &target);
            }
            assert_same(
                &format!("seed {seed} on {target}, random:\n{f}"),
                &results(&f, &target, inputs),
                &expected,
            );
            crate::schedule::schedule(&mut f, &target, &ScheduleOptions::default());
            assert_same(
                &format!("seed {seed} on {target}, scheduled:\n{f}"),
                &results(&f, &target, inputs),
                &expected,
            );
        }
    }
}
