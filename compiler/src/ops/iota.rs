use super::attributes::op_struct;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, Shape, TensorType};

op_struct! {
    /// The coordinate on an axis: `out[.., i, ..] = i`, where `i` stands on `axis`.
    ///
    /// - C1 `dtype`: float or integer; the result has dtype `dtype` and shape `shape`.
    /// - C2 `shape` has the axis `axis`. Coordinates that `dtype` cannot hold wrap or round.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0214 if C2 fails.
    ///
    /// Reference: StableHLO `iota`.
    Iota = "iota" {
        /// Element type of the result.
        dtype: DType,
        /// Shape of the result.
        shape: Shape,
        /// The axis that is counted.
        axis: usize,
    }
}

impl OpDef for Iota {
    const NAME: &'static str = "iota";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 0)?;
        let ty = TensorType::new(self.dtype, self.shape.clone());
        expect_dtype(Self::NAME, &ty, is_number, "a float or integer dtype")?;
        match self.axis < ty.rank() {
            true => Ok(vec![ty]),
            false => Err(Diagnostic::new("E0214", format!("`iota` of type {ty} has no axis {}", self.axis))),
        }
    }

    fn eval(&self, _: &EvalCx<'_>, _: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let shape = self.shape.bound();
        let inner: usize = shape[self.axis + 1..].iter().product();
        let elements = (0..shape.iter().product())
            .map(|position: usize| Scalar::I64((position / inner % shape[self.axis]) as i64));
        Ok(vec![Tensor::from_scalars(self.dtype, &shape, elements)])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (axis, dtype) = (self.axis, self.dtype);
        // An i32 index stays in 32-bit lanes.
        let small = cx.result_extents(0)[axis].most() <= 1 << 31 && dtype.bytes() == 4;
        let index = if small { DType::I32 } else { DType::I64 };
        cx.map(|_, b| b.convert(b.index(Affine::axis(axis), index), dtype));
    }

    fn sample(_: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for shape in SHAPES.iter().filter(|s| !s.is_empty()) {
            for dtype in [DType::F32, DType::I32, DType::I64, DType::U8] {
                cases.push(Case::smooth(Iota { dtype, shape: (*shape).into(), axis: shape.len() - 1 }, vec![]));
            }
            cases.push(Case::smooth(Iota { dtype: DType::F32, shape: (*shape).into(), axis: 0 }, vec![]));
        }
        cases
    }
}
