use super::attributes::op_struct;
use super::convolution::{Form, Role, SAMPLES};
use super::sample::{Case, Sampler};
use super::scaling::with_scaled;
use super::{
    Conv, ConvFilterGradient, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Pad, RewriteCx, Rule, VjpCx,
};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::{self, Affine, BufferId};
use crate::lower::{LowerCx, pad};
use crate::tensor::{Scalar, Tensor};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// The transpose of `conv`, which is its gradient by the image:
    /// `out[b, p, g·I + i] = Σ y[b, o, g·J + j] · w[k, i, g·J + j]` over `k`, `j` and the `o` with
    /// `o·stride + k·dilation - low = p`.
    ///
    /// - C1 `y`: float `[B, O.., groups·J]`; `w`: same dtype, `[K.., I, groups·J]`; the result: same dtype,
    ///   `[B, P.., groups·I]`, where P is `extents`. Only B may depend on the batch size.
    /// - C2 as C2 of `conv`; `low` and `extents` have one entry per spatial axis.
    /// - C3 the result starts within what the windows cover: `low ≤ (O - 1)·stride + (K - 1)·dilation + 1`. Where no
    ///   window is, it is 0.
    /// - C4 one fused multiply-add per product, in order of k, then j; where the CPU level lacks it, two roundings. Beyond the
    ///   edge of `y`, products may be made with zeros, which an infinite weight makes NaN.
    /// - Gradient: with `d_out` put where it stands among what the windows cover, `d_y` is its `conv` with `w`, and `d_w` its
    ///   `conv_filter_gradient` with `y`.
    ///
    /// # Errors
    /// E0201, E0202 (C1), E0218 for operands of different dtype or if C1, C2 or C3 fails.
    ///
    /// Reference: TensorFlow `conv2d_transpose`.
    ConvTranspose = "conv_transpose" {
        /// Positions from one window to the next, per spatial axis.
        strides: Vec<usize>,
        /// Positions from one element of a window to the next, per spatial axis.
        dilation: Vec<usize>,
        /// Positions that are left out at the start, per spatial axis.
        low: Vec<usize>,
        /// Spatial extents of the result.
        extents: Vec<usize>,
        /// How many groups the channels are divided into.
        groups: usize = 1,
    }
}

/// The most kernels that one op is lowered to. There is one for each remainder of a position by the strides; with more
/// remainders, the features are spread by the strides instead.
const MAX_PHASES: usize = 64;

impl ConvTranspose {
    fn form(&self) -> Form<'_> {
        Form { op: Self::NAME, strides: &self.strides, dilation: &self.dilation, groups: self.groups }
    }

    /// The values where they stand among all that windows cover, with zeros around; `None` if nothing is covered.
    fn embedded<'g>(&self, values: Expr<'g>, features: &Shape, filter: &Shape) -> Option<Expr<'g>> {
        let rank = self.strides.len();
        let fixed = |extents: &[Extent]| extents.iter().filter_map(|e| e.as_const()).collect::<Vec<_>>();
        let (windows, filter) = (fixed(&features.0[1..=rank]), fixed(&filter.0[..rank]));
        let (mut low, mut high, mut kept) = (vec![0; rank + 2], vec![0; rank + 2], values);
        for d in 0..rank {
            let covered = self.form().covered(&windows, &filter, d).filter(|&extent| extent > 0)?;
            let length = self.extents[d].min(covered - self.low[d]);
            kept = kept.slice_fixed(d + 1, 0, length);
            low[d + 1] = self.low[d];
            high[d + 1] = covered - self.low[d] - length;
        }
        Some(values.graph().add(Pad { low, high, interior: vec![0; rank + 2], value: 0.0 }, &[kept]))
    }

    /// The positions of a spatial axis in parts that see the same elements of windows.
    fn phases(&self, stride: usize, d: usize, features: usize, window: usize) -> Vec<Phase> {
        let (dilation, extent) = (self.dilation[d], self.extents[d]);
        (0..stride.min(extent))
            .map(|first| {
                let count = (extent - first).div_ceil(stride);
                let start = first + self.low[d];
                // Elements k with k · dilation = start, modulo the stride: k = tap + n · step.
                let step = stride / gcd(stride, dilation);
                let tap = (0..step.min(window)).find(|k| (k * dilation) % stride == start % stride);
                let Some(tap) = tap else { return Phase { first, count, ..Phase::default() } };
                let back = dilation * step / stride;
                let offset = (start as i64 - (tap * dilation) as i64) / stride as i64;
                // Of them, those that some position sees within the features.
                let number = |n: i64| usize::try_from(n).unwrap_or(0);
                let from = number(offset - (features as i64 - 1)).div_ceil(back);
                let to = number(offset + count as i64).div_ceil(back).min((window - tap).div_ceil(step));
                Phase {
                    first,
                    count,
                    tap: tap + step * from,
                    step,
                    taps: to.saturating_sub(from),
                    offset: offset - (back * from) as i64,
                    back: back as i64,
                }
            })
            .collect()
    }
}

/// Of several groups, channels of the result are spread over two axes of the filter.
fn scaled<'g>(op: &ConvTranspose, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    if op.groups == 1 { with_scaled(op, cx, 2) } else { None }
}

/// Positions `first + n · stride` of a spatial axis, for `n < count`. Of a window they see the elements
/// `tap + j · step`, for `j < taps`; each at the features `n + offset - j · back`.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    first: usize,
    count: usize,
    tap: usize,
    step: usize,
    taps: usize,
    offset: i64,
    back: i64,
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Every choice of one item of each list.
fn combinations<T: Copy>(lists: &[Vec<T>]) -> Vec<Vec<T>> {
    lists.iter().fold(vec![vec![]], |all, list| {
        all.iter().flat_map(|chosen| list.iter().map(|&item| [chosen.as_slice(), &[item]].concat())).collect()
    })
}

impl OpDef for ConvTranspose {
    const NAME: &'static str = "conv_transpose";
    const TRAITS: OpTraits = OpTraits { contraction: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "fold-scales", law: "conv_transpose y w * s = conv_transpose y (w * s) where s is of channels", apply: scaled }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        let form = self.form();
        let [y, w] = form.operands(operands, [Role::Features, Role::Filter])?;
        if [self.low.len(), self.extents.len()] != [form.rank(); 2] {
            return Err(form.refuse("needs `low` and `extents` with one entry per spatial axis"));
        }
        let [inputs, outputs] = [w.channels[0], w.channels[1]];
        if y.channels[0] != outputs {
            return Err(form.refuse(format!(
                "finds {} channels in {}, but a filter for {outputs}",
                y.channels[0], operands[0]
            )));
        }
        let image = inputs.checked_mul(self.groups).ok_or_else(|| form.refuse("has too many channels"))?;
        form.check_channels(image, [inputs, outputs])?;
        for d in 0..form.rank() {
            match form.covered(&y.space, &w.space, d) {
                Some(covered) if self.low[d] <= covered && covered < 1 << 40 => {}
                covered => {
                    return Err(form
                        .refuse(format!("leaves out {} positions of spatial axis {d}", self.low[d]))
                        .note(covered.map_or("it covers more than memory".into(), |c| format!("it covers {c}"))));
                }
            }
        }
        let mut extents = vec![operands[0].shape.0[0]];
        extents.extend(self.extents.iter().copied().chain([image]).map(Extent::Const));
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let [y, w] = [operands[0], operands[1]];
        let channels = w.shape()[self.strides.len()] * self.groups;
        let x = [&y.shape()[..1], self.extents.as_slice(), &[channels]].concat();
        Ok(vec![self.form().sums(Role::Image, [&x, w.shape(), y.shape()], &self.low, [w, y])])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (y, w) = (cx.operand(0), cx.operand(1));
        let Some(d) = self.embedded(cx.cotangent(), &y.shape(), &w.shape()) else {
            return vec![Gradient::Zero, Gradient::Zero];
        };
        let ConvTranspose { strides, dilation, groups, .. } = self.clone();
        let window = w.shape().0[..strides.len()].iter().filter_map(|e| e.as_const()).collect();
        let of_features = Conv { strides: strides.clone(), dilation: dilation.clone(), groups };
        let of_filter = ConvFilterGradient { strides, dilation, window, groups };
        vec![Gradient::Value(cx.graph.add(of_features, &[d, w])), Gradient::Value(cx.graph.add(of_filter, &[d, y]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        if self.extents.contains(&0) {
            let zero = Scalar::zero(cx.result_dtype(0));
            return cx.map(|_, b| b.constant(zero));
        }
        let rank = self.strides.len();
        let (features, filter) = (cx.operand_extents(0), cx.operand_shape(1));
        let count = |strides: &[usize]| {
            let phases = strides.iter().zip(&self.extents).map(|(&s, &e)| s.min(e));
            phases.fold(1usize, usize::saturating_mul)
        };
        // The features as they stand, or spread, so that every position sees every element of a window.
        let strides = if count(&self.strides) <= MAX_PHASES { self.strides.clone() } else { vec![1; rank] };
        let apart: Vec<usize> = (0..rank).map(|d| self.strides[d] / strides[d]).collect();
        let places: Vec<usize> = features[1..=rank].iter().map(|&extent| cx.fixed(extent)).collect();
        let spread = |d: usize| match places[d] {
            0 => 0,
            n => (n - 1) * apart[d] + 1,
        };
        let phases: Vec<Vec<Phase>> =
            (0..rank).map(|d| self.phases(strides[d], d, spread(d), filter[d])).collect();
        let (mut low, mut high, mut interior) = (vec![0; rank + 2], vec![0; rank + 2], vec![0; rank + 2]);
        for (d, phases) in phases.iter().enumerate() {
            interior[d + 1] = apart[d] - 1;
            for phase in phases.iter().filter(|p| p.taps > 0) {
                let first = phase.offset - phase.back * (phase.taps as i64 - 1);
                let last = phase.offset + phase.count as i64 - 1;
                let above = |n: i64| usize::try_from(n).unwrap_or(0);
                low[d + 1] = low[d + 1].max(above(-first));
                high[d + 1] = high[d + 1].max(above(last - (spread(d) as i64 - 1)));
            }
        }
        let mut y = cx.operand(0);
        if low.iter().chain(&high).chain(&interior).any(|&n| n > 0) {
            let mut padded = features.clone();
            (0..rank).for_each(|d| padded[d + 1] = (low[d + 1] + spread(d) + high[d + 1]).into());
            let to = cx.temp(cx.operand_dtype(0), padded);
            let zero = Scalar::zero(cx.operand_dtype(0));
            pad::pad(cx, (y, features), [&low, &high, &interior], zero, to);
            y = to;
        }
        for phase in combinations(&phases) {
            self.lower_phase(cx, y, &low, &strides, &phase);
        }
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut case = |sample: &super::convolution::Sample, low: &[usize], extents: &[usize]| {
            let op = ConvTranspose {
                strides: sample.strides.to_vec(),
                dilation: sample.dilation.to_vec(),
                low: low.to_vec(),
                extents: extents.to_vec(),
                groups: sample.groups,
            };
            let operands = vec![s.floats(&sample.features(), -1.0, 1.0), s.floats(sample.filter, -1.0, 1.0)];
            cases.push(Case::smooth(op, operands));
        };
        for sample in &SAMPLES {
            let image = sample.image_space();
            case(sample, &vec![0; image.len()], image);
            // Without the borders, and beyond the end of what is covered.
            let inner: Vec<usize> = image.iter().map(|&e| e.saturating_sub(2)).collect();
            case(sample, &vec![1; image.len()], &inner);
            case(sample, &vec![1; image.len()], &image.iter().map(|&e| e + 3).collect::<Vec<_>>());
        }
        // More remainders by the strides than kernels are made.
        let far = super::convolution::Sample {
            strides: &[9, 8],
            dilation: &[2, 3],
            groups: 1,
            image: &[1, 21, 19, 2],
            filter: &[2, 3, 2, 3],
        };
        case(&far, &[0, 2], &[21, 16]);
        cases
    }
}

impl ConvTranspose {
    /// Adds the kernel for some positions, from features `y` that have `low` zeros before them.
    fn lower_phase(&self, cx: &mut LowerCx<'_>, y: BufferId, low: &[usize], strides: &[usize], phases: &[Phase]) {
        let (form, rank) = (self.form(), strides.len());
        let (to, dtype, filter) = (cx.result(0), cx.result_dtype(0), cx.operand_shape(1));
        let (inputs, outputs) = (filter[rank], filter[rank + 1] / self.groups);
        let mut axes = vec![cx.result_extents(0)[0]];
        axes.extend(phases.iter().map(|p| kernel::Extent::from(p.count)));
        let [group, input] = form.channel_axes(&mut axes, inputs);
        let channel = |in_group: &Affine, size: usize| group.times(size as i64).plus(in_group);
        let first = axes.len();
        let batch = || std::iter::once(Affine::axis(0));
        let place = |d: usize| Affine::axis(d + 1).times(strides[d] as i64).plus_constant(phases[d].first as i64);
        let index = batch().chain((0..rank).map(place)).chain([channel(&input, inputs)]).collect();
        if phases.iter().any(|p| p.taps == 0) {
            cx.map_to(axes, to, index, |_, b| b.constant(Scalar::zero(dtype)));
            return;
        }
        let (tap, output) = (|d: usize| Affine::axis(first + d), Affine::axis(first + rank));
        let seen = |d: usize| {
            let phase = &phases[d];
            Affine::axis(d + 1)
                .plus(&tap(d).times(-phase.back))
                .plus_constant(phase.offset + low[d + 1] as i64)
        };
        let element = |d: usize| tap(d).times(phases[d].step as i64).plus_constant(phases[d].tap as i64);
        let features = channel(&output, outputs);
        let y_index: Vec<Affine> = batch().chain((0..rank).map(seen)).chain([features.clone()]).collect();
        let w_index: Vec<Affine> = (0..rank).map(element).chain([input.clone(), features]).collect();
        let fold_axes = phases.iter().map(|p| p.taps).chain([outputs]).map(kernel::Extent::from).collect();
        cx.contract([axes, fold_axes], [(y, y_index), (cx.operand(1), w_index)], (to, index));
    }
}
