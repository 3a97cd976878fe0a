//! The rules of Kernel IR. This list is the checklist; a rule's number is the code of its error.
//!
//! *Form*
//! - K0101 The function's name may follow `@`; the kernels' names are words, each used once.
//! - K0102 Nothing is of type f16 or bf16 yet.
//! - K0103 Extents of 0 counted as 1, the product of a buffer's extents, of a check's, and of the axes of a stage
//!   (kernel's, its own and the fold's) is at most [`MAX_ELEMENTS`]; a stage has at most [`MAX_AXES`] axes.
//! - K0104 A constant's tensor has the buffer's type; the random state is i64\[2\]; an alias is of an earlier buffer that
//!   is not local, of the same dtype and number of elements; no two buffers are the same parameter, result, variable,
//!   next value or random state.
//!   A pitch is that of a variable, a next value, a temporary, a constant, or an alias, of two or more axes; it is no less than the
//!   innermost extent, and bytes with gaps keep the limit of K0103. A variable and its next value have the same, and so
//!   have an alias and what it is of; where they have one, their innermost extents are equal.
//! - K0105 A check's bound is at least 1.
//!
//! *Values*
//! - K0106 An operand is defined earlier in the same body; what a fold combines and what a store keeps is of its body.
//! - K0107 Operands and results have the types that the operator asks for (`types.rs` lists them).
//! - K0108 An affine expression names axes in scope: the kernel's, the stage's and, in the fold's body and throughout a
//!   scan, the fold's; `|offset| + Σ |factor| · max(extent - 1, 1)` is at most 2⁶².
//! - K0109 The values of `index` fit its type.
//! - K0110 An accumulator is used only in the body of a stage whose fold has it, with its type; `before` only in scans.
//! - K0111 `lanes` of a fold is a power of two, and 1 for a scan; accumulators have the types that their combination
//!   asks for; positions of argmax and argmin fit their type.
//! - K0112 A check names a site; its position lies within the site's elements at every point; the bound fits the type.
//!
//! *Accesses*
//! - K0113 The buffer exists; there is a coordinate for each of its axes; value and fill have its dtype. The coordinates
//!   times the buffer's strides are together an expression that keeps the limit of K0108.
//! - K0114 Coordinates are within the buffer at every point where the guards hold. Known of the points: the axes'
//!   extents, guards on one axis, and guards on the coordinate itself plus a constant.
//! - K0115 An indirect coordinate is on an axis of the buffer and comes from a check whose bound keeps it within, or from
//!   `max (min x, c), 0` with a constant c that does.
//!
//! *Stores*
//! - K0116 Only results, next values, temporaries and locals are stored to. `store_add` stands in scans, and adds
//!   numbers; a store with an indirect coordinate stands in a scan.
//! - K0117 A plain store puts different points in different elements. A store that updates (with an indirect coordinate
//!   or `store_add`) does so for points of different kernel and stage axes, whatever the fold's axes and the data are.
//! - K0118 The plain stores of a buffer, at most [`MAX_STORES`], go to disjoint elements and together to all of them;
//!   results and next values have some, and so has whatever is loaded or updated.
//! - K0119 A buffer is loaded and updated only after all its plain stores: in a later kernel, or in a later stage; and
//!   loaded in a stage after all stores to it in the same kernel.
//! - K0120 Where a kernel stores to a buffer more than once, or loads what it stores, the accesses agree: for each of the
//!   kernel's axes (of more than one index) there is an axis of the buffer on which the coordinates of all tell the index, as the same
//!   digit: they have the same offset and the same step along the axis, all other terms are multiples of all its steps together, or
//!   come to less than one. So a point touches only what is its own. Aliases of a buffer are loaded only in other kernels than those that store to it, but
//!   where the kernel has one point, which shares with nobody.
//! - K0121 A local buffer is used in one kernel.
//!
//! *Batch size*
//! - K0125 Extents depend on the batch size only in a function that says how large it is, and all rules hold for every
//!   batch size from 1 on: it is enough to look at 1, 2 and the largest, for whatever depends on it is linear or the
//!   product of two that are. No extent of a variable, a next value, a constant or the random state does; of parameters,
//!   results, aliases and what they are of, only the outermost, so that their elements lie in memory as they would for
//!   the actual batch size; and of the axes of a fold not the innermost, if it has several lanes, and only the
//!   outermost, if it looks for a position.
//!
//! *Schedules*
//! - K0122 `chunks` names an axis of the kernel, in blocks of at least 1, and `each` other ones, each once; no more stages are
//!   scheduled than there are.
//! - K0123 A strip has a power of two of lanes, along an axis of the stage; along an axis of a fold only if that is the
//!   innermost one and the fold's `lanes` is a multiple of the strip's.
//! - K0124 A tile is of a reduction of one lane with one `dot` of two loads, nothing else combined. Its row and column
//!   axes are different axes of the kernel or the stage; the broadcast operand (0 or 1) does not have the column axis,
//!   the other one not the row axis; rows are at least 1, lanes a power of two, columns a positive multiple of lanes.

mod batch;
mod body;
mod bounds;
mod memory;
mod schedule;
mod types;

pub use bounds::stays_within;

use std::collections::{HashMap, HashSet};

use super::{Buffer, BufferId, BufferKind, Kernel, KernelFunction, MAX_AXES, Stage, most};
use crate::diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS};
use crate::text::{is_name, is_word};
use crate::types::{DType, MAX_ELEMENTS};

/// How many plain stores one buffer may have (K0118).
pub const MAX_STORES: usize = 1024;

/// Checks a function against the rules, which are listed in the text of its module, `kernel/verify/mod.rs`.
///
/// # Errors
/// K0101 to K0125, several at once; each names the kernel, the stage and the line.
pub fn verify(function: &KernelFunction) -> Result<(), Diagnostics> {
    let mut errors = Errors::default();
    batch::check(function, &mut errors);
    if errors.found.is_empty() {
        check_all(function, &mut errors);
    }
    for n in function.largest.into_iter().flat_map(|largest| 1..largest.min(3)) {
        if errors.found.is_empty() {
            check_all(&function.at(n), &mut errors);
            errors.found = errors.found.into_iter().map(|e| e.note(format!("for batch size {n}"))).collect();
        }
    }
    Diagnostics::check(None, errors.found)
}

/// Checks a function for its largest batch size.
fn check_all(function: &KernelFunction, errors: &mut Errors) {
    check_form(function, errors);
    // Every later group of rules is about functions that keep the earlier ones.
    for check in [body::check, memory::check, schedule::check] {
        if errors.found.is_empty() {
            check(function, errors);
        }
    }
}

/// The errors so far, no more than are of use.
#[derive(Default)]
struct Errors {
    found: Vec<Diagnostic>,
}

impl Errors {
    fn report(&mut self, error: Diagnostic) {
        if self.found.len() < MAX_ERRORS {
            self.found.push(error);
        }
    }

    /// Reports a rule as broken unless it holds; `message` says how and `place` where.
    fn expect(
        &mut self,
        holds: bool,
        code: &'static str,
        message: impl FnOnce() -> String,
        place: impl FnOnce() -> String,
    ) {
        if !holds {
            self.report(Diagnostic::new(code, message()).note(place()));
        }
    }
}

/// Number of points of axes with these extents; `None` above [`MAX_ELEMENTS`], extents of 0 counting as 1.
fn limited_product(extents: impl IntoIterator<Item = usize>) -> Option<usize> {
    extents.into_iter().try_fold(1usize, |n, e| n.checked_mul(e.max(1)).filter(|&n| n <= MAX_ELEMENTS))
}

/// Extents of all axes of a stage.
fn extents(kernel: &Kernel, stage: &Stage) -> Vec<usize> {
    let fold = stage.fold.as_ref().map_or(&[][..], |f| &f.axes);
    most(&[&kernel.axes[..], &stage.axes, fold].concat())
}

/// The text that says which stage of which kernel an error is in.
fn in_stage(kernel: &Kernel, stage: usize) -> String {
    format!("in stage {stage} of kernel `{}`", kernel.name)
}

fn check_form(function: &KernelFunction, errors: &mut Errors) {
    let here = || format!("in function `{}`", function.name);
    errors.expect(
        is_name(&function.name),
        "K0101",
        || "the name of the function cannot follow `@`".into(),
        here,
    );
    let mut names = HashSet::new();
    for kernel in &function.kernels {
        let name = &kernel.name;
        errors.expect(is_word(name), "K0101", || format!("the kernel's name `{name}` is not a word"), here);
        errors.expect(names.insert(name), "K0101", || format!("two kernels are named `{name}`"), here);
        for (n, stage) in kernel.stages.iter().enumerate() {
            let extents = extents(kernel, stage);
            let place = || in_stage(kernel, n);
            let axes = extents.len();
            errors.expect(
                axes <= MAX_AXES,
                "K0103",
                || format!("{axes} axes are more than {MAX_AXES}"),
                place,
            );
            let points = limited_product(extents);
            errors.expect(points.is_some(), "K0103", || "the axes have too many points".into(), place);
        }
        // A kernel without stages has axes too.
        let points = limited_product(most(&kernel.axes));
        errors.expect(
            points.is_some(),
            "K0103",
            || format!("the axes of `{name}` have too many points"),
            here,
        );
    }
    let mut taken = HashSet::new();
    let pitches = function.buffers.values().filter_map(|buffer| match buffer.kind {
        BufferKind::Variable(n) => Some((n, buffer.pitch)),
        _ => None,
    });
    let pitches: HashMap<usize, Option<usize>> = pitches.collect();
    for id in function.buffers.keys() {
        check_buffer(function, id, &pitches, &mut taken, errors);
    }
    for (n, site) in function.checks.iter().enumerate() {
        let place = || format!("in check {n} of `{}`", site.name);
        errors.expect(site.bound >= 1, "K0105", || "the bound of a check is 0".into(), place);
        let elements = limited_product(site.shape.iter().copied());
        errors.expect(elements.is_some(), "K0103", || "a checked value has too many elements".into(), place);
    }
}

fn check_buffer<'a>(
    function: &'a KernelFunction,
    id: BufferId,
    pitches: &HashMap<usize, Option<usize>>,
    taken: &mut HashSet<(&'a str, usize)>,
    errors: &mut Errors,
) {
    let buffer = &function.buffers[id];
    let place = || format!("in buffer `{id}`, `{}`", buffer.name);
    let held = matches!(buffer.dtype, DType::F16 | DType::BF16);
    errors.expect(!held, "K0102", || format!("no buffer has the type {} yet", buffer.dtype), place);
    if limited_product(most(&buffer.shape)).is_none() {
        return errors.report(Diagnostic::new("K0103", "the buffer has too many elements").note(place()));
    }
    let slot = match &buffer.kind {
        BufferKind::Param(n) => Some(("parameter", *n)),
        BufferKind::Result(n) => Some(("result", *n)),
        BufferKind::Variable(n) => Some(("variable", *n)),
        BufferKind::Next(n) => Some(("next value of variable", *n)),
        BufferKind::RandomState => Some(("random state", 0)),
        BufferKind::Constant(_) | BufferKind::Alias(_) | BufferKind::Temp | BufferKind::Local => None,
    };
    if let Some((what, n)) = slot {
        errors.expect(taken.insert((what, n)), "K0104", || format!("two buffers are {what} {n}"), place);
    }
    errors.expect(pitch_fits(buffer), "K0104", || "its pitch does not fit it".into(), place);
    if let BufferKind::Next(n) = buffer.kind {
        errors.expect(
            pitches.get(&n).is_none_or(|pitch| *pitch == buffer.pitch),
            "K0104",
            || format!("variable {n} and its next value differ in their pitch"),
            place,
        );
    }
    match &buffer.kind {
        BufferKind::Constant(tensor) => errors.expect(
            tensor.dtype() == buffer.dtype && tensor.shape() == most(&buffer.shape),
            "K0104",
            || format!("the constant is {}, its buffer {}{:?}", tensor.ty(), buffer.dtype, buffer.shape),
            place,
        ),
        BufferKind::RandomState => errors.expect(
            buffer.dtype == DType::I64 && buffer.shape == [2],
            "K0104",
            || "the random state is not i64[2]".into(),
            place,
        ),
        BufferKind::Alias(of) => {
            let fits = *of < id && {
                let of = &function.buffers[*of];
                of.kind != BufferKind::Local
                    && of.dtype == buffer.dtype
                    && limited_product(most(&of.shape)).is_some()
                    && of.elements() == buffer.elements()
                    && of.pitch == buffer.pitch
                    && (of.pitch.is_none() || of.shape.last() == buffer.shape.last())
            };
            errors.expect(
                fits,
                "K0104",
                || format!("`{of}` is no earlier buffer of the same dtype, number of elements and rows, not local"),
                place,
            );
        }
        _ => {}
    }
}

/// Whether a buffer may have its pitch, if it has one.
fn pitch_fits(buffer: &Buffer) -> bool {
    let Some(pitch) = buffer.pitch else { return true };
    let may = matches!(
        buffer.kind,
        BufferKind::Variable(_)
            | BufferKind::Next(_)
            | BufferKind::Temp
            | BufferKind::Constant(_)
            | BufferKind::Alias(_)
    );
    let shape = most(&buffer.shape);
    let [outer @ .., row] = shape.as_slice() else { return false };
    may && !outer.is_empty()
        && pitch >= *row
        && limited_product(outer.iter().copied().chain([pitch])).is_some()
}

#[cfg(test)]
mod tests;
