//! Says why kernels are run as they are, in the cost model's terms.

use std::fmt::Write;

use super::cost::{Leaf, Model};
use super::tile::{Pack, TileCost};
use super::{Cost, schedule_stage, two_threads_pay};
use crate::codegen::Target;
use crate::kernel::{Kernel, KernelFunction, Packed, StageSchedule};

/// What was chosen for every stage of a scheduled function and why, a comment a line: cycles by the cost model, and for
/// contractions the tile, whether an operand is packed, and what these take.
pub fn explain(f: &KernelFunction, target: &Target) -> String {
    let mut text = String::new();
    let mut say =
        |line: std::fmt::Arguments<'_>| writeln!(text, "; {line}").expect("texts can be written to");
    for kernel in &f.kernels {
        let mut cycles = 0.0;
        for (n, stage) in kernel.stages.iter().enumerate() {
            let model = Model { f, kernel, stage, vectors: target.vectors() };
            let schedule = kernel.schedule.stages.get(n).unwrap_or(&StageSchedule::Scalar);
            let (_, mut cost) = schedule_stage(&model);
            if *schedule == StageSchedule::Scalar {
                // Code for vectors may have been too long.
                cost = Cost::Leaf(model.leaf(Leaf::Point));
            }
            cycles += cost.cycles() * model.points();
            let what = match (schedule, &cost) {
                (schedule @ StageSchedule::Tile { .. }, Cost::Tile(cost)) => tile(schedule, cost),
                (StageSchedule::Strip { axis, lanes }, _) => {
                    let alone = model.leaf(Leaf::Point);
                    format!(
                        "vectors of {lanes} along i{axis}, {:.1} cycles a point instead of {alone:.1}",
                        cost.cycles()
                    )
                }
                _ => format!("point by point, {:.1} cycles each", cost.cycles()),
            };
            say(format_args!("{} stage {n}: {what}", kernel.name));
        }
        let pays = two_threads_pay(f, kernel, kernel.schedule.chunks);
        say(format_args!("{}: {}", kernel.name, threads(kernel, cycles, pays)));
    }
    text
}

fn tile(schedule: &StageSchedule, cost: &TileCost) -> String {
    let &StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack: packed } = schedule
    else {
        return String::new();
    };
    let accumulators = rows * cols.div_ceil(lanes);
    let vectors = 1 - row_operand;
    let pack = match cost.pack {
        None if packed == Packed::Streamed => {
            format!(
                "operand {vectors} is read in streams, a few elements for many columns, for it comes from far away"
            )
        }
        None if cost.in_panels => format!("operand {vectors} lies in panels"),
        None => format!("operand {vectors} is read where it is"),
        Some(Pack::Scattered) => format!("operand {vectors} is packed, for its vectors are not consecutive"),
        Some(Pack::Conflicts) => {
            format!("operand {vectors} is packed, for its rows compete for lines of the cache")
        }
        Some(Pack::Rows(rows)) => format!("operand {vectors} is packed, for {rows} rows use it"),
    };
    let other = match packed {
        Packed::Both => {
            format!(
                ", and operand {row_operand}, for lines of its elements are in no near cache at their next use"
            )
        }
        _ => String::new(),
    };
    let TileCost { contraction, packing, stores, .. } = cost;
    format!(
        "tiles of {rows} x {cols} along i{row_axis} and i{col_axis}, {accumulators} accumulators of {lanes} lanes; {pack}{other}; \
         {contraction:.1} cycles a point, {packing:.1} of packing, {stores:.1} of stores"
    )
}

fn threads(kernel: &Kernel, cycles: f64, pays: f64) -> String {
    let chunks = match kernel.schedule.chunks {
        Some(chunks) => {
            format!(
                "{} chunks along i{}",
                kernel.axes[chunks.axis].most().div_ceil(chunks.block),
                chunks.axis
            )
        }
        None => "one chunk".to_owned(),
    };
    let each = kernel.schedule.each.iter().map(|axis| format!(", all stages for each i{axis}"));
    let chunks: String = [chunks].into_iter().chain(each).collect();
    match kernel.schedule.threads {
        true => format!("{cycles:.0} cycles, {chunks} for the threads"),
        false if cycles < pays => {
            format!("{cycles:.0} cycles, {chunks}; a second thread pays from {pays:.0} on")
        }
        false => format!("{cycles:.0} cycles, {chunks} on one thread"),
    }
}
