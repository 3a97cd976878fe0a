use super::attributes::op_struct;
use super::elementwise::{expect_dtype, expect_operands};
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::Affine;
use crate::lower::{LowerCx, identity};
use crate::tensor::{Element as _, Scalar, Tensor};
use crate::types::{DType, Extent, Shape, TensorType};

op_struct! {
    /// A row per index with a one at the index: `out[i.., d] = 1` where `d = indices[i..]`, else 0.
    ///
    /// - C1 `indices`: i32 or i64, `[i..]`; the result: `dtype`, `[i.., depth]`.
    /// - C2 an index below 0 or not below `depth` gives a row of zeros; where that is a mistake, use `check_index` first.
    ///
    /// # Errors
    /// E0202 if C1 fails.
    ///
    /// Reference: TensorFlow `OneHot`.
    OneHot = "one_hot" {
        /// Number of columns.
        depth: usize,
        /// Element type of the result.
        dtype: DType,
    }
}

impl OpDef for OneHot {
    const NAME: &'static str = "one_hot";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let is_index = |d| matches!(d, DType::I32 | DType::I64);
        expect_dtype(Self::NAME, &operands[0], is_index, "indices of dtype i32 or i64")?;
        let shape = Shape([operands[0].shape.0.as_slice(), &[Extent::Const(self.depth)]].concat());
        let ty = TensorType::new(self.dtype, shape);
        expect_dtype(Self::NAME, &ty, |_| true, "a dtype")?;
        Ok(vec![ty])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let shape = [operands[0].shape(), &[self.depth]].concat();
        let row = |index: Scalar| {
            let index = i64::convert(index);
            (0..self.depth as i64).map(move |d| Scalar::Bool(d == index))
        };
        Ok(vec![Tensor::from_scalars(self.dtype, &shape, operands[0].scalars().flat_map(row))])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (rank, dtype, index) = (cx.operand_rank(0), self.dtype, cx.operand_dtype(0));
        cx.map(|cx, b| {
            let here = b.eq(cx.load(b, cx.operand(0), identity(rank)), b.index(Affine::axis(rank), index));
            match dtype {
                DType::Bool => here,
                _ => b.select(here, b.number(dtype, 1.0), b.number(dtype, 0.0)),
            }
        });
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for shape in SHAPES {
            cases.push(Case::smooth(OneHot { depth: 5, dtype: DType::F32 }, vec![s.ints(shape, -1, 6)]));
        }
        for dtype in [DType::I32, DType::Bool, DType::U8] {
            cases.push(Case::smooth(OneHot { depth: 3, dtype }, vec![s.ints(&[4], 0, 3).cast(DType::I64)]));
        }
        cases.push(Case::smooth(OneHot { depth: 0, dtype: DType::F32 }, vec![s.ints(&[4], 0, 3)]));
        cases
    }
}
