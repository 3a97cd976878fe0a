//! Every instruction, on every dtype that takes it, for points and for vectors.

use crate::codegen::testing::{check, corners, schedule, strip};
use crate::kernel::testing::{access, buffer, push, store};
use crate::kernel::{
    Affine, BinaryOp, BodyBuilder, BufferKind, CompareOp, Guard, InstKind, KernelFunction, ScalarId,
    Schedule, Stage, StageSchedule, UnaryOp,
};
use crate::types::DType;

const DTYPES: [DType; 6] = [DType::F32, DType::F64, DType::I32, DType::I64, DType::U8, DType::Bool];
/// Enough for all corners, and no multiple of any number of lanes.
const ROWS: usize = 21;
const COLS: usize = 23;

/// `out[i0, i1] = value(a[i0], b[i1])`: over either axis, one operand is a vector and the other one uniform.
fn pairs(
    operand: DType,
    result: DType,
    value: impl FnOnce(&BodyBuilder, ScalarId, ScalarId) -> ScalarId,
) -> KernelFunction {
    let mut f = KernelFunction { name: "t".into(), ..KernelFunction::default() };
    let a = buffer(&mut f, operand, &[ROWS], BufferKind::Param(0));
    let b = buffer(&mut f, operand, &[COLS], BufferKind::Param(1));
    let out = buffer(&mut f, result, &[ROWS, COLS], BufferKind::Result(0));
    let index = [Affine::axis(0), Affine::axis(1)];
    let builder = BodyBuilder::new();
    let x = builder.load(access(&f, a, &index[..1]), operand);
    let y = builder.load(access(&f, b, &index[1..]), operand);
    let value = value(&builder, x, y);
    let stores = vec![store(value, out, &index)];
    push(&mut f, vec![ROWS, COLS], vec![Stage { axes: vec![], fold: None, body: builder.finish(), stores }]);
    f
}

fn schedules() -> Vec<Schedule> {
    let lanes = [2, 4, 8, 16].map(|lanes| strip(1, lanes));
    let others = [StageSchedule::Scalar, strip(0, 4), strip(0, 16), strip(0, 1)];
    lanes.into_iter().chain(others).map(|stage| schedule(None, &[stage])).collect()
}

fn check_pairs(what: &str, f: &KernelFunction) {
    check(what, f, corners, &schedules());
}

#[test]
fn unary() {
    use UnaryOp::{Abs, Ceil, Floor, Neg, Not, Round, Sqrt};
    for op in [Neg, Abs, Sqrt, Floor, Ceil, Round, Not] {
        for dtype in DTYPES {
            let takes = match op {
                Sqrt | Floor | Ceil | Round => dtype.is_float(),
                Not => !dtype.is_float(),
                _ => dtype != DType::Bool,
            };
            if takes {
                let f = pairs(dtype, dtype, |b, _, y| b.inst(InstKind::Unary(op, y), dtype));
                check_pairs(&format!("{op:?} {dtype}"), &f);
            }
        }
    }
}

#[test]
fn binary() {
    use BinaryOp::{Add, And, Div, Max, Min, Mul, Or, Shl, ShrArith, ShrLogical, Sub, Xor};
    for op in [Add, Sub, Mul, Div, Min, Max, And, Or, Xor, Shl, ShrLogical, ShrArith] {
        for dtype in DTYPES {
            let takes = match op {
                And | Or | Xor => !dtype.is_float(),
                Shl | ShrLogical | ShrArith => matches!(dtype, DType::I32 | DType::I64),
                _ => dtype != DType::Bool,
            };
            if takes {
                let f = pairs(dtype, dtype, |b, x, y| b.inst(InstKind::Binary(op, x, y), dtype));
                check_pairs(&format!("{op:?} {dtype}"), &f);
            }
        }
    }
}

#[test]
fn extremes_with_a_constant() {
    for dtype in [DType::F32, DType::F64] {
        for constant in [0.0, -0.0, 1.5, -1.5, f64::INFINITY, f64::NAN] {
            for op in [BinaryOp::Min, BinaryOp::Max] {
                for swapped in [false, true] {
                    let f = pairs(dtype, dtype, |b, _, y| {
                        let c = b.float(dtype, constant);
                        let (x, y) = if swapped { (c, y) } else { (y, c) };
                        b.inst(InstKind::Binary(op, x, y), dtype)
                    });
                    check_pairs(&format!("{op:?} {dtype} {constant} {swapped}"), &f);
                }
            }
        }
    }
}

#[test]
fn fused_multiply_add() {
    for dtype in [DType::F32, DType::F64] {
        let f = pairs(dtype, dtype, |b, x, y| {
            let c = b.number(dtype, 3.0);
            b.inst(InstKind::Fma(x, y, c), dtype)
        });
        check_pairs(&format!("fma {dtype}"), &f);
    }
}

#[test]
fn comparison_and_selection() {
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
    for op in [Eq, Ne, Lt, Le, Gt, Ge] {
        for dtype in DTYPES {
            let f = pairs(dtype, DType::Bool, |b, x, y| b.inst(InstKind::Compare(op, x, y), DType::Bool));
            check_pairs(&format!("{op:?} {dtype}"), &f);
            let f = pairs(dtype, dtype, |b, x, y| {
                let c = b.inst(InstKind::Compare(op, x, y), DType::Bool);
                b.inst(InstKind::Select(c, y, x), dtype)
            });
            check_pairs(&format!("select {op:?} {dtype}"), &f);
        }
    }
}

/// Without AVX, an operand in memory must be aligned, and Cranelift once took one that is not for a comparison.
#[test]
fn comparison_of_vectors_that_are_not_aligned() {
    for dtype in [DType::F32, DType::F64, DType::I32] {
        let f = pairs(dtype, dtype, |b, x, y| {
            let limit = b.number(dtype, 1.0);
            let c = b.inst(InstKind::Compare(CompareOp::Gt, y, limit), DType::Bool);
            b.inst(InstKind::Select(c, x, limit), dtype)
        });
        check_pairs(&format!("compare {dtype} in memory"), &f);
    }
}

#[test]
fn conversion() {
    for from in DTYPES {
        for to in DTYPES {
            let f = pairs(from, to, |b, _, y| b.inst(InstKind::Convert(y), to));
            check_pairs(&format!("{from} to {to}"), &f);
            // Of a value that is the same in every lane.
            let f = pairs(from, to, |b, x, _| b.inst(InstKind::Convert(x), to));
            check_pairs(&format!("{from} to {to}, uniform"), &f);
            if from.bytes() == to.bytes() && ![from, to].contains(&DType::Bool) {
                let f = pairs(from, to, |b, _, y| b.inst(InstKind::Bitcast(y), to));
                check_pairs(&format!("bits of {from} as {to}"), &f);
            }
        }
    }
}

#[test]
fn subnormals_are_the_callers_again_afterwards() {
    let f = pairs(DType::F32, DType::F32, |b, x, y| b.mul(x, y));
    check("product", &f, corners, &[schedule(Some((0, 4)), &[strip(1, 4)])]);
    let half = std::hint::black_box(f32::MIN_POSITIVE) / std::hint::black_box(2.0);
    assert_eq!(half.to_bits(), 1 << 22);
}

#[test]
fn positions() {
    for dtype in [DType::I32, DType::I64] {
        let index = Affine::axis(0).times(-7).plus(&Affine::axis(1).times(3)).plus_constant(5);
        let f = pairs(dtype, dtype, |b, _, y| b.add(b.index(index, dtype), y));
        check_pairs(&format!("index {dtype}"), &f);
    }
    let guard = |axis, offset, below| Guard { expr: Affine::axis(axis).plus_constant(offset), below };
    for guards in
        [vec![], vec![guard(1, -2, 5)], vec![guard(0, 1, 9), guard(1, 3, 20)], vec![guard(0, 0, 100)]]
    {
        let f = pairs(DType::F32, DType::F32, |b, x, y| {
            let inside = b.in_bounds(guards.clone());
            b.inst(InstKind::Select(inside, x, y), DType::F32)
        });
        check_pairs(&format!("{guards:?}"), &f);
    }
}
