use super::attributes::op_struct;
use super::convolution::{Form, Role, SAMPLES};
use super::sample::{Case, Sampler};
use super::{Conv, ConvTranspose, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::{self, Affine, FoldKind, FoldOp};
use crate::lower::{FoldSpec, LowerCx, accumulator};
use crate::tensor::Tensor;
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Gradient of `conv` by its filter: `out[k, i, g·J + j] = Σ x[b, o·stride + k·dilation, g·I + i] · y[b, o, g·J + j]` over `b` and `o`.
    ///
    /// - C1 `x`: float `[B, S.., groups·I]`; `y`: same dtype, `[B, O.., groups·J]`; the result: same dtype, `[K.., I, groups·J]`,
    ///   where K is `window`. Only B may depend on the batch size.
    /// - C2 as C2 of `conv`; `window` has one entry per spatial axis, at least 1.
    /// - C3 O is how many windows S has.
    /// - C4 one fused multiply-add per product, in order of b, then o; where the CPU level lacks it, two roundings.
    /// - Gradient: `d_x = conv_transpose(y, d_out)`, `d_y = conv(x, d_out)`.
    ///
    /// # Errors
    /// E0201, E0202 (C1), E0218 for operands of different dtype or if C1, C2 or C3 fails.
    ///
    /// Reference: TensorFlow `conv2d_backprop_filter`.
    ConvFilterGradient = "conv_filter_gradient" {
        /// Positions from one window to the next, per spatial axis.
        strides: Vec<usize>,
        /// Positions from one element of a window to the next, per spatial axis.
        dilation: Vec<usize>,
        /// Spatial extents of the filter.
        window: Vec<usize>,
        /// How many groups the channels are divided into.
        groups: usize = 1,
    }
}

impl ConvFilterGradient {
    fn form(&self) -> Form<'_> {
        Form { op: Self::NAME, strides: &self.strides, dilation: &self.dilation, groups: self.groups }
    }
}

impl OpDef for ConvFilterGradient {
    const NAME: &'static str = "conv_filter_gradient";
    const TRAITS: OpTraits = OpTraits { contraction: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        let form = self.form();
        let [x, y] = form.operands(operands, [Role::Image, Role::Features])?;
        if self.window.len() != form.rank() || self.window.contains(&0) {
            return Err(form.refuse("needs a `window` with one entry per spatial axis, at least 1"));
        }
        let (inputs, outputs) = (x.channels[0], y.channels[0]);
        if !inputs.is_multiple_of(self.groups) {
            return Err(form.refuse(format!("cannot divide {inputs} channels into {} groups", self.groups)));
        }
        form.check_channels(inputs, [inputs / self.groups, outputs])?;
        let windows = form.windows(&x.space, &self.window)?;
        if operands[0].shape.0[0] != operands[1].shape.0[0] || windows != y.space {
            return Err(form
                .refuse(format!("finds features of another convolution: {} beside {}", operands[1], operands[0]))
                .note(format!("the image has {windows:?} windows")));
        }
        let extents = self.window.iter().copied().chain([inputs / self.groups, outputs]);
        Ok(vec![operands[0].with_shape(Shape(extents.map(Extent::Const).collect()))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let [x, y] = [operands[0], operands[1]];
        let rank = self.strides.len();
        let w = [self.window.as_slice(), &[x.shape()[rank + 1] / self.groups, y.shape()[rank + 1]]].concat();
        let low = vec![0; rank];
        Ok(vec![self.form().sums(Role::Filter, [x.shape(), &w, y.shape()], &low, [x, y])])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (x, y, d) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let rank = self.strides.len();
        let ConvFilterGradient { strides, dilation, groups, .. } = self.clone();
        let of_image = ConvTranspose {
            strides: strides.clone(),
            dilation: dilation.clone(),
            groups,
            low: vec![0; rank],
            extents: x.shape().0[1..=rank].iter().filter_map(|e| e.as_const()).collect(),
        };
        let of_features = Conv { strides, dilation, groups };
        vec![Gradient::Value(cx.graph.add(of_image, &[y, d])), Gradient::Value(cx.graph.add(of_features, &[x, d]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (form, rank) = (self.form(), self.strides.len());
        let (to, dtype, filter, features) =
            (cx.result(0), cx.result_dtype(0), cx.result_shape(0), cx.operand_extents(1));
        let (inputs, outputs) = (filter[rank], filter[rank + 1] / self.groups);
        let mut axes = kernel::fixed(&filter[..=rank]);
        let [group, output] = form.channel_axes(&mut axes, outputs);
        let channel = |in_group: &Affine, size: usize| group.times(size as i64).plus(in_group);
        let first = axes.len();
        let place = |d: usize| {
            let window = Affine::axis(first + 1 + d).times(self.strides[d] as i64);
            window.plus(&Affine::axis(d).times(self.dilation[d] as i64))
        };
        let batch = || std::iter::once(Affine::axis(first));
        let x_index: Vec<Affine> =
            batch().chain((0..rank).map(place)).chain([channel(&Affine::axis(rank), inputs)]).collect();
        let y_index: Vec<Affine> = batch()
            .chain((0..rank).map(|d| Affine::axis(first + 1 + d)))
            .chain([channel(&output, outputs)])
            .collect();
        let index = (0..=rank).map(Affine::axis).chain([channel(&output, outputs)]).collect();
        let fold_axes = features[..=rank].to_vec();
        cx.fold_to(
            FoldSpec { axes, kind: FoldKind::Reduce, fold_axes, lanes: 1 },
            to,
            index,
            |cx, b| {
                let (x, y) = (cx.load(b, cx.operand(0), x_index), cx.load(b, cx.operand(1), y_index));
                vec![accumulator(FoldOp::Dot(x, y), dtype)]
            },
            |_, b| b.acc(0, false, dtype),
        );
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let case = |sample: &super::convolution::Sample| {
            let op = ConvFilterGradient {
                strides: sample.strides.to_vec(),
                dilation: sample.dilation.to_vec(),
                window: sample.filter[..sample.strides.len()].to_vec(),
                groups: sample.groups,
            };
            Case::smooth(op, vec![s.floats(sample.image, -1.0, 1.0), s.floats(&sample.features(), -1.0, 1.0)])
        };
        SAMPLES.iter().map(case).collect()
    }
}
