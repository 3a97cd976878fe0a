use super::philox::block;
use super::*;

const SMALLEST: f32 = f32::MIN_POSITIVE;

fn f32s(op: BinaryOp, a: f32, b: f32) -> f32 {
    match binary(op, Scalar::F32(a), Scalar::F32(b)) {
        Scalar::F32(v) => v,
        other => panic!("{other:?}"),
    }
}

/// Known answers of Random123's `kat_vectors`.
#[test]
fn philox_known_answers() {
    assert_eq!(block([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(block([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    assert_eq!(block(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}

#[test]
fn philox_places_its_operands() {
    assert_eq!(
        [0, 1, 2, 3].map(|w| philox(0, 0, 0, 0, w)),
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
    );
    let element = 0x85a3_08d3_243f_6a88_u64 as i64;
    let step = 0x0370_7344_1319_8a2e;
    let seed = 0x299f_31d0_a409_3822;
    assert_eq!(philox(0, seed, step, element, 0), 0xd16c_fe09);
    assert_eq!(philox(1, seed ^ 0x9E37_79B9_7F4A_7C15_u64 as i64, step, element, 3), 0x2412_6ea1);
}

#[test]
fn subnormal_operands_are_zeros_of_their_sign() {
    let tiny = f32::from_bits(1);
    assert_eq!(f32s(BinaryOp::Add, tiny, tiny).to_bits(), 0);
    assert_eq!(f32s(BinaryOp::Mul, -tiny, 1e38).to_bits(), (-0.0f32).to_bits());
    assert_eq!(f32s(BinaryOp::Div, 1.0, -tiny), f32::NEG_INFINITY);
    assert_eq!(f32s(BinaryOp::Max, tiny, -0.0).to_bits(), 0);
    assert_eq!(unary(UnaryOp::Ceil, Scalar::F32(tiny)), Scalar::F32(0.0));
    assert_eq!(unary(UnaryOp::Sign, Scalar::F32(-tiny)), Scalar::F32(-0.0));
    assert!(compare(CompareOp::Eq, Scalar::F32(tiny), Scalar::F32(-tiny)));
    assert_eq!(convert(Scalar::F32(tiny), DType::F64), Scalar::F64(0.0));
    assert_eq!(convert(Scalar::F64(f64::from_bits(1)), DType::Bool), Scalar::Bool(false));
}

#[test]
fn what_is_not_arithmetic_keeps_subnormals() {
    let tiny = Scalar::F32(f32::from_bits(1));
    assert_eq!(unary(UnaryOp::Neg, tiny).bits(), 0x8000_0001);
    assert_eq!(unary(UnaryOp::Abs, unary(UnaryOp::Neg, tiny)), tiny);
    assert_eq!(convert(tiny, DType::F32), tiny);
    assert_eq!(bitcast(tiny, DType::I32), Scalar::I32(1));
}

#[test]
fn subnormal_results_are_flushed() {
    assert_eq!(f32s(BinaryOp::Sub, 1.5 * SMALLEST, SMALLEST).to_bits(), 0);
    assert_eq!(f32s(BinaryOp::Sub, SMALLEST, 1.5 * SMALLEST).to_bits(), (-0.0f32).to_bits());
    assert_eq!(f32s(BinaryOp::Add, SMALLEST, -2.0 * SMALLEST), -SMALLEST);
    assert_eq!(f32s(BinaryOp::Div, -SMALLEST, 2.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(convert(Scalar::F64(1e-40), DType::F32), Scalar::F32(0.0));
    assert_eq!(convert(Scalar::F64(-1e-320), DType::F32), Scalar::F32(-0.0));
    assert_eq!(unary(UnaryOp::Exp, Scalar::F32(-90.0)), Scalar::F32(0.0));
}

/// What x86-64 gives with DAZ and FTZ set, for results that round to the smallest normal number.
#[test]
fn a_result_is_tiny_by_what_it_is_after_rounding() {
    let ulp = 2f32.powi(-24);
    // Exactly representable below the smallest normal number, if exponents went on.
    assert_eq!(f32s(BinaryOp::Mul, 1.0 - ulp, SMALLEST), 0.0);
    assert_eq!(f32s(BinaryOp::Mul, SMALLEST, -(1.0 - ulp)).to_bits(), (-0.0f32).to_bits());
    // (1 - 2⁻²³)(1 + 2⁻²³) = 1 - 2⁻⁴⁶ rounds to 1.
    assert_eq!(f32s(BinaryOp::Mul, 1.0 - 2.0 * ulp, SMALLEST * (1.0 + 2.0 * ulp)), SMALLEST);
    assert_eq!(f32s(BinaryOp::Div, SMALLEST, 1.0 + 2.0 * ulp), 0.0);
    let fma32 = |a: f32, b: f32, c: f32| fma(Scalar::F32(a), Scalar::F32(b), Scalar::F32(c), true);
    assert_eq!(fma32(-SMALLEST, ulp, SMALLEST), Scalar::F32(0.0));
    assert_eq!(fma32(-SMALLEST, ulp / 4.0, SMALLEST), Scalar::F32(SMALLEST));
    let d = f64::from(SMALLEST);
    assert_eq!(convert(Scalar::F64(d * (1.0 - 2f64.powi(-24))), DType::F32), Scalar::F32(0.0));
    assert_eq!(convert(Scalar::F64(d * (1.0 - 2f64.powi(-26))), DType::F32), Scalar::F32(SMALLEST));
    let m = f64::MIN_POSITIVE;
    let product = |a: f64, b: f64| binary(BinaryOp::Mul, Scalar::F64(a), Scalar::F64(b));
    assert_eq!(product(1.0 - f64::EPSILON / 2.0, m), Scalar::F64(0.0));
    assert_eq!(product(1.0 - f64::EPSILON, m * (1.0 + f64::EPSILON)), Scalar::F64(m));
}

#[test]
fn fma_rounds_once_or_twice() {
    let (a, c) = (1.0 + f32::EPSILON, -(1.0 + 2.0 * f32::EPSILON));
    let of = |one| fma(Scalar::F32(a), Scalar::F32(a), Scalar::F32(c), one);
    assert_eq!(of(true), Scalar::F32(f32::EPSILON * f32::EPSILON));
    assert_eq!(of(false), Scalar::F32(0.0));
    let tiny = f64::from_bits(1);
    assert_eq!(fma(Scalar::F64(1.0), Scalar::F64(tiny), Scalar::F64(-0.0), true), Scalar::F64(0.0));
}

#[test]
fn minimum_and_maximum_order_zeros_and_keep_nan() {
    for (a, b) in [(0.0f32, -0.0f32), (-0.0, 0.0)] {
        assert_eq!(f32s(BinaryOp::Min, a, b).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f32s(BinaryOp::Max, a, b).to_bits(), 0);
    }
    for (a, b) in [(f32::NAN, 1.0), (1.0, -f32::NAN), (f32::NAN, f32::NEG_INFINITY)] {
        assert_eq!(f32s(BinaryOp::Min, a, b).to_bits(), f32::NAN.to_bits());
        assert_eq!(f32s(BinaryOp::Max, a, b).to_bits(), f32::NAN.to_bits());
    }
    assert_eq!(f32s(BinaryOp::Max, -2.0, -1.0), -1.0);
    assert_eq!(f32s(BinaryOp::Min, -2.0, -1.0), -2.0);
}

#[test]
fn rounding_is_to_even() {
    for (x, y) in [(0.5, 0.0), (1.5, 2.0), (-0.5, -0.0), (-2.5, -2.0), (8_388_609.0, 8_388_609.0)] {
        assert_eq!(unary(UnaryOp::Round, Scalar::F32(x)), Scalar::F32(y));
    }
}

#[test]
fn nothing_is_undefined_for_integers() {
    let i = |op, a: i32, b: i32| binary(op, Scalar::I32(a), Scalar::I32(b));
    let expected = |v: i32| Scalar::I32(v);
    assert_eq!(i(BinaryOp::Add, i32::MAX, 1), expected(i32::MIN));
    assert_eq!(i(BinaryOp::Div, 7, 0), expected(0));
    assert_eq!(i(BinaryOp::Div, i32::MIN, -1), expected(i32::MIN));
    assert_eq!(i(BinaryOp::Div, -7, 2), expected(-3));
    assert_eq!(i(BinaryOp::Shl, 1, 33), expected(2));
    assert_eq!(i(BinaryOp::Shl, 1, -1), expected(i32::MIN));
    assert_eq!(i(BinaryOp::ShrArith, -8, 1), expected(-4));
    assert_eq!(i(BinaryOp::ShrLogical, -8, 1), expected(0x7fff_fffc));
    assert_eq!(unary(UnaryOp::Abs, Scalar::I64(i64::MIN)), Scalar::I64(i64::MIN));
    assert_eq!(unary(UnaryOp::Neg, Scalar::U8(1)), Scalar::U8(255));
    let u = |op, a: u8, b: u8| binary(op, Scalar::U8(a), Scalar::U8(b));
    assert_eq!(u(BinaryOp::Sub, 1, 2), Scalar::U8(255));
    assert_eq!(u(BinaryOp::Div, 200, 3), Scalar::U8(66));
    assert_eq!(u(BinaryOp::Pow, 3, 255), Scalar::U8((0..255).fold(1u8, |p, _| p.wrapping_mul(3))));
    for (v, sign) in [(i32::MIN, -1), (-1, -1), (0, 0), (1, 1), (i32::MAX, 1)] {
        assert_eq!(unary(UnaryOp::Sign, Scalar::I32(v)), expected(sign));
    }
    assert_eq!(unary(UnaryOp::Sign, Scalar::U8(200)), Scalar::U8(1));
    assert_eq!(unary(UnaryOp::Abs, Scalar::U8(200)), Scalar::U8(200));
}

#[test]
fn powers_of_integers() {
    let pow = |a: i64, b: i64| binary(BinaryOp::Pow, Scalar::I64(a), Scalar::I64(b));
    for a in [-3i64, -1, 0, 1, 2, i64::MIN, i64::MAX] {
        for b in 0..70u32 {
            assert_eq!(
                pow(a, i64::from(b)),
                Scalar::I64((0..b).fold(1i64, |p, _| p.wrapping_mul(a))),
                "{a}^{b}"
            );
        }
    }
    for (a, b, p) in [(2, -1, 0), (0, -1, 0), (1, -7, 1), (-1, -7, -1), (-1, i64::MIN, 1), (-2, i64::MIN, 0)]
    {
        assert_eq!(pow(a, b), Scalar::I64(p), "{a}^{b}");
    }
}

#[test]
fn functions_are_correct_to_a_bit_or_two() {
    let f = |op, x: f64| unary(op, Scalar::F64(x)).as_f64();
    for (op, x, y) in [
        (UnaryOp::Exp, 1.0, std::f64::consts::E),
        (UnaryOp::Expm1, 1e-10, 1.000_000_000_05e-10),
        (UnaryOp::Log, 10.0, std::f64::consts::LN_10),
        (UnaryOp::Log1p, 1e-10, 9.999_999_999_5e-11),
        (UnaryOp::Sin, 1.0, 0.841_470_984_807_896_5),
        (UnaryOp::Cos, 1.0, 0.540_302_305_868_139_8),
        (UnaryOp::Tanh, 0.5, 0.462_117_157_260_009_8),
        (UnaryOp::Rsqrt, 4.0, 0.5),
        (UnaryOp::Sigmoid, 1.0, 0.731_058_578_630_004_9),
        (UnaryOp::Erf, 1.0, 0.842_700_792_949_714_9),
        (UnaryOp::ErfInv, 0.5, 0.476_936_276_204_469_9),
        (UnaryOp::ErfInv, -0.99, -1.821_386_367_718_45),
    ] {
        assert!((f(op, x) / y - 1.0).abs() < 1e-14, "{op:?} {x}: {} ≠ {y}", f(op, x));
    }
    for y in [1e-300, 1e-9, 0.1, 0.47, 0.48, 1.0, 3.0] {
        let x = f(UnaryOp::Erf, y);
        // The rounding of erf(y) moves its inverse by this much.
        let tolerance = 1e-15 + f64::EPSILON * (y * y).exp() / y;
        assert!((f(UnaryOp::ErfInv, x) / y - 1.0).abs() < tolerance, "{y}");
    }
    assert_eq!(f(UnaryOp::ErfInv, -1.0), f64::NEG_INFINITY);
    assert!(f(UnaryOp::ErfInv, 1.5).is_nan() && f(UnaryOp::Sign, f64::NAN).is_nan());
    assert_eq!(f(UnaryOp::ErfInv, -0.0).to_bits(), (-0.0f64).to_bits());
    assert_eq!(f(UnaryOp::Sign, -0.0).to_bits(), (-0.0f64).to_bits());
}
