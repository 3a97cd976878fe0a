use super::elementwise::prelude::*;
use super::elementwise::{alike, expect_dtype, expect_operands, expect_same};
use super::sample::SHAPES;
use super::{Op, RewriteCx};
use crate::graph::Expr;
use crate::tensor::{Scalar, with_element};
use crate::types::DType;

op_struct! {
    /// Choice: `out[i] = a[i]` where `condition[i]`, else `b[i]`.
    ///
    /// - C1 `condition`: bool. `a`, `b` and the result: one dtype.
    /// - C2 all have one shape.
    /// - C3 what is not chosen has no influence, even if it is NaN.
    /// - Gradient: `d_a = d_out` where `condition`, else 0; `d_b = d_out` where not, else 0; none for `condition`.
    ///
    /// # Errors
    /// E0202 if `condition` is not bool, E0203 if another part of C1 or C2 fails.
    ///
    /// Reference: StableHLO `select`.
    Select = "select" {}
}

impl Elementwise for Select {
    const NAME: &'static str = "select";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "select true a b = a, select false a b = b", apply: known },
        Rule { pass: "canonicalize", law: "select c x x = x", apply: both },
        Rule { pass: "canonicalize", law: "select (not c) a b = select c b a", apply: negated },
    ];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        expect_operands(Self::NAME, operands, 3)?;
        let [condition, a, b] = [&operands[0], &operands[1], &operands[2]];
        expect_dtype(Self::NAME, condition, |d| d == DType::Bool, "a condition of dtype bool")?;
        expect_same(Self::NAME, &[a.clone(), b.clone()])?;
        expect_dtype(Self::NAME, a, |_| true, "any dtype")?;
        match condition.shape == a.shape {
            true => Ok(a.clone()),
            false => Err(Diagnostic::new("E0203", "`select` needs a condition of the shape of its other operands")
                .note(format!("the condition is {condition}, the others are {a}"))
                .help("use `broadcast` to make the shapes equal")),
        }
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        let condition = operands[0].array::<bool>();
        with_element!(operands[1].dtype(), T => {
            let (a, b) = (operands[1].array::<T>(), operands[2].array::<T>());
            let choose = |((&c, &a), &b)| if c { a } else { b };
            Tensor::from_vec(condition.shape(), condition.iter().zip(a).zip(b).map(choose).collect())
        })
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (condition, d) = (cx.operand(0), cx.cotangent());
        let zero = d.full_like(0.0);
        let (d_a, d_b) = (condition.select(d, zero), condition.select(zero, d));
        vec![Gradient::Zero, Gradient::Value(d_a), Gradient::Value(d_b)]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.select(x[0], x[1], x[2])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases: Vec<Case> = SHAPES
            .iter()
            .map(|shape| (s.bools(shape), s.floats(shape, -2.0, 2.0), s.floats(shape, -2.0, 2.0)))
            .map(|(condition, a, b)| Case::smooth(Select {}, vec![condition, a, b]))
            .collect();
        let nan = Tensor::full(&[17], Scalar::F32(f32::NAN));
        let not_chosen = "the operand that is not chosen is NaN";
        cases.push(Case::skip(Select {}, vec![s.bools(&[17]), s.floats(&[17], -2.0, 2.0), nan], not_chosen));
        cases.push(Case::smooth(Select {}, vec![s.bools(&[5]), s.ints(&[5], -9, 9), s.ints(&[5], -9, 9)]));
        cases.push(Case::smooth(Select {}, vec![s.bools(&[3]), s.bools(&[3]), s.bools(&[3])]));
        cases
    }
}

fn known<'g>(_: &Select, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let condition = cx.operands[0].as_splat()?;
    Some(vec![cx.operands[if condition == Scalar::Bool(true) { 1 } else { 2 }]])
}

fn both<'g>(_: &Select, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    alike(cx.operands[1], cx.operands[2]).then(|| vec![cx.operands[1]])
}

fn negated<'g>(_: &Select, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (Op::Not(_), inner) = cx.operands[0].def()? else { return None };
    Some(vec![inner[0].select(cx.operands[2], cx.operands[1])])
}
