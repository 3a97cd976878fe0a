//! A builder for the expansions of one float type.

use std::ops::Deref;

use crate::kernel::{BodyBuilder, ScalarId};
use crate::types::DType;

/// Coefficients of a polynomial for each float type, constant term first.
pub(super) struct Coefficients {
    pub f32: &'static [f32],
    pub f64: &'static [f64],
}

/// A [`BodyBuilder`] together with a float type and facts about it. Constants are of that type, or of the integer type
/// of the same size.
#[derive(Clone, Copy)]
pub(super) struct FloatBuilder<'b> {
    body: &'b BodyBuilder,
    dtype: DType,
}

impl Deref for FloatBuilder<'_> {
    type Target = BodyBuilder;

    fn deref(&self) -> &BodyBuilder {
        self.body
    }
}

impl<'b> FloatBuilder<'b> {
    /// For values of the type of `x`.
    pub fn of(body: &'b BodyBuilder, x: ScalarId) -> FloatBuilder<'b> {
        let dtype = body.dtype(x);
        assert!(matches!(dtype, DType::F32 | DType::F64), "expected f32 or f64, found {dtype}");
        FloatBuilder { body, dtype }
    }

    /// The first for f32, the second for f64.
    pub fn pick<T>(&self, f32: T, f64: T) -> T {
        if self.dtype == DType::F32 { f32 } else { f64 }
    }

    /// A constant.
    pub fn c(&self, value: f64) -> ScalarId {
        self.float(self.dtype, value)
    }

    /// A constant that differs between the types.
    pub fn pick_c(&self, f32: f64, f64: f64) -> ScalarId {
        self.c(self.pick(f32, f64))
    }

    /// ln 2 as a sum of 15 (f64: 32) bits and the rest, so that the product of the first with an exponent is exact.
    pub fn ln2_parts(&self) -> (f64, f64) {
        self.pick((0.693145751953125, 1.428606765330187e-6), (0.6931471803691238, 1.9082149292705877e-10))
    }

    /// An integer constant.
    pub fn i(&self, value: i64) -> ScalarId {
        self.int(self.int_dtype(), value)
    }

    fn int_dtype(&self) -> DType {
        self.pick(DType::I32, DType::I64)
    }

    /// Bits of the significand that are stored.
    fn significand_bits(&self) -> i64 {
        self.pick(23, 52)
    }

    fn sign_mask(&self) -> i64 {
        self.pick(i64::from(i32::MIN), i64::MIN)
    }

    /// The bits of 2.
    pub fn two_bits(&self) -> i64 {
        self.pick(i64::from(2f32.to_bits()), 2f64.to_bits() as i64)
    }

    /// The bits of -∞.
    pub fn minus_infinity_bits(&self) -> i64 {
        self.pick(i64::from(f32::NEG_INFINITY.to_bits() as i32), f64::NEG_INFINITY.to_bits() as i64)
    }

    /// The least positive normal number: anything smaller counts as zero.
    pub fn min_normal(&self) -> f64 {
        self.pick(f64::from(f32::MIN_POSITIVE), f64::MIN_POSITIVE)
    }

    /// The bits of a float.
    pub fn bits_of(&self, x: ScalarId) -> ScalarId {
        self.bitcast(x, self.int_dtype())
    }

    /// The float with these bits.
    pub fn with_bits(&self, bits: ScalarId) -> ScalarId {
        self.bitcast(bits, self.dtype)
    }

    /// The sign bit of a float, all other bits 0.
    pub fn sign_bit(&self, x: ScalarId) -> ScalarId {
        self.and(self.bits_of(x), self.i(self.sign_mask()))
    }

    /// An integer whose every bit is the sign bit of a float.
    pub fn all_sign(&self, x: ScalarId) -> ScalarId {
        self.shr_arith(self.bits_of(x), self.i(self.pick(31, 63)))
    }

    /// `x` with its sign flipped where the sign bit of `sign` is set. All other bits of `sign` must be 0.
    pub fn flip_sign(&self, x: ScalarId, sign: ScalarId) -> ScalarId {
        self.with_bits(self.xor(self.bits_of(x), sign))
    }

    /// An integer at the place of the exponent.
    pub fn at_exponent(&self, n: ScalarId) -> ScalarId {
        self.shl(n, self.i(self.significand_bits()))
    }

    /// What stands at the place of the exponent, rounded down, with the sign bit as its sign.
    pub fn exponent(&self, bits: ScalarId) -> ScalarId {
        self.shr_arith(bits, self.i(self.significand_bits()))
    }

    /// Moves the second lowest bit of an integer to the place of the sign, and clears all others.
    pub fn second_bit_to_sign(&self, n: ScalarId) -> ScalarId {
        let moved = self.shl(n, self.i(self.pick(30, 62)));
        self.and(moved, self.i(self.sign_mask()))
    }

    /// 1.5 · 2²³ or 1.5 · 2⁵². Adding it to a number below a third of it in magnitude rounds that to an integer, which
    /// then stands in the low bits of the sum, in two's complement.
    fn shifter(&self) -> f64 {
        self.pick(12_582_912.0, 6_755_399_441_055_744.0)
    }

    /// `fma(x, factor, shifter)` as `(shifted, n)`: the integer nearest to `x · factor` in the low bits of `shifted`,
    /// and as a float. Reference: Muller, "Elementary Functions", 3rd ed., 2016, §11.
    pub fn round_product(&self, x: ScalarId, factor: f64) -> (ScalarId, ScalarId) {
        let shifter = self.c(self.shifter());
        let shifted = self.fma(x, self.c(factor), shifter);
        (self.bits_of(shifted), self.sub(shifted, shifter))
    }

    /// As [`round_product`](FloatBuilder::round_product) with a factor of 1.
    pub fn round_shifted(&self, x: ScalarId) -> (ScalarId, ScalarId) {
        let shifter = self.c(self.shifter());
        let shifted = self.add(x, shifter);
        (self.bits_of(shifted), self.sub(shifted, shifter))
    }

    /// An integer of small magnitude as a float.
    pub fn small_int_to_float(&self, n: ScalarId) -> ScalarId {
        let shifter = self.shifter();
        let bits = self.pick(i64::from((shifter as f32).to_bits()), shifter.to_bits() as i64);
        self.sub(self.with_bits(self.add(n, self.i(bits))), self.c(shifter))
    }

    /// The negative of an integer of small magnitude as a float; that of 0 is 0, not -0.
    pub fn minus_small_int(&self, n: ScalarId) -> ScalarId {
        let shifter = self.shifter();
        let bits = self.pick(i64::from((shifter as f32).to_bits()), shifter.to_bits() as i64);
        self.sub(self.c(shifter), self.with_bits(self.add(n, self.i(bits))))
    }

    /// The upper half of the significand (12 or 26 bits), so that the product of two such numbers is exact.
    pub fn upper_half(&self, x: ScalarId) -> ScalarId {
        let mask = self.pick(!0 << 12, !0 << 27);
        self.with_bits(self.and(self.bits_of(x), self.i(mask)))
    }

    /// The value of a polynomial, by Horner's rule.
    pub fn polynomial(&self, x: ScalarId, coefficients: &Coefficients) -> ScalarId {
        self.horner(x, &self.constants(coefficients))
    }

    /// The value of a polynomial as `e(x²) + x·o(x²)`: a chain of operations half as long as by Horner's rule, with one
    /// operation more if nothing else needs `x²`, and about the same error.
    pub fn polynomial_in_halves(&self, x: ScalarId, coefficients: &Coefficients) -> ScalarId {
        let constants = self.constants(coefficients);
        let every_second = |first| constants.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
        let square = self.mul(x, x);
        let even = self.horner(square, &every_second(0));
        self.fma(self.horner(square, &every_second(1)), x, even)
    }

    /// `x` times the value of a polynomial, rounded about once: where `x` is small, what is added to its product with the constant
    /// term is.
    pub fn product_in_halves(&self, x: ScalarId, coefficients: &Coefficients) -> ScalarId {
        let rest = Coefficients { f32: &coefficients.f32[1..], f64: &coefficients.f64[1..] };
        let rest = self.mul(self.mul(x, x), self.polynomial_in_halves(x, &rest));
        self.fma(x, self.constants(coefficients)[0], rest)
    }

    fn constants(&self, coefficients: &Coefficients) -> Vec<ScalarId> {
        match self.dtype {
            DType::F32 => coefficients.f32.iter().map(|&c| self.c(f64::from(c))).collect(),
            _ => coefficients.f64.iter().map(|&c| self.c(c)).collect(),
        }
    }

    fn horner(&self, x: ScalarId, coefficients: &[ScalarId]) -> ScalarId {
        let (&highest, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        rest.iter().rev().fold(highest, |sum, &c| self.fma(sum, x, c))
    }
}
