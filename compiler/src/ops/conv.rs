use super::attributes::op_struct;
use super::convolution::{Form, Role, SAMPLES};
use super::sample::{Case, Sampler};
use super::scaling::with_scaled;
use super::{ConvFilterGradient, ConvTranspose, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::{self, Affine};
use crate::lower::LowerCx;
use crate::tensor::Tensor;
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Convolution (without turning the filter):
    /// `out[b, o, g·J + j] = Σ x[b, o·stride + k·dilation, g·I + i] · w[k, i, g·J + j]` over `k` and `i`, with one `o`
    /// and `k` per spatial axis and `g` below `groups`.
    ///
    /// - C1 `x`: float `[B, S.., groups·I]`, any number of spatial axes `S`; `w`: same dtype, `[K.., I, groups·J]`; the
    ///   result: same dtype, `[B, O.., groups·J]` with `O = (S - (K - 1)·dilation - 1) / strides + 1`, rounded down.
    ///   Only B may depend on the batch size.
    /// - C2 `strides` and `dilation` have one entry per spatial axis, at least 1; `groups` is at least 1.
    /// - C3 a window fits the image: `S ≥ (K - 1)·dilation + 1`, and K is at least 1. There is no padding: use `pad`.
    /// - C4 one fused multiply-add per product, in order of k, then i; where the CPU level lacks it, two roundings.
    /// - As many groups as channels are a depthwise convolution.
    /// - Gradient: `d_x = conv_transpose(d_out, w)`, `d_w = conv_filter_gradient(x, d_out)`.
    ///
    /// # Errors
    /// E0201, E0202 (C1), E0218 for operands of different dtype or if C1, C2 or C3 fails.
    ///
    /// Reference: StableHLO `convolution` with features last.
    Conv = "conv" {
        /// Positions from one window to the next, per spatial axis.
        strides: Vec<usize>,
        /// Positions from one element of a window to the next, per spatial axis.
        dilation: Vec<usize>,
        /// How many groups the channels are divided into.
        groups: usize = 1,
    }
}

impl Conv {
    fn form(&self) -> Form<'_> {
        Form { op: Self::NAME, strides: &self.strides, dilation: &self.dilation, groups: self.groups }
    }
}

impl OpDef for Conv {
    const NAME: &'static str = "conv";
    const TRAITS: OpTraits = OpTraits { contraction: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "fold-scales", law: "conv x w * s = conv x (w * s) where s is of channels", apply: scaled }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        let form = self.form();
        let [x, w] = form.operands(operands, [Role::Image, Role::Filter])?;
        form.check_channels(x.channels[0], [w.channels[0], w.channels[1]])?;
        let windows = form.windows(&x.space, &w.space)?;
        let mut extents = vec![operands[0].shape.0[0]];
        extents.extend(windows.into_iter().chain([w.channels[1]]).map(Extent::Const));
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let [x, w] = [operands[0], operands[1]];
        let (form, rank) = (self.form(), self.strides.len());
        let windows = form.windows(&x.shape()[1..=rank], &w.shape()[..rank]).expect("C3 was checked");
        let y = [&x.shape()[..1], windows.as_slice(), &w.shape()[rank + 1..]].concat();
        let low = vec![0; rank];
        Ok(vec![form.sums(Role::Features, [x.shape(), w.shape(), &y], &low, [x, w])])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (x, w, d) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let rank = self.strides.len();
        let fixed = |extents: &[Extent]| extents.iter().filter_map(|e| e.as_const()).collect();
        let Conv { strides, dilation, groups } = self.clone();
        let of_image = ConvTranspose {
            strides: strides.clone(),
            dilation: dilation.clone(),
            groups,
            low: vec![0; rank],
            extents: fixed(&x.shape().0[1..=rank]),
        };
        let of_filter = ConvFilterGradient { strides, dilation, groups, window: fixed(&w.shape().0[..rank]) };
        vec![Gradient::Value(cx.graph.add(of_image, &[d, w])), Gradient::Value(cx.graph.add(of_filter, &[x, d]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (form, rank) = (self.form(), self.strides.len());
        let (to, out, filter) = (cx.result(0), cx.result_extents(0), cx.operand_shape(1));
        let (inputs, outputs) = (filter[rank], filter[rank + 1] / self.groups);
        let mut axes = out[..=rank].to_vec();
        let [group, output] = form.channel_axes(&mut axes, outputs);
        let channel = |in_group: &Affine, size: usize| group.times(size as i64).plus(in_group);
        let first = axes.len();
        let (k, input) = (|d: usize| Affine::axis(first + d), Affine::axis(first + rank));
        let place = |d: usize| {
            let window = Affine::axis(d + 1).times(self.strides[d] as i64);
            window.plus(&k(d).times(self.dilation[d] as i64))
        };
        let batch = || std::iter::once(Affine::axis(0));
        let x_index: Vec<Affine> = batch().chain((0..rank).map(place)).chain([channel(&input, inputs)]).collect();
        let w_index: Vec<Affine> =
            (0..rank).map(k).chain([input.clone(), channel(&output, outputs)]).collect();
        let index = (0..=rank).map(Affine::axis).chain([channel(&output, outputs)]).collect();
        let fold_axes = kernel::fixed(&filter[..=rank]);
        let operands = [(cx.operand(0), x_index), (cx.operand(1), w_index)];
        cx.contract([axes, fold_axes], operands, (to, index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let case = |sample: &super::convolution::Sample| {
            let op = Conv {
                strides: sample.strides.to_vec(),
                dilation: sample.dilation.to_vec(),
                groups: sample.groups,
            };
            Case::smooth(op, vec![s.floats(sample.image, -1.0, 1.0), s.floats(sample.filter, -1.0, 1.0)])
        };
        SAMPLES.iter().map(case).collect()
    }
}

fn scaled<'g>(op: &Conv, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    with_scaled(op, cx, 1)
}
