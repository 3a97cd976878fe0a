//! Values that are exact, and laws that hold bit for bit.

use super::FUNCTIONS;
use super::interpreter::Function;
use crate::kernel::{BinaryOp, UnaryOp, scalar};
use crate::tensor::Scalar::{self, F32, F64, I32, I64, U8};
use crate::types::DType;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

const FLOATS: [DType; 2] = [DType::F32, DType::F64];

fn float(dtype: DType, x: f64) -> Scalar {
    F64(x).convert(dtype)
}

/// Bits must agree, but one NaN is as good as another.
fn assert_value(got: Scalar, want: Scalar, what: &str) {
    let same = got == want || got.as_f64().is_nan() && want.as_f64().is_nan();
    assert!(same && got.dtype() == want.dtype(), "{what} is {got}, not {want}");
}

#[test]
fn values_at_zeros_infinities_and_nan() {
    // At -∞, -0, 0, ∞ and NaN.
    let table = [
        (UnaryOp::Sign, [-1.0, -0.0, 0.0, 1.0, NAN]),
        (UnaryOp::Rsqrt, [NAN, -INF, INF, 0.0, NAN]),
        (UnaryOp::Exp, [0.0, 1.0, 1.0, INF, NAN]),
        (UnaryOp::Expm1, [-1.0, -0.0, 0.0, INF, NAN]),
        (UnaryOp::Log, [NAN, -INF, -INF, INF, NAN]),
        (UnaryOp::Log1p, [NAN, -0.0, 0.0, INF, NAN]),
        (UnaryOp::Sin, [NAN, -0.0, 0.0, NAN, NAN]),
        (UnaryOp::Cos, [NAN, 1.0, 1.0, NAN, NAN]),
        (UnaryOp::Tanh, [-1.0, -0.0, 0.0, 1.0, NAN]),
        (UnaryOp::Erf, [-1.0, -0.0, 0.0, 1.0, NAN]),
        (UnaryOp::ErfInv, [NAN, -0.0, 0.0, NAN, NAN]),
        (UnaryOp::Sigmoid, [0.0, 0.5, 0.5, 1.0, NAN]),
    ];
    for (op, values) in table {
        for dtype in FLOATS {
            let function = Function::unary(op, dtype);
            for (x, want) in [-INF, -0.0, 0.0, INF, NAN].into_iter().zip(values) {
                let got = function.at(&[float(dtype, x)]);
                assert_value(got, float(dtype, want), &format!("{op:?}({x}) in {dtype}"));
            }
        }
    }
}

#[test]
fn nan_of_any_payload_stays_nan() {
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_01ff, 0xffc0_0000u64] {
        for op in FUNCTIONS {
            let got = Function::unary(op, DType::F32).at(&[Scalar::from_bits(DType::F32, bits)]);
            assert!(got.as_f64().is_nan(), "{op:?} of the NaN {bits:x} is {got}");
        }
    }
    for bits in [0x7ff0_0000_0000_0001, 0xfff0_0000_0000_07ff, 0x7fff_ffff_ffff_ffff] {
        for op in FUNCTIONS {
            let got = Function::unary(op, DType::F64).at(&[Scalar::from_bits(DType::F64, bits)]);
            assert!(got.as_f64().is_nan(), "{op:?} of the NaN {bits:x} is {got}");
        }
    }
}

#[test]
fn values_that_are_exact() {
    let table = [
        (UnaryOp::Log, 1.0, 0.0),
        (UnaryOp::Log, -1.0, NAN),
        (UnaryOp::Log1p, -1.0, -INF),
        (UnaryOp::Log1p, -1.5, NAN),
        (UnaryOp::ErfInv, 1.0, INF),
        (UnaryOp::ErfInv, -1.0, -INF),
        (UnaryOp::ErfInv, 1.5, NAN),
        (UnaryOp::Exp, 1e4, INF),
        (UnaryOp::Exp, -1e4, 0.0),
        (UnaryOp::Expm1, 1e4, INF),
        (UnaryOp::Expm1, -1e4, -1.0),
        (UnaryOp::Expm1, -8_733_438.0, -1.0),
        (UnaryOp::Tanh, -1e30, -1.0),
        (UnaryOp::Erf, 1e30, 1.0),
        (UnaryOp::Sigmoid, 1e30, 1.0),
        (UnaryOp::Sigmoid, -1e30, 0.0),
        (UnaryOp::Rsqrt, 4.0, 0.5),
        (UnaryOp::Rsqrt, -4.0, NAN),
    ];
    for (op, x, want) in table {
        for dtype in FLOATS {
            for fused in [true, false] {
                let got = Function::unary(op, dtype).run(&[vec![float(dtype, x)]], fused)[0];
                assert_value(got, float(dtype, want), &format!("{op:?}({x}) in {dtype}, fused: {fused}"));
            }
        }
    }
}

#[test]
fn subnormals_count_as_zeros_of_their_sign() {
    for (dtype, bits, sign) in
        [(DType::F32, 0x0000_1234, 1 << 31), (DType::F64, 0x0000_0000_1234_5678, 1 << 63)]
    {
        for sign in [0, sign] {
            for op in FUNCTIONS {
                let function = Function::unary(op, dtype);
                let got = function.at(&[Scalar::from_bits(dtype, bits | sign)]);
                let want = function.at(&[Scalar::from_bits(dtype, sign)]);
                assert_value(got, want, &format!("{op:?} of a subnormal {dtype}"));
            }
        }
    }
}

#[test]
fn the_least_normal_numbers_are_kept() {
    for dtype in FLOATS {
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        for op in [UnaryOp::Expm1, UnaryOp::Log1p, UnaryOp::Sin, UnaryOp::Tanh] {
            for x in [least, -least] {
                let got = Function::unary(op, dtype).at(&[float(dtype, x)]);
                assert_value(got, float(dtype, x), &format!("{op:?}({x}) in {dtype}"));
            }
        }
    }
}

/// Floats of all magnitudes, ascending, as f32.
fn ascending() -> Vec<Scalar> {
    let positive = (0..0x7f80_0000u32).step_by(199_999).map(f32::from_bits);
    let negative = positive.clone().map(|x| -x).rev();
    negative.chain(positive).map(F32).collect()
}

#[test]
fn odd_functions_are_odd_and_the_cosine_is_even() {
    let points = ascending();
    let reversed: Vec<Scalar> = points.iter().rev().copied().collect();
    for fused in [true, false] {
        for (op, odd) in [
            (UnaryOp::Sign, true),
            (UnaryOp::Sin, true),
            (UnaryOp::Tanh, true),
            (UnaryOp::Erf, true),
            (UnaryOp::ErfInv, true),
            (UnaryOp::Cos, false),
        ] {
            let function = Function::unary(op, DType::F32);
            let straight = function.run(std::slice::from_ref(&points), fused);
            let mirrored = function.run(std::slice::from_ref(&reversed), fused);
            for ((x, a), b) in points.iter().zip(straight).zip(mirrored) {
                let (F32(a), F32(b)) = (a, b) else { panic!("expected f32") };
                let b = if odd { -b } else { b };
                assert_value(F32(a), F32(b), &format!("{op:?}({x}) mirrored"));
            }
        }
    }
}

#[test]
fn results_stay_in_range_and_never_turn_back() {
    // Neighbours in this list differ by more than the functions' errors.
    let points: Vec<Scalar> = ascending();
    for fused in [true, false] {
        for (op, low, high, monotone) in [
            (UnaryOp::Sigmoid, 0.0, 1.0, true),
            (UnaryOp::Tanh, -1.0, 1.0, true),
            (UnaryOp::Erf, -1.0, 1.0, true),
            (UnaryOp::Exp, 0.0, INF, true),
            (UnaryOp::Expm1, -1.0, INF, true),
            (UnaryOp::Sin, -1.0, 1.0, false),
            (UnaryOp::Cos, -1.0, 1.0, false),
        ] {
            let got = Function::unary(op, DType::F32).run(std::slice::from_ref(&points), fused);
            let mut last = low;
            for (x, y) in points.iter().zip(got) {
                let y = y.as_f64();
                assert!((low..=high).contains(&y), "{op:?}({x}) is {y}");
                assert!(!monotone || y >= last, "{op:?}({x}) is {y} after {last}");
                last = y;
            }
        }
    }
}

#[test]
fn powers_of_special_floats_are_those_of_ieee_754() {
    let specials = [
        0.0,
        1.0,
        0.5,
        2.0,
        3.0,
        2.5,
        1e-30,
        1e30,
        16_777_215.0,
        16_777_216.0,
        1.000_000_119_209_289_6,
        INF,
        1e-40,
        NAN,
    ];
    let signed = specials.iter().flat_map(|&x| [x, -x]).collect::<Vec<f64>>();
    let flushed = |x: f64| if x.abs() < f64::from(f32::MIN_POSITIVE) { 0f64.copysign(x) } else { x };
    let (pow32, pow64) = (Function::pow(DType::F32), Function::pow(DType::F64));
    for &x in &signed {
        for &y in &signed {
            let want = x.powf(y);
            let got = pow64.at(&[F64(x), F64(y)]).as_f64();
            let exact = want == 0.0 || want.abs() == 1.0 || !want.is_finite();
            if exact {
                assert_value(F64(got), F64(want), &format!("{x}^{y} in f64"));
            } else {
                assert!((got / want - 1.0).abs() < 4.0 * f64::EPSILON, "{x}^{y} is {got}, not {want}");
            }
            let want = flushed(f64::from(flushed(x) as f32).powf(flushed(y)));
            let got = pow32.at(&[F32(x as f32), F32(y as f32)]);
            let want32 = F64(want).convert(DType::F32);
            if exact {
                assert_value(got, want32, &format!("{x}^{y} in f32"));
            } else if want32.as_f64().is_finite() && want != 0.0 {
                assert!((got.as_f64() / want - 1.0).abs() < 1e-6, "{x}^{y} is {got}, not {want}");
            } else {
                assert_value(got, want32, &format!("{x}^{y} in f32"));
            }
        }
    }
}

/// The laws by which passes rewrite powers keep every bit.
#[test]
fn first_and_second_powers_are_exact() {
    let mut bits = 1u64;
    let mut random = || {
        bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bits ^ bits >> 32
    };
    let specials = [0.0, 1.0, INF, NAN, 1e-160, 1e-40, 1e-23, 1e-19, 1.9e19, 1e30, 1.4e154, 1e200];
    let near_one =
        (1..2000u64).flat_map(|n| [1.0f64.to_bits() + n, 1.0f64.to_bits() - n]).map(f64::from_bits);
    let mut points: Vec<f64> = specials.iter().flat_map(|&x| [x, -x]).chain(near_one).collect();
    points.extend((1..2000u32).flat_map(|n| {
        [1.0f32.to_bits() + n, 1.0f32.to_bits() - n].map(|bits| f64::from(f32::from_bits(bits)))
    }));
    // Of all magnitudes, and of those whose squares are in range.
    points.extend((0..20_000).map(|_| f64::from_bits(random())));
    points.extend((0..40_000).map(|_| {
        let bits = random();
        f64::from_bits(bits & !(0x7ff << 52) | (1023 - 60 + bits % 121) << 52)
    }));
    for dtype in FLOATS {
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let points: Vec<Scalar> = (points.iter().map(|&x| float(dtype, x)))
            .filter(|x| !(x.as_f64() != 0.0 && x.as_f64().abs() < least))
            .collect();
        let pow = Function::pow(dtype);
        for fused in [true, false] {
            let power = |y: f64| pow.run(&[points.clone(), vec![float(dtype, y); points.len()]], fused);
            for ((&x, first), second) in points.iter().zip(power(1.0)).zip(power(2.0)) {
                assert_value(first, x, &format!("{x}^1 in {dtype}, fused: {fused}"));
                let square = scalar::binary(BinaryOp::Mul, x, x);
                assert_value(second, square, &format!("{x}^2 in {dtype}, fused: {fused}"));
            }
        }
    }
}

#[test]
fn powers_of_integers_wrap_and_negative_exponents_vanish() {
    let pow = Function::pow(DType::I32);
    for base in [0, 1, -1, 2, -2, 3, 7, 46_341, i32::MIN, i32::MAX, i32::MIN + 1, 0x4000_0001] {
        for exponent in [0, 1, 2, 3, 5, 30, 31, 32, 33, 1000, i32::MAX, -1, -2, -3, i32::MIN] {
            let want = match (base, exponent) {
                (1, _) => 1,
                (-1, e) => 1 - 2 * (e & 1),
                (_, e) if e < 0 => 0,
                (b, e) => b.wrapping_pow(e as u32),
            };
            assert_value(pow.at(&[I32(base), I32(exponent)]), I32(want), &format!("{base}^{exponent}"));
        }
    }
    let pow = Function::pow(DType::I64);
    assert_value(pow.at(&[I64(3), I64(40)]), I64(3i64.wrapping_pow(40)), "3^40");
    assert_value(pow.at(&[I64(-1), I64(i64::MIN)]), I64(1), "-1 to the least integer");
    let pow = Function::pow(DType::U8);
    for (base, exponent) in [(3, 5), (3, 6), (255, 255), (2, 8), (0, 0), (0, 200)] {
        let want = u8::wrapping_pow(base, exponent.into());
        assert_value(pow.at(&[U8(base), U8(exponent)]), U8(want), &format!("{base}^{exponent} in u8"));
    }
}

#[test]
fn signs_of_integers() {
    let sign = Function::unary(UnaryOp::Sign, DType::I32);
    for (x, want) in [(i32::MIN, -1), (-7, -1), (0, 0), (1, 1), (i32::MAX, 1)] {
        assert_value(sign.at(&[I32(x)]), I32(want), &format!("the sign of {x}"));
    }
    let sign = Function::unary(UnaryOp::Sign, DType::U8);
    assert_value(sign.at(&[U8(200)]), U8(1), "the sign of 200");
    assert_value(sign.at(&[U8(0)]), U8(0), "the sign of 0");
}
