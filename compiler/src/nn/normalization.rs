//! Normalisations: values with mean 0 and variance 1, each over other elements, then scaled and shifted by variables
//! `NAME/scale` (ones) and `NAME/shift` (zeros), f32 of the last axis' extent. `epsilon` is added to the variance.

use std::panic::Location;

use super::{moments, padding::spatial_extents};
use crate::diagnostic::{Diagnostic, Place};
use crate::graph::{Expr, Graph, Variable};
use crate::initializers::{ones, zeros};
use crate::types::{DType, Extent, Shape, TensorType};

/// Rows normalised along the last axis.
///
/// Reference: Ba, Kiros, Hinton, "Layer normalization", 2016.
#[track_caller]
pub fn layer_norm<'g>(x: Expr<'g>, name: &str, epsilon: f64) -> Expr<'g> {
    let Some(axis) = x.axis(-1) else { return x };
    let (mean, variance) = moments(x, &[axis], true);
    scaled(x, name, mean, (variance + epsilon).rsqrt())
}

/// Channels (the last axis) normalised over all other axes by what they are in this batch: for functions that are trained.
/// When the function returns, the variables `NAME/mean` (first zeros) and `NAME/variance` (first ones), which are not
/// trained, become `momentum` times themselves plus `1 - momentum` times the batch's mean and unbiased variance;
/// [`batch_norm_inference`] uses them.
///
/// Reference: Ioffe, Szegedy, "Batch normalization", 2015; PyTorch's `BatchNorm2d(momentum = 1 - momentum)`.
#[track_caller]
pub fn batch_norm<'g>(x: Expr<'g>, name: &str, momentum: f64, epsilon: f64) -> Expr<'g> {
    let Some(channels) = x.axis(-1) else { return x };
    let axes: Vec<usize> = (0..channels).collect();
    let (mean, variance) = moments(x, &axes, true);
    if variance.is_poisoned() {
        return variance;
    }
    let graph = x.graph();
    let count = axes.iter().fold(mean.constant_like(1.0), |count, &axis| match x.shape().0[axis] {
        Extent::Const(c) => count * c as f64,
        batch => count * graph.extent(batch).cast(x.dtype()),
    });
    let unbiased = variance * (count / (count - 1.0).max(1.0));
    let (old_mean, old_variance) = running(graph, name, x.extent(-1));
    graph.scope(name, || {
        let average = |variable: &str, old: Expr<'g>, new: Expr<'g>| {
            let new = new.reshape(old.shape());
            graph.assign(&graph.scoped_name(variable), old * momentum + new * (1.0 - momentum));
        };
        average("mean", old_mean, mean);
        average("variance", old_variance, unbiased);
    });
    scaled(x, name, mean, (variance + epsilon).rsqrt())
}

/// Channels (the last axis) normalised by the mean and variance that [`batch_norm`] of the same name has gathered: for functions
/// that predict.
#[track_caller]
pub fn batch_norm_inference<'g>(x: Expr<'g>, name: &str, epsilon: f64) -> Expr<'g> {
    if x.axis(-1).is_none() {
        return x;
    }
    let (mean, variance) = running(x.graph(), name, x.extent(-1));
    scaled(x, name, mean, (variance + epsilon).rsqrt())
}

/// The variables with the running mean and variance of a batch norm.
#[track_caller]
fn running<'g>(graph: &'g Graph, name: &str, channels: Extent) -> (Expr<'g>, Expr<'g>) {
    let ty = TensorType::new(DType::F32, [channels]);
    let variable = |init| Variable {
        name: String::new(),
        ty: ty.clone(),
        init,
        trainable: false,
        place: Place::Unknown,
    };
    graph.scope(name, || {
        (graph.declare("mean", variable(zeros())), graph.declare("variance", variable(ones())))
    })
}

/// Groups of neighbouring channels normalised over the spatial axes of `x` `[batch, spatial.., channels]`, each example on
/// its own.
///
/// E0219 if the channels do not divide into `groups`.
///
/// Reference: Wu, He, "Group normalization", 2018.
#[track_caller]
pub fn group_norm<'g>(x: Expr<'g>, name: &str, groups: usize, epsilon: f64) -> Expr<'g> {
    let Some(last) = x.axis(-1) else { return x };
    let graph = x.graph();
    let place = graph.here(Location::caller());
    if let Err(error) = spatial_extents(x) {
        return graph.poison(error.or_at(&place));
    }
    let width = match x.extent(-1).as_const() {
        Some(channels) if groups > 0 && channels.is_multiple_of(groups) => channels / groups,
        _ => {
            let message = format!("the channels of {} do not divide into {groups} groups", x.ty());
            return graph.poison(Diagnostic::new("E0219", message).or_at(&place));
        }
    };
    let mut split = x.shape().0;
    split[last] = Extent::Const(groups);
    split.push(Extent::Const(width));
    let axes: Vec<usize> = (1..last).chain([last + 1]).collect();
    let (mean, variance) = moments(x.reshape(Shape(split)), &axes, true);
    // Of every channel, so that what is done to the elements keeps the axes of `x`.
    let channels = |of_groups: Expr<'g>| {
        let (mut wide, mut merged) = (of_groups.shape().0, of_groups.shape().0);
        wide[last + 1] = Extent::Const(width);
        merged.pop();
        merged[last] = Extent::Const(groups * width);
        of_groups.broadcast_to(Shape(wide)).reshape(Shape(merged))
    };
    scaled(x, name, channels(mean), channels((variance + epsilon).rsqrt()))
}

/// Every channel of every example normalised over the spatial axes of `x` `[batch, spatial.., channels]`.
///
/// Reference: Ulyanov, Vedaldi, Lempitsky, "Instance normalization", 2016.
#[track_caller]
pub fn instance_norm<'g>(x: Expr<'g>, name: &str, epsilon: f64) -> Expr<'g> {
    let Some(last) = x.axis(-1) else { return x };
    let (mean, variance) = moments(x, &(1..last).collect::<Vec<_>>(), true);
    scaled(x, name, mean, (variance + epsilon).rsqrt())
}

/// `(x - mean) · factor · scale + shift`.
#[track_caller]
fn scaled<'g>(x: Expr<'g>, name: &str, mean: Expr<'g>, factor: Expr<'g>) -> Expr<'g> {
    let (graph, channels) = (x.graph(), x.extent(-1));
    let (scale, shift) = graph.scope(name, || {
        (graph.variable("scale", [channels], ones()), graph.variable("shift", [channels], zeros()))
    });
    ((x - mean) * factor * scale + shift).named(name)
}

/// `x / (k + alpha · Σ x²)^beta`, with the sum over the `size` channels around each: `size / 2` before it and
/// `(size - 1) / 2` behind it, as far as there are any.
///
/// Reference: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012. PyTorch
/// divides alpha by the size.
#[track_caller]
pub fn local_response_norm<'g>(x: Expr<'g>, size: usize, alpha: f64, beta: f64, k: f64) -> Expr<'g> {
    let Some(last) = x.axis(-1) else { return x };
    let padded = (x * x).pad_axis(last, size / 2, size.saturating_sub(1) / 2, 0.0);
    let sum = padded.windows(&[last], &[size], &[1], &[1]);
    if sum.is_poisoned() {
        return sum;
    }
    x / (sum.reduce_sum(&[last + 1], false) * alpha + k).pow(x.constant_like(beta))
}
