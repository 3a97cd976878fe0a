use super::attributes::op_struct;
use super::convolution::{Form, Role, SAMPLES};
use super::sample::{Case, Sampler};
use super::{Conv, ConvTranspose, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::{Affine, BufferId, Extent as KernelExtent, FoldKind, FoldOp, fixed, most};
use crate::lower::{FoldSpec, LowerCx, accumulator, identity};
use crate::tensor::Tensor;
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Gradient of `conv` by its filter:
    /// `out[k, i, g·J + j] = Σ x[b, o·stride + k·dilation, g·I + i] · y[b, o, g·J + j]` over `b` and `o`.
    ///
    /// - C1 `x`: float `[B, S.., groups·I]`; `y`: same dtype, `[B, O.., groups·J]`; the result: same dtype, `[K.., I, groups·J]`,
    ///   where K is `window`. Only B may depend on the batch size.
    /// - C2 as C2 of `conv`; `window` has one entry per spatial axis, at least 1.
    /// - C3 O is how many windows S has.
    /// - C4 one fused multiply-add per product, in order of b, then o; where the CPU level lacks it, two roundings. Of
    ///   many images, the sums of some at a time are added up, in order.
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
        let (to, dtype, shape) = (cx.result(0), cx.result_dtype(0), cx.result_shape(0));
        let batch = cx.operand_extents(0)[0];
        let (images, block) = (batch.most(), self.images_in_part(cx));
        // Parts of a range of batch sizes would be others for every size.
        if block >= images || batch.each().is_some() {
            let whole = Part { first: 0, count: 1, images: batch };
            return self.lower_part(cx, whole, to, identity(shape.len()));
        }
        let (whole, rest) = (images / block, images % block);
        let parts = cx.temp(dtype, [&[images.div_ceil(block)], shape.as_slice()].concat());
        let index: Vec<Affine> = (0..=shape.len()).map(Affine::axis).collect();
        let last = |number: usize| {
            let own = (1..=shape.len()).map(Affine::axis);
            std::iter::once(Affine::constant(number as i64)).chain(own).collect()
        };
        self.lower_part(cx, Part { first: 0, count: whole, images: block.into() }, parts, index);
        if rest > 0 {
            self.lower_part(cx, Part { first: whole * block, count: 1, images: rest.into() }, parts, last(whole));
        }
        let rank = shape.len();
        let from = std::iter::once(Affine::axis(rank)).chain((0..rank).map(Affine::axis)).collect();
        let fold_axes = vec![images.div_ceil(block)];
        cx.fold(
            FoldSpec { axes: fixed(&shape), kind: FoldKind::Reduce, fold_axes: fixed(&fold_axes), lanes: 1 },
            to,
            |cx, b| vec![accumulator(FoldOp::Sum(cx.load(b, parts, from)), dtype)],
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
        let mut cases: Vec<Case> = SAMPLES.iter().map(case).collect();
        // Enough images for parts, the last of which is smaller.
        let op = ConvFilterGradient { strides: vec![1, 1], dilation: vec![1, 1], window: vec![2, 1], groups: 1 };
        let operands = vec![s.floats(&[7, 21, 60, 9], -0.1, 0.1), s.floats(&[7, 20, 60, 3], -0.1, 0.1)];
        cases.push(Case::skip(op, operands, "differences in thousands of elements take long"));
        cases
    }
}

/// Bytes of images and features whose products are summed up at once: what stays in a second-level cache while every
/// element of the filter walks over it.
const PART_BYTES: usize = 256 << 10;
/// Windows that a part has at least, so that reading and writing its sums is little beside making them.
const PART_WINDOWS: usize = 160;

/// Some images: `count` parts of so many each, from the first one on.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
    images: KernelExtent,
}

impl ConvFilterGradient {
    /// How many images are in a part: all of them, where parts would gain nothing.
    fn images_in_part(&self, cx: &LowerCx<'_>) -> usize {
        let [image, features] = [0, 1].map(|n| most(&cx.operand_extents(n)));
        let bytes = (image[1..].iter().product::<usize>() + features[1..].iter().product::<usize>())
            * cx.result_dtype(0).bytes();
        let windows: usize = features[1..=self.strides.len()].iter().product();
        (PART_BYTES / bytes.max(1)).max(PART_WINDOWS.div_ceil(windows.max(1)))
    }

    /// Adds the kernel that sums up the products of some images; its axes are the part, unless there is one, and those
    /// of the filter, of which `index` is made.
    fn lower_part(&self, cx: &mut LowerCx<'_>, part: Part, to: BufferId, index: Vec<Affine>) {
        let (form, rank) = (self.form(), self.strides.len());
        let (filter, features) = (cx.result_shape(0), cx.operand_extents(1));
        let (inputs, outputs) = (filter[rank], filter[rank + 1] / self.groups);
        // The index names the axes as if a filter had one for its last extent.
        let leading = index.len() - filter.len();
        let mut axes = fixed(&vec![part.count; leading]);
        axes.extend(fixed(&filter[..=rank]));
        let [group, output] = form.channel_axes(&mut axes, outputs);
        let channel = |in_group: &Affine, size: usize| group.times(size as i64).plus(in_group);
        let first = axes.len();
        let window = |d: usize| Affine::axis(first + 1 + d);
        let place = |d: usize| {
            let element = Affine::axis(leading + d).times(self.dilation[d] as i64);
            window(d).times(self.strides[d] as i64).plus(&element)
        };
        let within = Affine::axis(first).plus_constant(part.first as i64);
        let number = if leading > 0 { Affine::axis(0) } else { Affine::constant(0) };
        let image = || std::iter::once(number.times(part.images.most() as i64).plus(&within));
        let input = channel(&Affine::axis(leading + rank), inputs);
        let output = channel(&output, outputs);
        let x_index: Vec<Affine> = image().chain((0..rank).map(place)).chain([input]).collect();
        let y_index: Vec<Affine> = image().chain((0..rank).map(window)).chain([output.clone()]).collect();
        let mut index = index;
        if let Some(last) = index.last_mut() {
            *last = output;
        }
        let fold_axes = std::iter::once(part.images).chain(features[1..=rank].iter().copied()).collect();
        let operands = [(cx.operand(0), x_index), (cx.operand(1), y_index)];
        cx.contract([axes, fold_axes], operands, (to, index));
    }
}
