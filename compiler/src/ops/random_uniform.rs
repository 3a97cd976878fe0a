use super::attributes::op_struct;
use super::random::{self, Draw};
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::lower::LowerCx;
use crate::tensor::Tensor;
use crate::types::{DType, Shape, TensorType};

op_struct! {
    /// Numbers drawn uniformly from 0 (included) to 1 (excluded), anew for every seed, step and key.
    ///
    /// - C1 `dtype`: f32 or f64; the result has dtype `dtype` and shape `shape`.
    /// - C2 with `w0, w1, ..` the Philox block of (seed, step, key, row-major position): f32 is the top 24 bits of `w0` times
    ///   2⁻²⁴; f64 is those followed by the top 29 bits of `w1`, times 2⁻⁵³.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    RandomUniform = "random_uniform" {
        /// Tells this node's numbers from those of every other node.
        key: usize,
        /// Element type of the result.
        dtype: DType,
        /// Shape of the result.
        shape: Shape,
    }
}

impl OpDef for RandomUniform {
    const NAME: &'static str = "random_uniform";
    const TRAITS: OpTraits = OpTraits { random: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        random::infer(Self::NAME, operands, self.dtype, &self.shape)
    }

    fn eval(&self, cx: &EvalCx<'_>, _: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![random::eval(cx, self.key as u64, self.dtype, &self.shape.bound(), Draw::Uniform)])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        random::lower(cx, self.key as u64, Draw::Uniform);
    }

    fn sample(_: &mut Sampler) -> Vec<Case> {
        let dtypes = [DType::F32, DType::F64];
        let shapes = SHAPES.iter().flat_map(|shape| dtypes.map(|dtype| (*shape, dtype)));
        shapes.map(|(shape, dtype)| Case::smooth(RandomUniform { key: 3, dtype, shape: shape.into() }, vec![])).collect()
    }
}
