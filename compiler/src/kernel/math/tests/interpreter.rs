//! Runs bodies of primitive instructions, with fused multiply-add or without.

use crate::kernel::math::expand_body;
use crate::kernel::{BinaryOp, Body, BodyBuilder, Inst, InstKind, ScalarId, UnaryOp, scalar};
use crate::tensor::Scalar;
use crate::types::DType;

/// A function whose arguments are accumulators, expanded.
pub struct Function {
    pub body: Body,
    result: ScalarId,
}

impl Function {
    /// What `build` makes of arguments of these types.
    pub fn new(arguments: &[DType], build: impl FnOnce(&BodyBuilder, &[ScalarId]) -> ScalarId) -> Function {
        let b = BodyBuilder::new();
        let values: Vec<ScalarId> =
            arguments.iter().enumerate().map(|(index, &dtype)| b.acc(index, false, dtype)).collect();
        let result = build(&b, &values);
        let mut body = b.finish();
        let result = expand_body(&mut body, &[result])[&result];
        Function { body, result }
    }

    /// A function of one argument.
    pub fn unary(op: UnaryOp, dtype: DType) -> Function {
        Function::new(&[dtype], |b, x| b.unary(op, x[0]))
    }

    /// A power.
    pub fn pow(dtype: DType) -> Function {
        Function::new(&[dtype, dtype], |b, x| b.binary(BinaryOp::Pow, x[0], x[1]))
    }

    /// The results at many points; `arguments` holds a list of equal length for each argument.
    pub fn run(&self, arguments: &[Vec<Scalar>], fused: bool) -> Vec<Scalar> {
        let points = arguments.first().map_or(1, Vec::len);
        let mut values: Vec<Vec<Scalar>> = Vec::new();
        for inst in self.body.insts.values() {
            let column = |s: &ScalarId| &values[s.as_u32() as usize];
            let column = match &inst.kind {
                InstKind::Const(c) => vec![*c; points],
                InstKind::Acc { index, .. } => arguments[*index].clone(),
                InstKind::Unary(op, a) => column(a).iter().map(|&a| scalar::unary(*op, a)).collect(),
                InstKind::Bitcast(a) => column(a).iter().map(|&a| scalar::bitcast(a, inst.dtype)).collect(),
                InstKind::Binary(op, a, b) => zip(column(a), column(b), |a, b| scalar::binary(*op, a, b)),
                InstKind::Compare(op, a, b) => {
                    zip(column(a), column(b), |a, b| Scalar::Bool(scalar::compare(*op, a, b)))
                }
                InstKind::Fma(a, b, c) => {
                    let (a, b, c) = (column(a), column(b), column(c));
                    (0..points).map(|i| scalar::fma(a[i], b[i], c[i], fused)).collect()
                }
                InstKind::Select(c, a, b) => {
                    let (c, a, b) = (column(c), column(a), column(b));
                    (0..points).map(|i| if c[i] == Scalar::Bool(true) { a[i] } else { b[i] }).collect()
                }
                kind => panic!("{kind:?} is not among what expansions are made of"),
            };
            values.push(column);
        }
        values.swap_remove(self.result.as_u32() as usize)
    }

    /// The result at one point, with fused multiply-add.
    pub fn at(&self, arguments: &[Scalar]) -> Scalar {
        self.run(&arguments.iter().map(|&a| vec![a]).collect::<Vec<_>>(), true)[0]
    }

    /// Number of instructions that compute something.
    pub fn operations(&self) -> usize {
        let free = |inst: &Inst| {
            matches!(inst.kind, InstKind::Const(_) | InstKind::Acc { .. } | InstKind::Bitcast(_))
        };
        self.body.insts.values().filter(|inst| !free(inst)).count()
    }
}

fn zip(a: &[Scalar], b: &[Scalar], f: impl Fn(Scalar, Scalar) -> Scalar) -> Vec<Scalar> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

/// Subnormals become zeros.
pub fn flush(x: Scalar) -> Scalar {
    scalar::binary(BinaryOp::Mul, x, Scalar::F64(1.0).convert(x.dtype()))
}
