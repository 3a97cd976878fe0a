//! The pass itself: where it looks, and what it leaves.

use super::FUNCTIONS;
use super::interpreter::Function;
use crate::kernel::math::expand;
use crate::kernel::testing::{access, axes, buffer, push, store};
use crate::kernel::{
    Accumulator, BinaryOp, BodyBuilder, BufferKind, Fold, FoldKind, FoldOp, InstKind, KernelFunction, Stage,
    UnaryOp,
};
use crate::tensor::Scalar;
use crate::types::DType;

fn is_primitive(kind: &InstKind) -> bool {
    match kind {
        InstKind::Unary(op, _) => !FUNCTIONS.contains(op),
        InstKind::Binary(op, ..) => *op != BinaryOp::Pow,
        InstKind::Philox { .. } => false,
        _ => true,
    }
}

#[test]
fn expansions_stay_within_lanes_of_one_width() {
    for (dtype, int) in [(DType::F32, DType::I32), (DType::F64, DType::I64)] {
        let functions = FUNCTIONS.map(|op| Function::unary(op, dtype));
        for function in functions.iter().chain([&Function::pow(dtype)]) {
            for inst in function.body.insts.values() {
                assert!([dtype, int, DType::Bool].contains(&inst.dtype), "{inst:?}");
                assert!(is_primitive(&inst.kind) && !matches!(inst.kind, InstKind::Convert(_)), "{inst:?}");
            }
        }
    }
}

#[test]
fn costs_are_those_of_the_table() {
    let costs = FUNCTIONS.map(|op| Function::unary(op, DType::F32).operations());
    assert_eq!(costs, [5, 2, 18, 23, 28, 30, 33, 32, 21, 19, 55, 18]);
    assert_eq!(Function::pow(DType::F32).operations(), 114);
}

#[test]
fn functions_of_one_argument_share_what_they_can() {
    let sin = Function::unary(UnaryOp::Sin, DType::F32).operations();
    let both =
        Function::new(&[DType::F32], |b, x| b.add(b.unary(UnaryOp::Sin, x[0]), b.unary(UnaryOp::Cos, x[0])));
    assert!(both.operations() < sin + 10, "{} operations, {sin} for one", both.operations());
}

/// `out[i0] = exp(Σ sigmoid(in[i0, i1]))`.
fn sum_of_sigmoids() -> KernelFunction {
    let mut f = KernelFunction::default();
    let from = buffer(&mut f, DType::F32, &[2, 3], BufferKind::Param(0));
    let to = buffer(&mut f, DType::F32, &[2], BufferKind::Result(0));
    let b = BodyBuilder::new();
    let x = b.load(access(&f, from, &axes(2)), DType::F32);
    b.unary(UnaryOp::Tanh, x);
    let summand = b.unary(UnaryOp::Sigmoid, x);
    let fold = Fold {
        kind: FoldKind::Reduce,
        axes: vec![3.into()],
        lanes: 1,
        body: b.finish(),
        accumulators: vec![Accumulator { op: FoldOp::Sum(summand), dtype: DType::F32 }],
    };
    let b = BodyBuilder::new();
    let value = b.unary(UnaryOp::Exp, b.acc(0, false, DType::F32));
    let stores = vec![store(value, to, &axes(1))];
    push(&mut f, vec![2], vec![Stage { axes: vec![], fold: Some(fold), body: b.finish(), stores }]);
    f
}

#[test]
fn bodies_and_folds_are_expanded_and_their_users_follow() {
    let mut f = sum_of_sigmoids();
    expand(&mut f);
    let stage = &f.kernels[0].stages[0];
    let fold = stage.fold.as_ref().expect("the fold is still there");
    for inst in fold.body.insts.values().chain(stage.body.insts.values()) {
        assert!(is_primitive(&inst.kind), "{inst:?}");
    }
    // The sigmoid ends in its division, the exponential in its last select; the tanh that nothing used is gone.
    let FoldOp::Sum(summand) = fold.accumulators[0].op else { panic!("the sum is gone") };
    assert!(matches!(fold.body.insts[summand].kind, InstKind::Binary(BinaryOp::Div, ..)));
    assert!(matches!(stage.body.insts[stage.stores[0].value].kind, InstKind::Select(..)));
    let sigmoid = Function::unary(UnaryOp::Sigmoid, DType::F32);
    assert_eq!(fold.body.insts.len(), sigmoid.body.insts.len());

    let once = format!("{f:?}");
    expand(&mut f);
    assert_eq!(format!("{f:?}"), once, "expanding twice changes something");
}

#[test]
fn philox_gives_the_published_words() {
    // Known answers of Random123 for Philox-4x32-10: counter, key, block.
    let cases = [
        ([0, 0], 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([-1, -1], -1, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x85a3_08d3_243f_6a88_u64 as i64, 0x0370_7344_1319_8a2e],
            0x299f_31d0_a409_3822,
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];
    for (key, mixed) in [(0, 0), (5, 5u64.wrapping_mul(0x9E37_79B9_7F4A_7C15) as i64)] {
        for ([element, step], seed, block) in cases {
            for (word, want) in block.into_iter().enumerate() {
                let function =
                    Function::new(&[DType::I64; 3], |b, x| b.philox(key, x[0], x[1], x[2], word as u8));
                let got = function.at(&[seed ^ mixed, step, element].map(Scalar::I64));
                assert_eq!(got, Scalar::I64(want), "word {word} of {element:x}, {step:x}, key {key}");
            }
        }
    }
}
