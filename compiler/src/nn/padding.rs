//! How far the windows of convolutions and poolings reach beyond what they walk over.

use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::ops;
use crate::types::Extent;

/// What is put around the spatial axes before windows walk over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As much as gives `ceil(extent / stride)` windows per axis, half of it on either side; what cannot be halved goes
    /// behind the last element, as in TensorFlow's `SAME`.
    Same,
    /// Nothing: only windows that lie within the operand.
    Valid,
    /// So many elements before the first and behind the last one, per spatial axis.
    Explicit(Vec<(usize, usize)>),
}

impl Padding {
    /// The same number of elements on both sides of `axes` axes.
    pub fn around(axes: usize, elements: usize) -> Padding {
        Padding::Explicit(vec![(elements, elements); axes])
    }

    /// How many elements are put before the first and behind the last one, per spatial axis. The slices have an entry per
    /// spatial axis: extents of what is padded; extents of the windows, in elements; elements from one window to the next;
    /// elements from one element of a window to the next.
    ///
    /// # Errors
    /// E0216 if explicit padding has another number of entries.
    pub fn sides(
        &self,
        extents: &[usize],
        windows: &[usize],
        strides: &[usize],
        dilation: &[usize],
    ) -> Result<Vec<(usize, usize)>, Diagnostic> {
        match self {
            Padding::Valid => Ok(vec![(0, 0); extents.len()]),
            Padding::Explicit(sides) if sides.len() == extents.len() => Ok(sides.clone()),
            Padding::Explicit(sides) => {
                let message = format!("explicit padding of {} axes does not fit", sides.len());
                Err(Diagnostic::new("E0216", message)
                    .help(format!("give `(before, behind)` for each of the {} spatial axes", extents.len())))
            }
            Padding::Same => Ok((0..extents.len())
                .map(|d| {
                    let covered = extents[d].div_ceil(strides[d].max(1)).saturating_sub(1);
                    let reach = reach(windows[d], dilation[d]);
                    let all =
                        covered.saturating_mul(strides[d]).saturating_add(reach).saturating_sub(extents[d]);
                    let all = if extents[d] == 0 { 0 } else { all };
                    (all / 2, all.div_ceil(2))
                })
                .collect()),
        }
    }
}

/// Elements from the first one of a window to the last one, both included.
pub(super) fn reach(window: usize, dilation: usize) -> usize {
    match window.checked_sub(1) {
        Some(steps) => steps.saturating_mul(dilation).saturating_add(1),
        None => 0,
    }
}

/// The extents of the spatial axes of `x` `[batch, spatial.., channels]`, which do not depend on the batch size.
///
/// # Errors
/// E0214 if there are none, or one does.
pub(super) fn spatial_extents(x: Expr<'_>) -> Result<Vec<usize>, Diagnostic> {
    let shape = x.shape().0;
    let inner = shape.get(1..shape.len().saturating_sub(1)).filter(|inner| !inner.is_empty());
    let extents = inner.and_then(|inner| inner.iter().map(|e| Extent::as_const(*e)).collect());
    extents.ok_or_else(|| {
        Diagnostic::new("E0214", format!("{} has no spatial axes", x.ty())).help(
            "give the value the axes `[batch, spatial.., channels]`, only the first of which may depend on N",
        )
    })
}

/// `x` `[batch, spatial.., channels]` with `value` around its spatial axes.
#[track_caller]
pub(super) fn pad_spatial<'g>(x: Expr<'g>, sides: &[(usize, usize)], value: f64) -> Expr<'g> {
    if sides.iter().all(|side| *side == (0, 0)) {
        return x;
    }
    let around = |of: fn(&(usize, usize)) -> usize| {
        [0].into_iter().chain(sides.iter().map(of)).chain([0]).collect::<Vec<_>>()
    };
    let (low, high) = (around(|side| side.0), around(|side| side.1));
    x.graph().add(ops::Pad { interior: vec![0; low.len()], low, high, value }, &[x])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(extent: usize, window: usize, stride: usize, dilation: usize) -> (usize, usize) {
        Padding::Same.sides(&[extent], &[window], &[stride], &[dilation]).unwrap()[0]
    }

    #[test]
    fn same_gives_a_window_per_stride() {
        for extent in 1..20 {
            for (window, stride, dilation) in
                [(1, 1, 1), (3, 1, 1), (3, 2, 1), (2, 2, 1), (3, 1, 2), (1, 3, 1), (5, 3, 2)]
            {
                let (low, high) = same(extent, window, stride, dilation);
                let windows = (extent + low + high - reach(window, dilation)) / stride + 1;
                assert_eq!(windows, extent.div_ceil(stride), "{extent}, {window}, {stride}, {dilation}");
                assert!(high == low || high == low + 1);
            }
        }
    }

    /// Values of TensorFlow's documentation of padding.
    #[test]
    fn what_cannot_be_halved_goes_behind() {
        assert_eq!(same(28, 5, 1, 1), (2, 2));
        assert_eq!(same(224, 3, 2, 1), (0, 1));
        assert_eq!(same(13, 6, 5, 1), (1, 2));
        assert_eq!(same(0, 3, 2, 1), (0, 0));
    }

    #[test]
    fn explicit_padding_is_for_every_axis() {
        let error = Padding::around(1, 2).sides(&[3, 3], &[1, 1], &[1, 1], &[1, 1]).unwrap_err();
        assert_eq!(error.code, "E0216");
        assert_eq!(Padding::around(1, 2).sides(&[3], &[1], &[1], &[1]).unwrap(), [(2, 2)]);
    }
}
