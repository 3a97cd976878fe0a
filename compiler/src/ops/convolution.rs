//! What the forms of convolution share.
//!
//! With an image `x` `[B, S.., groups·I]`, a filter `w` `[K.., I, groups·J]` and features `y` `[B, O.., groups·J]`, all
//! of them are derivatives of one sum,
//!
//! ```text
//! Σ x[b, o·stride + k·dilation - low, g·I + i] · w[k, i, g·J + j] · y[b, o, g·J + j]
//! ```
//!
//! over everything that lies within the image: `conv` is that without `y`, for every element of `y`; `conv_transpose`
//! without `x`, and `conv_filter_gradient` without `w`. So the gradients of each are the two others. Padding is not
//! theirs, but an op of its own.

use ndarray::Dimension as _;

use super::elementwise::{expect_dtype, expect_operands};
use crate::diagnostic::Diagnostic;
use crate::kernel::{self, Affine};
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, TensorType};

/// The attributes that all forms have: of an op, where windows are taken, and how channels are divided.
pub(super) struct Form<'a> {
    pub op: &'static str,
    /// Positions from one window to the next, per spatial axis.
    pub strides: &'a [usize],
    /// Positions from one element of a window to the next, per spatial axis.
    pub dilation: &'a [usize],
    /// Channels of the image are divided into so many groups, and so are those of the features; each group sees its own.
    pub groups: usize,
}

/// One of the three tensors of a convolution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Image,
    Filter,
    Features,
}

/// Fixed extents of a tensor of a convolution: those along spatial axes, and what comes behind them.
pub(super) struct Extents {
    /// Along spatial axes.
    pub space: Vec<usize>,
    /// Channels; of a filter, first those of the image that it sees, then those of the features.
    pub channels: Vec<usize>,
}

impl Form<'_> {
    /// Number of spatial axes.
    pub fn rank(&self) -> usize {
        self.strides.len()
    }

    /// The error that the operands do not fit, for this reason.
    pub fn refuse(&self, why: impl Into<String>) -> Diagnostic {
        Diagnostic::new("E0218", format!("`{}` {}", self.op, why.into()))
    }

    /// Checks attributes and the dtypes and ranks of two operands, of these roles; gives their extents.
    ///
    /// # Errors
    /// E0201, E0202, E0218.
    pub fn operands(&self, operands: &[TensorType], roles: [Role; 2]) -> Result<[Extents; 2], Diagnostic> {
        expect_operands(self.op, operands, 2)?;
        expect_dtype(self.op, &operands[0], DType::is_float, "a float dtype")?;
        if operands[0].dtype != operands[1].dtype {
            let [a, b] = [&operands[0], &operands[1]];
            return Err(self.refuse(format!("needs operands of one dtype, found {a} and {b}")));
        }
        let rank = self.rank();
        if rank == 0 || self.dilation.len() != rank || self.groups == 0 {
            return Err(self.refuse("has attributes that do not fit").help(
                "`strides` and `dilation` have one entry per spatial axis, and `groups` is at least 1",
            ));
        }
        if self.strides.iter().chain(self.dilation).any(|&step| step == 0 || step > Self::MAX_STEP) {
            return Err(
                self.refuse(format!("has strides or dilations that are not of 1 to {}", Self::MAX_STEP))
            );
        }
        let extents = |n: usize| self.extents(&operands[n], roles[n]);
        Ok([extents(0)?, extents(1)?])
    }

    /// The largest stride or dilation.
    const MAX_STEP: usize = 1 << 20;

    fn extents(&self, ty: &TensorType, role: Role) -> Result<Extents, Diagnostic> {
        let (name, first, form) = match role {
            Role::Image => ("an image", 1, "[batch, space.., channels]"),
            Role::Features => ("features", 1, "[batch, space.., channels]"),
            Role::Filter => ("a filter", 0, "[space.., channels in a group, channels of the result]"),
        };
        let refuse = || {
            self.refuse(format!("needs {name} of {} spatial axes, found {ty}", self.rank()))
                .help(format!("it is {form}, where only `batch` may depend on the batch size"))
        };
        if ty.rank() != self.rank() + 2 {
            return Err(refuse());
        }
        let extents: Option<Vec<usize>> = ty.shape.0[first..].iter().map(|e| e.as_const()).collect();
        let mut space = extents.ok_or_else(refuse)?;
        let channels = space.split_off(self.rank());
        if role == Role::Filter && space.contains(&0) {
            return Err(self.refuse(format!("needs a filter with an element, found {ty}")));
        }
        Ok(Extents { space, channels })
    }

    /// How many windows an image has along each spatial axis.
    ///
    /// # Errors
    /// E0218 if there is not one.
    pub fn windows(&self, image: &[usize], filter: &[usize]) -> Result<Vec<usize>, Diagnostic> {
        (0..self.rank())
            .map(|d| {
                let reach = self.reach(filter, d);
                match reach.and_then(|reach| image[d].checked_sub(reach)) {
                    Some(rest) => Ok(rest / self.strides[d] + 1),
                    None => Err(self
                        .refuse(format!("has windows that do not fit spatial axis {d}"))
                        .note(match reach {
                            Some(reach) => format!("a window covers {reach} of {} elements", image[d]),
                            None => "a window covers more than memory".to_owned(),
                        })
                        .help("`pad` the image, or use a smaller filter or dilation")),
                }
            })
            .collect()
    }

    /// Elements from the first of a window to its last one, both included.
    fn reach(&self, filter: &[usize], d: usize) -> Option<usize> {
        (filter[d] - 1).checked_mul(self.dilation[d])?.checked_add(1)
    }

    /// The extent of the smallest image that has so many windows; `None` if it is more than memory.
    pub fn covered(&self, windows: &[usize], filter: &[usize], d: usize) -> Option<usize> {
        match windows[d].checked_sub(1) {
            Some(last) => last.checked_mul(self.strides[d])?.checked_add(self.reach(filter, d)?),
            None => Some(0),
        }
    }

    /// Checks that channels of the image and of the features fit a filter's and the groups.
    ///
    /// # Errors
    /// E0218.
    pub fn check_channels(&self, image: usize, [inputs, outputs]: [usize; 2]) -> Result<(), Diagnostic> {
        if self.groups.checked_mul(inputs) != Some(image) {
            return Err(self
                .refuse(format!(
                    "finds {image} channels in the image, but a filter for {inputs} in each of {} groups",
                    self.groups
                ))
                .help("the last axis of the image is `groups` times the last but one of the filter"));
        }
        match outputs.is_multiple_of(self.groups) {
            true => Ok(()),
            false => {
                Err(self.refuse(format!("cannot divide {outputs} channels into {} groups", self.groups)))
            }
        }
    }

    /// The sums for every element of one of the three tensors, of this shape, from the two others in the order of [`Role`].
    pub fn sums(&self, of: Role, shapes: [&[usize]; 3], low: &[usize], operands: [&Tensor; 2]) -> Tensor {
        let shape = shapes[of as usize];
        let mut sums = vec![0.0; shape.iter().product()];
        let [a, b] = operands.map(|t| t.scalars().map(Scalar::as_f64).collect::<Vec<f64>>());
        self.each_product(shapes, low, &mut |[x, w, y]| match of {
            Role::Image => sums[x] += a[w] * b[y],
            Role::Filter => sums[w] += a[x] * b[y],
            Role::Features => sums[y] += a[x] * b[w],
        });
        Tensor::from_scalars(operands[0].dtype(), shape, sums.into_iter().map(Scalar::F64))
    }

    /// Calls `on` with the positions of the three factors of every term of the sum.
    fn each_product(&self, [x, w, y]: [&[usize]; 3], low: &[usize], on: &mut dyn FnMut([usize; 3])) {
        let rank = self.rank();
        let (inputs, features) = (w[rank], w[rank + 1]);
        let in_group = (features / self.groups).max(1);
        let position = |shape: &[usize], at: &[usize]| shape.iter().zip(at).fold(0, |p, (e, i)| p * e + i);
        for at in each_index(&y[..=rank]) {
            for k in each_index(&w[..rank]) {
                let place = |d: usize| {
                    (at[d + 1] * self.strides[d] + k[d] * self.dilation[d])
                        .checked_sub(low[d])
                        .filter(|&p| p < x[d + 1])
                };
                let Some(space) = (0..rank).map(place).collect::<Option<Vec<usize>>>() else { continue };
                let pixel = position(x, &[&[at[0]], space.as_slice(), &[0]].concat());
                let weight = position(w, &[k.as_slice(), &[0, 0]].concat());
                let feature = position(y, &[at.as_slice(), &[0]].concat());
                for output in 0..features {
                    let group = output / in_group;
                    for input in 0..inputs {
                        on([
                            pixel + group * inputs + input,
                            weight + input * features + output,
                            feature + output,
                        ]);
                    }
                }
            }
        }
    }

    /// Adds the axes of groups and of the channels in one to those of a kernel, and gives the group and the channel in it. One
    /// group has no axis.
    pub fn channel_axes(&self, axes: &mut Vec<kernel::Extent>, in_group: usize) -> [Affine; 2] {
        let mut add = |extent: usize| {
            axes.push(extent.into());
            Affine::axis(axes.len() - 1)
        };
        let group = if self.groups > 1 { add(self.groups) } else { Affine::constant(0) };
        [group, add(in_group)]
    }
}

/// Every index of a shape, in row-major order.
fn each_index(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    ndarray::indices(shape).into_iter().map(|at| at.as_array_view().to_vec())
}

/// A convolution to try the ops at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub strides: &'static [usize],
    pub dilation: &'static [usize],
    pub groups: usize,
    pub image: &'static [usize],
    pub filter: &'static [usize],
}

/// In one, two and three dimensions: odd sizes, strides above the window, dilation, groups, one channel to each group, one
/// pixel, elements of the image that no window covers, and no image.
#[rustfmt::skip]
pub(super) const SAMPLES: [Sample; 13] = [
    Sample { strides: &[1], dilation: &[1], groups: 1, image: &[1, 1, 1], filter: &[1, 1, 1] },
    Sample { strides: &[1], dilation: &[1], groups: 1, image: &[2, 9, 3], filter: &[3, 3, 5] },
    Sample { strides: &[3], dilation: &[1], groups: 1, image: &[1, 12, 2], filter: &[2, 2, 3] },
    Sample { strides: &[2], dilation: &[3], groups: 1, image: &[3, 11, 1], filter: &[3, 1, 4] },
    Sample { strides: &[4], dilation: &[2], groups: 2, image: &[1, 17, 4], filter: &[3, 2, 6] },
    Sample { strides: &[1, 1], dilation: &[1, 1], groups: 1, image: &[2, 5, 7, 3], filter: &[3, 3, 3, 17] },
    Sample { strides: &[2, 2], dilation: &[1, 1], groups: 1, image: &[2, 7, 8, 4], filter: &[3, 3, 4, 5] },
    Sample { strides: &[1, 2], dilation: &[2, 1], groups: 3, image: &[1, 6, 5, 6], filter: &[2, 3, 2, 3] },
    Sample { strides: &[1, 1], dilation: &[1, 1], groups: 17, image: &[1, 4, 4, 17], filter: &[3, 3, 1, 17] },
    Sample { strides: &[2, 1], dilation: &[1, 1], groups: 5, image: &[2, 5, 3, 5], filter: &[3, 2, 1, 10] },
    Sample { strides: &[1, 1], dilation: &[1, 1], groups: 1, image: &[3, 1, 1, 4], filter: &[1, 1, 4, 2] },
    Sample { strides: &[1, 1], dilation: &[1, 1], groups: 1, image: &[0, 3, 3, 2], filter: &[2, 2, 2, 3] },
    Sample { strides: &[1, 2, 1], dilation: &[1, 1, 2], groups: 1, image: &[1, 3, 4, 4, 2], filter: &[2, 2, 2, 2, 3] },
];

impl Sample {
    pub fn form(&self) -> Form<'static> {
        Form { op: "conv", strides: self.strides, dilation: self.dilation, groups: self.groups }
    }

    /// Spatial extents of the image.
    pub fn image_space(&self) -> &'static [usize] {
        &self.image[1..self.image.len() - 1]
    }

    /// Shape of the features.
    pub fn features(&self) -> Vec<usize> {
        let rank = self.strides.len();
        let windows = self.form().windows(self.image_space(), &self.filter[..rank]).expect("samples fit");
        [&self.image[..1], windows.as_slice(), &self.filter[rank + 1..]].concat()
    }
}
