//! Images of other sizes. Values are `[batch, spatial.., channels]`, with any number of spatial axes.

use std::panic::Location;

use super::padding::spatial_extents;
use crate::diagnostic::Diagnostic;
use crate::graph::{Expr, Graph};
use crate::ops::Slice;
use crate::types::{Extent, Shape};

/// More phases than this (see [`phases`]) are refused: each is a kernel.
const MAX_PHASES: usize = 512;

/// The spatial axes in other sizes, each element that of `x` whose centre is nearest: on every axis,
/// `out[i] = x[floor((i + 0.5) · extent / size)]`.
///
/// Along an axis there is a kernel for each of `size / gcd(extent, size)` phases; E0219 if these are more than 512.
///
/// Reference: PyTorch `interpolate(mode="nearest-exact")`.
#[track_caller]
pub fn resize_nearest<'g>(x: Expr<'g>, sizes: &[usize]) -> Expr<'g> {
    resize(x, sizes, |x, axis, phases| {
        // floor((b + ½) · q / p), in whole numbers.
        let source = |b: usize| (2 * b + 1) * phases.from / (2 * phases.to);
        phases.merge(x, axis, |b| phases.every(x, axis, source(b)))
    })
}

/// The spatial axes in other sizes, each element a mean of the two of `x` around it, weighted by how near their centres are: on
/// every axis, with `c = (i + 0.5) · extent / size - 0.5` and `f = floor(c)`,
/// `out[i] = (1 - (c - f)) · x[f] + (c - f) · x[f + 1]`, where indices outside mean the first and the last element.
///
/// Along an axis there is a kernel for each of `size / gcd(extent, size)` phases; E0219 if these are more than 512.
///
/// Reference: PyTorch `interpolate(mode="bilinear", align_corners=False)`, on any number of axes.
#[track_caller]
pub fn resize_bilinear<'g>(x: Expr<'g>, sizes: &[usize]) -> Expr<'g> {
    resize(x, sizes, |x, axis, phases| {
        // One more element on either side, so that no index is outside.
        let extent = phases.count * phases.from;
        let ends = [x.slice_fixed(axis, 0, 1), x, x.slice_fixed(axis, extent - 1, extent)];
        let padded = x.graph().concat(&ends, axis);
        phases.merge(x, axis, |b| {
            let centre = (b as f64 + 0.5) * phases.from as f64 / phases.to as f64 + 0.5;
            let (first, weight) = (centre.floor(), centre.fract());
            let element = |at: usize| phases.every(padded, axis, at);
            match weight == 0.0 {
                true => element(first as usize),
                false => element(first as usize) * (1.0 - weight) + element(first as usize + 1) * weight,
            }
        })
    })
}

/// How an axis is resized: `count` blocks of `from` elements become as many of `to`, all alike.
#[derive(Clone, Copy)]
struct Phases {
    count: usize,
    from: usize,
    to: usize,
}

impl Phases {
    /// Every `from`-th of `count` elements of an axis, from one on.
    #[track_caller]
    fn every<'g>(&self, x: Expr<'g>, axis: usize, start: usize) -> Expr<'g> {
        let mut limits = x.shape().0;
        let (mut starts, mut strides) = (vec![0; limits.len()], vec![1; limits.len()]);
        (starts[axis], strides[axis]) = (start, self.from);
        limits[axis] = Extent::Const(start + (self.count - 1) * self.from + 1);
        x.graph().add(Slice { starts, limits, strides }, &[x])
    }

    /// The value in which element `b` of every block is what `phase` gives for all blocks.
    #[track_caller]
    fn merge<'g>(&self, x: Expr<'g>, axis: usize, phase: impl Fn(usize) -> Expr<'g>) -> Expr<'g> {
        let parts: Vec<Expr<'g>> = (0..self.to).map(|b| phase(b).expand(axis + 1)).collect();
        let mut extents = x.shape().0;
        extents[axis] = Extent::Const(self.count * self.to);
        x.graph().concat(&parts, axis + 1).reshape(Shape(extents))
    }
}

/// Resizes one spatial axis after the other.
#[track_caller]
fn resize<'g>(x: Expr<'g>, sizes: &[usize], along: impl Fn(Expr<'g>, usize, Phases) -> Expr<'g>) -> Expr<'g> {
    if x.is_poisoned() {
        return x;
    }
    let place = x.graph().here(Location::caller());
    match phases(x, sizes) {
        Ok(phases) => {
            phases.into_iter().enumerate().fold(x, |x, (d, phases)| match phases.from == phases.to {
                true => x,
                false => along(x, d + 1, phases),
            })
        }
        Err(error) => x.graph().poison(error.or_at(&place)),
    }
}

/// How each spatial axis is resized: the extent and the size have a largest common divisor, which is the number of blocks.
///
/// # Errors
/// E0214 without spatial axes, E0219 if the sizes do not fit them or are not reached in few phases.
fn phases(x: Expr<'_>, sizes: &[usize]) -> Result<Vec<Phases>, Diagnostic> {
    let extents = spatial_extents(x)?;
    let refuse = |why: String| {
        Err(Diagnostic::new("E0219", format!("{} cannot be resized to {sizes:?}", x.ty())).note(why))
    };
    if sizes.len() != extents.len() || sizes.iter().chain(&extents).any(|&e| e == 0) {
        return refuse("there is one size per spatial axis, and none is empty".into());
    }
    let phases = extents.iter().zip(sizes).map(|(&extent, &size)| {
        let count = gcd(extent, size);
        Phases { count, from: extent / count, to: size / count }
    });
    let phases: Vec<Phases> = phases.collect();
    match phases.iter().find(|p| p.to > MAX_PHASES) {
        None => Ok(phases),
        Some(many) => refuse(format!("an axis would take {} phases, more than {MAX_PHASES}", many.to)),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Blocks of `block` elements on each spatial axis become channels: `[batch, h, w, c]` to
/// `[batch, h / block, w / block, block · block · c]`, where channel `(i · block + j) · c + k` is channel `k` of the
/// element `(i, j)` of its block.
///
/// E0219 if an extent is no multiple of `block`.
///
/// Reference: TensorFlow `space_to_depth`.
#[track_caller]
pub fn space_to_depth<'g>(x: Expr<'g>, block: usize) -> Expr<'g> {
    let place = x.graph().here(Location::caller());
    let extents = match blocks(x, |extents, _| extents.iter().all(|e| e.is_multiple_of(block.max(1))), block)
    {
        Ok(extents) => extents,
        Err(error) => return poison(x, error.or_at(&place)),
    };
    let (batch, channels, spatial) = (x.shape().0[0], x.extent(-1), extents.len());
    let mut split = vec![batch];
    extents.iter().for_each(|e| split.extend([Extent::Const(e / block), Extent::Const(block)]));
    split.push(channels);
    // Blocks first, then what is within them.
    let order: Vec<usize> = [0]
        .into_iter()
        .chain((0..spatial).map(|d| 1 + 2 * d))
        .chain((0..spatial).map(|d| 2 + 2 * d))
        .chain([1 + 2 * spatial])
        .collect();
    let mut merged = vec![batch];
    merged.extend(extents.iter().map(|e| Extent::Const(e / block)));
    merged.push(Extent::Const(channels.as_const().unwrap_or(0) * block.pow(spatial as u32)));
    x.reshape(Shape(split)).transpose(&order).reshape(Shape(merged))
}

/// The inverse of [`space_to_depth`]: channels become blocks of `block` elements on each spatial axis.
///
/// E0219 if the channels are no multiple of a block's elements.
///
/// Reference: TensorFlow `depth_to_space`.
#[track_caller]
pub fn depth_to_space<'g>(x: Expr<'g>, block: usize) -> Expr<'g> {
    let place = x.graph().here(Location::caller());
    let whole = |extents: &[usize], channels: usize| {
        let elements = u32::try_from(extents.len()).ok().and_then(|spatial| block.checked_pow(spatial));
        elements.is_some_and(|elements| elements > 0 && channels.is_multiple_of(elements))
    };
    let extents = match blocks(x, whole, block) {
        Ok(extents) => extents,
        Err(error) => return poison(x, error.or_at(&place)),
    };
    let (batch, spatial) = (x.shape().0[0], extents.len());
    let channels = x.extent(-1).as_const().unwrap_or(0) / block.pow(spatial as u32);
    let mut split = vec![batch];
    split.extend(extents.iter().map(|&e| Extent::Const(e)));
    split.extend(vec![Extent::Const(block); spatial]);
    split.push(Extent::Const(channels));
    let mut order = vec![0];
    (0..spatial).for_each(|d| order.extend([1 + d, 1 + spatial + d]));
    order.push(1 + 2 * spatial);
    let mut merged = vec![batch];
    merged.extend(extents.iter().map(|e| Extent::Const(e * block)));
    merged.push(Extent::Const(channels));
    x.reshape(Shape(split)).transpose(&order).reshape(Shape(merged))
}

/// The spatial extents, if `fits` holds of them and of the number of channels.
///
/// # Errors
/// E0214 without spatial axes, E0219 if it does not hold.
fn blocks(
    x: Expr<'_>,
    fits: impl Fn(&[usize], usize) -> bool,
    block: usize,
) -> Result<Vec<usize>, Diagnostic> {
    let extents = spatial_extents(x)?;
    let channels = x.shape().0.last().and_then(|e| e.as_const());
    match channels.is_some_and(|channels| block > 0 && fits(&extents, channels)) {
        true => Ok(extents),
        false => Err(Diagnostic::new("E0219", format!("{} does not divide into blocks of {block}", x.ty()))),
    }
}

/// Reports an error, unless the value stands for one already.
fn poison<'g>(x: Expr<'g>, error: Diagnostic) -> Expr<'g> {
    let graph: &'g Graph = x.graph();
    if x.is_poisoned() { x } else { graph.poison(error) }
}
