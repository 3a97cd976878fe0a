//! Convolutions. Values are `[batch, spatial.., channels]`, with any number of spatial axes.

use std::panic::Location;

use super::padding::{Padding, pad_spatial, reach, spatial_extents};
use crate::diagnostic::Diagnostic;
use crate::graph::{Call, Expr};
use crate::initializers::{glorot_uniform, zeros};
use crate::ops;
use crate::types::{Extent, Shape};

/// The filters of a convolution. Lists have an entry per spatial axis.
///
/// ```
/// # use bessemer_compiler::nn::{Filters, Padding};
/// let stem = Filters::new(64, &[7, 7]).strides(&[2, 2]).padding(Padding::around(2, 3)).no_bias();
/// let depthwise = Filters::new(32, &[3, 3]).groups(32).padding(Padding::Same);
/// ```
#[derive(Clone, Debug)]
pub struct Filters {
    pub(super) count: usize,
    pub(super) window: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilation: Vec<usize>,
    pub(super) padding: Padding,
    pub(super) groups: usize,
    pub(super) bias: bool,
    pub(super) initializer: Call,
}

impl Filters {
    /// So many filters, each with a window of these extents, at every place where they fit within the value.
    pub fn new(count: usize, window: &[usize]) -> Filters {
        Filters {
            count,
            window: window.to_vec(),
            strides: vec![1; window.len()],
            dilation: vec![1; window.len()],
            padding: Padding::Valid,
            groups: 1,
            bias: true,
            initializer: glorot_uniform(),
        }
    }

    /// Elements from one window to the next; 1 if not given.
    #[must_use]
    pub fn strides(self, strides: &[usize]) -> Filters {
        Filters { strides: strides.to_vec(), ..self }
    }

    /// Elements from one element of a window to the next; 1 if not given.
    #[must_use]
    pub fn dilation(self, dilation: &[usize]) -> Filters {
        Filters { dilation: dilation.to_vec(), ..self }
    }

    /// How many zeros are put around the value; none if not given. Of a transposed convolution: how many elements are left
    /// out around the result.
    #[must_use]
    pub fn padding(self, padding: Padding) -> Filters {
        Filters { padding, ..self }
    }

    /// Into how many groups the channels are divided: each filter sees those of its group. As many groups as channels are a
    /// depthwise convolution.
    #[must_use]
    pub fn groups(self, groups: usize) -> Filters {
        Filters { groups, ..self }
    }

    /// No bias is added, as where a normalisation follows.
    #[must_use]
    pub fn no_bias(self) -> Filters {
        Filters { bias: false, ..self }
    }

    /// First values of the filters; Glorot uniform if not given.
    #[must_use]
    pub fn initializer(self, initializer: Call) -> Filters {
        Filters { initializer, ..self }
    }

    /// The fixed spatial extents of a value.
    ///
    /// # Errors
    /// E0214 without spatial axes, E0218 for lists that do not fit them.
    fn spatial(&self, x: Expr<'_>) -> Result<Vec<usize>, Diagnostic> {
        let extents = spatial_extents(x)?;
        let rank = self.window.len();
        let lists = [&self.window, &self.strides, &self.dilation];
        if extents.len() == rank && lists.iter().all(|list| list.len() == rank && !list.contains(&0)) {
            return Ok(extents);
        }
        let message = format!("the windows of a convolution do not fit {}", x.ty());
        let help = format!(
            "give the window, strides and dilation a number from 1 on for each of the {} spatial axes; `channels_last` brings \
             `[batch, channels, spatial..]` into the form `[batch, spatial.., channels]`",
            extents.len()
        );
        Err(Diagnostic::new("E0218", message).help(help))
    }
}

/// A convolution with filters: `[B, S.., C]` to `[B, O.., count]`. Declares `NAME/filter`
/// `[window.., C / groups, count]` and, unless told not to, `NAME/bias` `[count]` (zeros), f32.
///
/// # Errors
/// E0214, E0216 and E0218, at the caller's line, if filters and value do not fit.
#[track_caller]
pub fn conv<'g>(x: Expr<'g>, name: &str, filters: &Filters) -> Expr<'g> {
    if x.is_poisoned() {
        return x;
    }
    let sides = filters.spatial(x).and_then(|extents| {
        filters.padding.sides(&extents, &filters.window, &filters.strides, &filters.dilation)
    });
    let sides = match sides {
        Ok(sides) => sides,
        Err(error) => return x.graph().poison(error.or_at(&x.graph().here(Location::caller()))),
    };
    let inputs = channels(x) / filters.groups.max(1);
    let shape = [filters.window.as_slice(), &[inputs, filters.count]].concat();
    let (filter, bias) = declare(x, name, filters, &shape, filters.count);
    let op = ops::Conv {
        strides: filters.strides.clone(),
        dilation: filters.dilation.clone(),
        groups: filters.groups,
    };
    with_bias(x.graph().add(op, &[pad_spatial(x, &sides, 0.0), filter]), bias, name)
}

/// A transposed convolution with filters: `[B, S.., C]` to `[B, P.., count]`, where the `n`-th element of an axis adds
/// to the window at `n · stride`. `P = (S - 1)·stride + (window - 1)·dilation + 1` without what padding leaves out;
/// with [`Padding::Same`], `P = S · stride`. Declares `NAME/filter` `[window.., count / groups, C]` and, unless told
/// not to, `NAME/bias` `[count]` (zeros), f32.
///
/// # Errors
/// E0214, E0216 and E0218, at the caller's line, if filters and value do not fit.
#[track_caller]
pub fn conv_transpose<'g>(x: Expr<'g>, name: &str, filters: &Filters) -> Expr<'g> {
    if x.is_poisoned() {
        return x;
    }
    let placed = filters.spatial(x).and_then(|extents| {
        // What a convolution with this padding would make of the result is the value.
        let covered = |d: usize| match extents[d] {
            0 => 0,
            n => (n - 1) * filters.strides[d] + reach(filters.window[d], filters.dilation[d]),
        };
        let whole: Vec<usize> = match filters.padding {
            Padding::Same => (0..extents.len()).map(|d| extents[d] * filters.strides[d]).collect(),
            _ => (0..extents.len()).map(covered).collect(),
        };
        let sides = filters.padding.sides(&whole, &filters.window, &filters.strides, &filters.dilation)?;
        let low: Vec<usize> = sides.iter().map(|s| s.0).collect();
        let left = match filters.padding {
            Padding::Same => whole,
            _ => (0..extents.len()).map(|d| whole[d].saturating_sub(sides[d].0 + sides[d].1)).collect(),
        };
        Ok((low, left))
    });
    let (low, extents) = match placed {
        Ok(placed) => placed,
        Err(error) => return x.graph().poison(error.or_at(&x.graph().here(Location::caller()))),
    };
    let outputs = filters.count / filters.groups.max(1);
    let shape = [filters.window.as_slice(), &[outputs, channels(x)]].concat();
    let (filter, bias) = declare(x, name, filters, &shape, filters.count);
    let op = ops::ConvTranspose {
        strides: filters.strides.clone(),
        dilation: filters.dilation.clone(),
        low,
        extents,
        groups: filters.groups,
    };
    with_bias(x.graph().add(op, &[x, filter]), bias, name)
}

/// `[batch, channels, spatial..]` as `[batch, spatial.., channels]`.
#[track_caller]
pub fn channels_last(x: Expr<'_>) -> Expr<'_> {
    if x.is_poisoned() || x.rank() < 2 {
        return x;
    }
    let order: Vec<usize> = [0].into_iter().chain(2..x.rank()).chain([1]).collect();
    x.transpose(&order)
}

/// `[batch, spatial.., channels]` as `[batch, channels, spatial..]`.
#[track_caller]
pub fn channels_first(x: Expr<'_>) -> Expr<'_> {
    if x.is_poisoned() || x.rank() < 2 {
        return x;
    }
    let order: Vec<usize> = [0, x.rank() - 1].into_iter().chain(1..x.rank() - 1).collect();
    x.transpose(&order)
}

/// The last extent of a value, 0 if it depends on the batch size: the op says what is wrong then.
fn channels(x: Expr<'_>) -> usize {
    x.shape().0.last().and_then(|e| e.as_const()).unwrap_or(0)
}

/// The variables of a layer.
#[track_caller]
fn declare<'g>(
    x: Expr<'g>,
    name: &str,
    filters: &Filters,
    shape: &[usize],
    count: usize,
) -> (Expr<'g>, Option<Expr<'g>>) {
    let graph = x.graph();
    graph.scope(name, || {
        let filter = graph.variable("filter", Shape::fixed(shape), filters.initializer.clone());
        (filter, filters.bias.then(|| graph.variable("bias", [Extent::Const(count)], zeros())))
    })
}

#[track_caller]
fn with_bias<'g>(value: Expr<'g>, bias: Option<Expr<'g>>, name: &str) -> Expr<'g> {
    match bias {
        Some(bias) => (value + bias).named(name),
        None => value.named(name),
    }
}
