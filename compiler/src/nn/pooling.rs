//! Poolings: the largest element or the mean of every window. Values are `[batch, spatial.., channels]`, with any number of
//! spatial axes.

use std::panic::Location;

use super::padding::{Padding, pad_spatial, reach, spatial_extents};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::ops::ReduceMax;
use crate::tensor::Tensor;

/// The windows of a pooling. Lists have an entry per spatial axis.
///
/// ```
/// # use bessemer_compiler::nn::{Padding, Pool};
/// let halved = Pool::new(&[2, 2]);
/// let stem = Pool::new(&[3, 3]).strides(&[2, 2]).padding(Padding::around(2, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    window: Vec<usize>,
    strides: Vec<usize>,
    dilation: Vec<usize>,
    padding: Padding,
    ceil: bool,
    count_padding: bool,
}

impl Pool {
    /// Windows of these extents side by side, none of which reaches beyond the value.
    pub fn new(window: &[usize]) -> Pool {
        Pool {
            window: window.to_vec(),
            strides: window.to_vec(),
            dilation: vec![1; window.len()],
            padding: Padding::Valid,
            ceil: false,
            count_padding: false,
        }
    }

    /// Elements from one window to the next; those of a window if not given.
    #[must_use]
    pub fn strides(self, strides: &[usize]) -> Pool {
        Pool { strides: strides.to_vec(), ..self }
    }

    /// Elements from one element of a window to the next; 1 if not given.
    #[must_use]
    pub fn dilation(self, dilation: &[usize]) -> Pool {
        Pool { dilation: dilation.to_vec(), ..self }
    }

    /// What is put around the value; nothing if not given.
    #[must_use]
    pub fn padding(self, padding: Padding) -> Pool {
        Pool { padding, ..self }
    }

    /// The last window may reach beyond the padded value, if it does not begin behind the value itself: PyTorch's `ceil_mode`.
    #[must_use]
    pub fn ceil(self) -> Pool {
        Pool { ceil: true, ..self }
    }

    /// Padding counts as zeros in a mean: PyTorch's `count_include_pad`. What a window reaches beyond that never counts.
    #[must_use]
    pub fn count_padding(self) -> Pool {
        Pool { count_padding: true, ..self }
    }

    /// How the windows lie on values of a shape.
    ///
    /// # Errors
    /// E0214 without spatial axes, E0216 for padding and E0219 for lists that do not fit them.
    fn place(&self, x: Expr<'_>) -> Result<Placed, Diagnostic> {
        let extents = spatial_extents(x)?;
        let lists = [("window", &self.window), ("strides", &self.strides), ("dilation", &self.dilation)];
        let wrong = lists.iter().find(|(_, list)| list.len() != extents.len() || list.contains(&0));
        if let Some((name, list)) = wrong {
            let message = format!("the {name} {list:?} of a pooling does not fit {}", x.ty());
            return Err(Diagnostic::new("E0219", message)
                .help(format!("give a number from 1 on for each of the {} spatial axes", extents.len())));
        }
        let padding = self.padding.sides(&extents, &self.window, &self.strides, &self.dilation)?;
        let mut sides = padding.clone();
        for (d, side) in sides.iter_mut().enumerate().filter(|_| self.ceil) {
            let (reach, stride) = (reach(self.window[d], self.dilation[d]), self.strides[d]);
            let padded = side.0 + extents[d] + side.1;
            let steps = padded.saturating_sub(reach).div_ceil(stride);
            let steps = if steps * stride >= side.0 + extents[d] { steps.saturating_sub(1) } else { steps };
            side.1 += (steps * stride + reach).saturating_sub(padded);
        }
        Ok(Placed { extents, padding, sides })
    }

    /// Every window of `x` on axes behind all others; elements outside are `value`.
    #[track_caller]
    fn windows<'g>(&self, x: Expr<'g>, placed: &Placed, value: f64) -> Expr<'g> {
        let axes: Vec<usize> = (1..=self.window.len()).collect();
        pad_spatial(x, &placed.sides, value).windows(&axes, &self.window, &self.strides, &self.dilation)
    }

    /// How many elements of the o-th window count on spatial axis `d`.
    fn counted(&self, placed: &Placed, d: usize, o: usize) -> usize {
        let (low, high) = placed.padding[d];
        let (before, behind) = if self.count_padding { (0, high) } else { (low, 0) };
        let range = before..low + placed.extents[d] + behind;
        (0..self.window[d]).filter(|k| range.contains(&(o * self.strides[d] + k * self.dilation[d]))).count()
    }
}

/// Where windows lie, per spatial axis.
struct Placed {
    /// Extents of the value.
    extents: Vec<usize>,
    /// Elements of padding before and behind.
    padding: Vec<(usize, usize)>,
    /// The same, with what windows reach beyond the padding.
    sides: Vec<(usize, usize)>,
}

/// The largest element of every window, per channel. Of several largest elements the first one, in row-major order, gets
/// the gradient, as in PyTorch and TensorFlow: the backward pass keeps one number per window for that, and reads neither `x`
/// nor the result. A window that holds nothing but padding gives -∞.
#[track_caller]
pub fn max_pool<'g>(x: Expr<'g>, pool: &Pool) -> Expr<'g> {
    if x.is_poisoned() {
        return x;
    }
    match pool.place(x) {
        Ok(placed) => largest(pool.windows(x, &placed, f64::NEG_INFINITY), pool.window.len(), x.rank()),
        Err(error) => x.graph().poison(error.or_at(&x.graph().here(Location::caller()))),
    }
}

/// The mean of every window, per channel, over the elements that are not padding; see [`Pool::count_padding`].
#[track_caller]
pub fn avg_pool<'g>(x: Expr<'g>, pool: &Pool) -> Expr<'g> {
    if x.is_poisoned() {
        return x;
    }
    let placed = match pool.place(x) {
        Ok(placed) => placed,
        Err(error) => return x.graph().poison(error.or_at(&x.graph().here(Location::caller()))),
    };
    let (spatial, rank) = (pool.window.len(), x.rank());
    let windows = pool.windows(x, &placed, 0.0);
    if windows.is_poisoned() {
        return windows;
    }
    let sum = windows.reduce_sum(&(rank..rank + spatial).collect::<Vec<_>>(), false);
    let shape = sum.shape();
    (0..spatial).fold(sum, |mean, d| {
        let windows = shape.0[d + 1].as_const().unwrap_or(0);
        let counts: Vec<f32> = (0..windows).map(|o| pool.counted(&placed, d, o).max(1) as f32).collect();
        match counts.first() {
            Some(&count) if counts.iter().all(|c| *c == count) => mean / f64::from(count),
            _ => {
                let mut along = vec![1; rank];
                along[d + 1] = windows;
                mean / x.graph().constant(Tensor::from_vec(&along, counts)).cast(x.dtype())
            }
        }
    })
}

/// The largest element of every channel, `[batch, channels]`; the first one of several gets the gradient.
#[track_caller]
pub fn global_max_pool(x: Expr<'_>) -> Expr<'_> {
    let Some(axes) = spatial_axes(x) else { return x };
    x.graph().add(ReduceMax { axes, keep: false, first: true }, &[x])
}

/// The mean of every channel, `[batch, channels]`.
#[track_caller]
pub fn global_avg_pool(x: Expr<'_>) -> Expr<'_> {
    let Some(axes) = spatial_axes(x) else { return x };
    x.reduce_mean(&axes, false)
}

/// The axes between the first and the last one; `None` if the value is poisoned or has no last axis.
#[track_caller]
fn spatial_axes(x: Expr<'_>) -> Option<Vec<usize>> {
    Some((1..x.axis(-1)?).collect())
}

/// The largest over the last axes.
#[track_caller]
fn largest(windows: Expr<'_>, spatial: usize, rank: usize) -> Expr<'_> {
    windows
        .graph()
        .add(ReduceMax { axes: (rank..rank + spatial).collect(), keep: false, first: true }, &[windows])
}
