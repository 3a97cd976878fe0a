//! Runs bodies of primitive instructions, with fused multiply-add or without.

use crate::kernel::math::expand_body;
use crate::kernel::{BinaryOp, Body, BodyBuilder, CompareOp, Inst, InstKind, ScalarId, UnaryOp};
use crate::tensor::Scalar::{self, Bool, F32, F64, I32, I64, U8};
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
                InstKind::Unary(op, a) => column(a).iter().map(|&a| unary(*op, a)).collect(),
                InstKind::Bitcast(a) => {
                    column(a).iter().map(|a| Scalar::from_bits(inst.dtype, a.bits())).collect()
                }
                InstKind::Binary(op, a, b) => zip(column(a), column(b), |a, b| binary(*op, a, b)),
                InstKind::Compare(op, a, b) => zip(column(a), column(b), |a, b| Bool(compare(*op, a, b))),
                InstKind::Fma(a, b, c) => {
                    let (a, b, c) = (column(a), column(b), column(c));
                    (0..points).map(|i| fma(a[i], b[i], c[i], fused)).collect()
                }
                InstKind::Select(c, a, b) => {
                    let (c, a, b) = (column(c), column(a), column(b));
                    (0..points).map(|i| if c[i] == Bool(true) { a[i] } else { b[i] }).collect()
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
    match x {
        F32(x) if x.abs() < f32::MIN_POSITIVE => F32(0f32.copysign(x)),
        F64(x) if x.abs() < f64::MIN_POSITIVE => F64(0f64.copysign(x)),
        x => x,
    }
}

fn unary(op: UnaryOp, x: Scalar) -> Scalar {
    // The first two change bits and nothing else.
    match (op, x) {
        (UnaryOp::Neg, F32(x)) => F32(-x),
        (UnaryOp::Neg, F64(x)) => F64(-x),
        (UnaryOp::Abs, F32(x)) => F32(x.abs()),
        (UnaryOp::Abs, F64(x)) => F64(x.abs()),
        (UnaryOp::Not, Bool(x)) => Bool(!x),
        (op, x) => flush(match (op, flush(x)) {
            (UnaryOp::Sqrt, F32(x)) => F32(x.sqrt()),
            (UnaryOp::Sqrt, F64(x)) => F64(x.sqrt()),
            (UnaryOp::Floor, F32(x)) => F32(x.floor()),
            (UnaryOp::Floor, F64(x)) => F64(x.floor()),
            other => panic!("{other:?} is not among what expansions are made of"),
        }),
    }
}

macro_rules! float {
    ($variant:ident, $op:expr, $a:expr, $b:expr) => {
        $variant(match $op {
            BinaryOp::Add => $a + $b,
            BinaryOp::Sub => $a - $b,
            BinaryOp::Mul => $a * $b,
            BinaryOp::Div => $a / $b,
            op => panic!("{op:?} of floats is not among what expansions are made of"),
        })
    };
}

macro_rules! int {
    ($variant:ident, $unsigned:ty, $signed:ty, $op:expr, $a:expr, $b:expr) => {
        $variant(match $op {
            BinaryOp::Add => $a.wrapping_add($b),
            BinaryOp::Sub => $a.wrapping_sub($b),
            BinaryOp::Mul => $a.wrapping_mul($b),
            BinaryOp::And => $a & $b,
            BinaryOp::Or => $a | $b,
            BinaryOp::Xor => $a ^ $b,
            BinaryOp::Shl => $a.wrapping_shl($b as u32),
            BinaryOp::ShrLogical => ($a as $unsigned).wrapping_shr($b as u32) as $signed,
            BinaryOp::ShrArith => $a.wrapping_shr($b as u32),
            op => panic!("{op:?} of integers is not among what expansions are made of"),
        })
    };
}

fn binary(op: BinaryOp, a: Scalar, b: Scalar) -> Scalar {
    flush(match (flush(a), flush(b)) {
        (F32(a), F32(b)) => float!(F32, op, a, b),
        (F64(a), F64(b)) => float!(F64, op, a, b),
        (I32(a), I32(b)) => int!(I32, u32, i32, op, a, b),
        (I64(a), I64(b)) => int!(I64, u64, i64, op, a, b),
        (U8(a), U8(b)) => int!(U8, u8, u8, op, a, b),
        (Bool(a), Bool(b)) => Bool(match op {
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
            op => panic!("{op:?} of bools is not among what expansions are made of"),
        }),
        operands => panic!("operands of different types: {operands:?}"),
    })
}

fn fma(a: Scalar, b: Scalar, c: Scalar, fused: bool) -> Scalar {
    if !fused {
        return binary(BinaryOp::Add, binary(BinaryOp::Mul, a, b), c);
    }
    flush(match (flush(a), flush(b), flush(c)) {
        (F32(a), F32(b), F32(c)) => F32(a.mul_add(b, c)),
        (F64(a), F64(b), F64(c)) => F64(a.mul_add(b, c)),
        operands => panic!("fma of {operands:?}"),
    })
}

fn compare(op: CompareOp, a: Scalar, b: Scalar) -> bool {
    let order = match (flush(a), flush(b)) {
        (F32(a), F32(b)) => a.partial_cmp(&b),
        (F64(a), F64(b)) => a.partial_cmp(&b),
        (I32(a), I32(b)) => a.partial_cmp(&b),
        (I64(a), I64(b)) => a.partial_cmp(&b),
        (U8(a), U8(b)) => a.partial_cmp(&b),
        operands => panic!("comparison of {operands:?}"),
    };
    match op {
        CompareOp::Eq => order.is_some_and(|o| o.is_eq()),
        CompareOp::Ne => order.is_none_or(|o| o.is_ne()),
        CompareOp::Lt => order.is_some_and(|o| o.is_lt()),
        CompareOp::Le => order.is_some_and(|o| o.is_le()),
        CompareOp::Gt => order.is_some_and(|o| o.is_gt()),
        CompareOp::Ge => order.is_some_and(|o| o.is_ge()),
    }
}
