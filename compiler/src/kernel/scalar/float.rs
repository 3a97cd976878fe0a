//! Arithmetic with subnormals flushed to zero.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// f32 or f64.
pub(super) trait Float:
    Copy
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The NaN that results are.
    const NAN: Self;
    /// The smallest normal number.
    const SMALLEST: Self;
    /// A power of two that lifts what is about to be subnormal into the middle of the range.
    const LIFT: Self;

    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn mul_add(self, b: Self, c: Self) -> Self;
    fn copysign(self, sign: Self) -> Self;
    fn zero() -> Self;
    fn is_negative(self) -> bool;
    fn to_f64(self) -> f64;
    /// The value rounded and settled.
    fn from_f64(value: f64) -> Self;

    /// The number, or a zero of its sign if it is subnormal.
    fn flush(self) -> Self {
        if self.abs() < Self::SMALLEST { Self::zero().copysign(self) } else { self }
    }

    /// A result, settled, where rounding has not changed it unless it is far from subnormal.
    fn settle_exact(self) -> Self {
        self.settle(|| Self::SMALLEST * Self::LIFT)
    }

    /// A result, settled; `lifted` gives `LIFT` times its magnitude, rounded where nothing is subnormal.
    fn settle(self, lifted: impl FnOnce() -> Self) -> Self {
        if self.is_nan() {
            return Self::NAN;
        }
        let is_tiny = self.abs() < Self::SMALLEST
            // What rounded up to the smallest normal number may be tiny before that.
            || (self.abs() == Self::SMALLEST && lifted().abs() < Self::SMALLEST * Self::LIFT);
        if is_tiny { Self::zero().copysign(self) } else { self }
    }

    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }

    /// The product of flushed operands.
    fn product(a: Self, b: Self) -> Self {
        (a * b).settle(|| {
            let (a, b) = lift_smaller(a, b);
            a * b
        })
    }

    /// The quotient of flushed operands.
    fn quotient(a: Self, b: Self) -> Self {
        (a / b).settle(|| (a * Self::LIFT) / b)
    }

    /// `a · b + c` with one rounding.
    fn fused(a: Self, b: Self, c: Self) -> Self {
        let (a, b, c) = (a.flush(), b.flush(), c.flush());
        a.mul_add(b, c).settle(|| {
            let (a, b) = lift_smaller(a, b);
            a.mul_add(b, c * Self::LIFT)
        })
    }

    /// IEEE 754-2019 `minimum`, of flushed operands.
    fn minimum(a: Self, b: Self) -> Self {
        if a.is_nan() || b.is_nan() {
            Self::NAN
        } else if a < b || (a == b && a.is_negative()) {
            a
        } else {
            b
        }
    }

    /// IEEE 754-2019 `maximum`, of flushed operands.
    fn maximum(a: Self, b: Self) -> Self {
        if a.is_nan() || b.is_nan() {
            Self::NAN
        } else if a > b || (a == b && b.is_negative()) {
            a
        } else {
            b
        }
    }
}

/// Two factors, the one of smaller magnitude times `LIFT`: that one cannot overflow where the product is tiny.
fn lift_smaller<F: Float>(a: F, b: F) -> (F, F) {
    if a.abs() < b.abs() { (a * F::LIFT, b) } else { (a, b * F::LIFT) }
}

macro_rules! float {
    ($t:ident) => {
        impl Float for $t {
            const NAN: $t = $t::NAN;
            const SMALLEST: $t = $t::MIN_POSITIVE;
            const LIFT: $t = (1u128 << 64) as $t;

            fn abs(self) -> $t {
                self.abs()
            }
            fn sqrt(self) -> $t {
                self.sqrt()
            }
            fn floor(self) -> $t {
                self.floor()
            }
            fn ceil(self) -> $t {
                self.ceil()
            }
            fn round_ties_even(self) -> $t {
                self.round_ties_even()
            }
            fn mul_add(self, b: $t, c: $t) -> $t {
                self.mul_add(b, c)
            }
            fn copysign(self, sign: $t) -> $t {
                self.copysign(sign)
            }
            fn zero() -> $t {
                0.0
            }
            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn from_f64(value: f64) -> $t {
                (value as $t).settle(|| (value * <f64 as Float>::LIFT) as $t)
            }
        }
    };
}

float!(f32);
float!(f64);
