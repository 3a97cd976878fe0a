//! The errors that the module's table states.

use super::interpreter::{Function, flush};
use crate::kernel::UnaryOp;
use crate::tensor::Scalar;
use crate::types::DType;

/// Largest error in ulp, with fused multiply-add and without, in f32 and in f64.
const BOUNDS: [(UnaryOp, [f64; 2], [f64; 2]); 11] = [
    (UnaryOp::Rsqrt, [1.5, 1.5], [1.5, 1.5]),
    (UnaryOp::Exp, [1.1, 1.0], [1.1, 1.1]),
    (UnaryOp::Expm1, [1.5, 1.6], [1.9, 2.0]),
    (UnaryOp::Log, [1.0, 1.1], [0.9, 0.9]),
    (UnaryOp::Log1p, [1.5, 1.6], [1.5, 1.5]),
    (UnaryOp::Sin, [1.3, 1.5], [1.3, 1.5]),
    (UnaryOp::Cos, [1.3, 1.5], [1.3, 1.5]),
    (UnaryOp::Tanh, [2.5, 2.6], [2.7, 2.7]),
    (UnaryOp::Erf, [2.8, 3.9], [2.6, 3.4]),
    (UnaryOp::ErfInv, [3.4, 3.4], [2.7, 2.7]),
    (UnaryOp::Sigmoid, [2.5, 2.5], [2.5, 2.5]),
];

/// As above.
const POW_BOUNDS: ([f64; 2], [f64; 2]) = ([1.3, 1.4], [1.2, 1.3]);

/// Distance of `got` from `want` in units of the last place of `want`. Where the result is subnormal it must be zero;
/// at the edges of what is normal and of what is finite, rounding may go either way.
fn ulps(got: f32, want: f64) -> f64 {
    const LARGEST: f64 = f32::MAX as f64 * (1.0 + f32::EPSILON as f64);
    let least = f64::from(f32::MIN_POSITIVE);
    let magnitude = want.abs();
    let wrong = |is: bool| if is { f64::INFINITY } else { 0.0 };
    if want.is_nan() || got.is_nan() {
        wrong(want.is_nan() != got.is_nan())
    } else if magnitude < least {
        let edge = magnitude > least * (1.0 - 2.0 * f64::from(f32::EPSILON));
        wrong(!(got == 0.0 || edge && f64::from(got.abs()) <= least))
    } else if magnitude > LARGEST {
        wrong(f64::from(got) != f64::INFINITY.copysign(want))
    } else if got.is_infinite() {
        wrong(
            magnitude < f64::from(f32::MAX) * (1.0 - f64::from(f32::EPSILON))
                || got.is_sign_negative() != want.is_sign_negative(),
        )
    } else {
        let ulp = 2f64.powi(magnitude.log2().floor() as i32 - 23);
        (f64::from(got) - want).abs() / ulp
    }
}

/// erf by a series of positive terms: `2/√π · exp(-x²) · Σ 2ⁿ·x²ⁿ⁺¹ / (1·3·…·(2n + 1))` (Abramowitz and Stegun, 7.1.6).
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-18 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// The function in f64. For erf⁻¹ it is `got` after a step of Newton's method.
fn reference(op: UnaryOp, x: f64, got: f64) -> f64 {
    match op {
        UnaryOp::Rsqrt => 1.0 / x.sqrt(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Expm1 => x.exp_m1(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Log1p => x.ln_1p(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Erf => erf(x),
        UnaryOp::ErfInv if x.abs() > 1.0 => f64::NAN,
        UnaryOp::ErfInv if x.abs() == 1.0 => x * f64::INFINITY,
        UnaryOp::ErfInv => got - (erf(got) - x) / (std::f64::consts::FRAC_2_SQRT_PI * (-got * got).exp()),
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        op => panic!("{op:?} has no error"),
    }
}

fn f32_of(x: Scalar) -> f32 {
    match x {
        Scalar::F32(x) => x,
        x => panic!("expected f32, found {x:?}"),
    }
}

/// Every 65,537th bit pattern, flushed; for sine and cosine those that the bounds hold for.
fn points(op: UnaryOp) -> Vec<Scalar> {
    let patterns = (0..=u32::MAX).step_by(65_537).map(f32::from_bits);
    let reducible = matches!(op, UnaryOp::Sin | UnaryOp::Cos);
    patterns
        .filter(|x| !reducible || x.is_nan() || x.is_infinite() || x.abs() < 6433.0)
        .map(|x| flush(Scalar::F32(x)))
        .collect()
}

#[test]
fn f32_functions_keep_their_bounds_over_all_bit_patterns() {
    for (op, bounds, _) in BOUNDS {
        let function = Function::unary(op, DType::F32);
        for (fused, bound) in [(true, bounds[0]), (false, bounds[1])] {
            for points in points(op).chunks(1024) {
                let got = function.run(&[points.to_vec()], fused);
                for (x, got) in points.iter().zip(got).map(|(&x, got)| (f32_of(x), f32_of(got))) {
                    let want = reference(op, x.into(), got.into());
                    // The product with 0.376 is flushed.
                    let tiny = op == UnaryOp::Erf && x.abs() < 2.7 * f32::MIN_POSITIVE && got == 0.0;
                    let error = ulps(got, want);
                    assert!(
                        error <= bound || tiny,
                        "{op:?}({x:e}) is {got:e}, not {want:e}: {error} ulp, fused: {fused}"
                    );
                }
            }
        }
    }
}

/// Values that were computed with mpmath to 60 digits and rounded to nearest, one a line: function, arguments, result.
fn f64_points() -> impl Iterator<Item = (&'static str, Vec<f64>)> {
    include_str!("f64_points.txt").lines().map(|line| {
        let mut words = line.split(' ');
        let name = words.next().expect("a line has words");
        let bits = words.map(|word| u64::from_str_radix(word, 16).expect("bits in hexadecimal"));
        (name, bits.map(f64::from_bits).collect())
    })
}

fn assert_f64(function: &Function, name: &str, points: &[Vec<f64>], bounds: [f64; 2]) {
    assert!(points.len() >= 72, "{name} has {} points", points.len());
    let column = |n: usize| points.iter().map(|p| Scalar::F64(p[n])).collect::<Vec<_>>();
    let arguments: Vec<_> = (0..points[0].len() - 1).map(column).collect();
    for (fused, bound) in [(true, bounds[0]), (false, bounds[1])] {
        for (point, got) in points.iter().zip(function.run(&arguments, fused)) {
            let (want, got) = (point[point.len() - 1], got.as_f64());
            // The reference is rounded, by half an ulp at most.
            let error = (got.to_bits() as i64 - want.to_bits() as i64).unsigned_abs() as f64;
            assert!(error <= bound + 0.5, "{name}{point:?} is {got:e}: {error} ulp, fused: {fused}");
        }
    }
}

#[test]
fn f64_functions_keep_their_bounds_against_multiprecision_values() {
    let points = |name: &str| f64_points().filter(|p| p.0 == name).map(|p| p.1).collect::<Vec<_>>();
    for (op, _, bounds) in BOUNDS {
        let name = format!("{op:?}").to_lowercase();
        assert_f64(&Function::unary(op, DType::F64), &name, &points(&name), bounds);
    }
    assert_f64(&Function::pow(DType::F64), "pow", &points("pow"), POW_BOUNDS.1);
}

#[test]
fn f32_powers_keep_their_bounds() {
    // Bases of every magnitude and many near 1, and exponents that take them all over what is finite.
    let (mut bases, mut exponents) = (Vec::new(), Vec::new());
    for i in 0..40_000u32 {
        let bits = i.wrapping_mul(0x9E37_79B1);
        let x = match i % 3 {
            0 => f32::from_bits(bits % 0x7f00_0000 + 0x80_0000),
            1 => 1.0 + (bits >> 8) as f32 * 2f32.powi(-31),
            _ => (bits >> 8) as f32 * 2f32.powi(-22) + 1e-3,
        };
        let target = bits.rotate_left(16) as f32 * 2f32.powi(-32) * 260.0 - 130.0;
        bases.push(x);
        exponents.push(if i % 5 == 0 { (bits >> 26) as f32 - 32.0 } else { target / x.log2() });
    }
    let pow = Function::pow(DType::F32);
    let arguments = [&bases, &exponents].map(|list| list.iter().map(|&x| Scalar::F32(x)).collect());
    for (fused, bound) in [(true, POW_BOUNDS.0[0]), (false, POW_BOUNDS.0[1])] {
        for (i, got) in pow.run(&arguments, fused).into_iter().map(f32_of).enumerate() {
            let want = f64::from(bases[i]).powf(exponents[i].into());
            let error = ulps(got, want);
            assert!(
                error <= bound,
                "{:e}^{:e} is {got:e}, not {want:e}: {error} ulp",
                bases[i],
                exponents[i]
            );
        }
    }
}

#[test]
fn large_angles_are_off_by_no_more_than_stated() {
    // Where the bounds in ulp end and where reduction ends; the error when fused; an ulp of 1.
    let cases = [
        (DType::F32, 6433.0, 6.5e6, 2e-6, f64::from(f32::EPSILON)),
        (DType::F64, 1.6e6, 1.6e9, 3e-16, f64::EPSILON),
    ];
    for op in [UnaryOp::Sin, UnaryOp::Cos] {
        for (dtype, low, high, error_if_fused, ulp) in cases {
            let function = Function::unary(op, dtype);
            let angles = (0..20_000).map(|i| low + f64::from(i) / 20_000.0 * (high - low));
            let points: Vec<Scalar> = angles.map(|x| Scalar::F64(x).convert(dtype)).collect();
            for fused in [true, false] {
                let got = function.run(std::slice::from_ref(&points), fused);
                for (x, got) in points.iter().map(|x| x.as_f64()).zip(got) {
                    let error = (got.as_f64() - reference(op, x, 0.0)).abs();
                    let bound = if fused { error_if_fused } else { x * ulp };
                    assert!(error <= bound, "{op:?}({x}) is {got}: off by {error:e}, fused: {fused}");
                }
            }
            let beyond = Scalar::F64(high * 2.0).convert(dtype);
            assert_eq!(function.at(&[beyond]), function.at(&[Scalar::zero(dtype)]));
        }
    }
}
