//! Scalars as written, before their type is known.

use std::ops::Range;

use super::TokenKind;
use crate::diagnostic::{Diagnostic, Place};
use crate::tensor::Scalar;
use crate::types::DType;

/// A number, `inf`, `nan`, `nan(0x7fc00001)` (a NaN by its bits), `true` or `false`, with an optional `-`.
///
/// What it stands for depends on the type it is read as: `0.1` is another number in f32 than in f64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    /// Whether a `-` stood before it.
    pub negative: bool,
    /// The word or number.
    pub kind: TokenKind<'a>,
    /// The bits of a NaN, where they are given.
    pub bits: Option<u64>,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

impl Literal<'_> {
    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.kind {
            TokenKind::Int(magnitude) if self.negative => 0i64.checked_sub_unsigned(magnitude),
            TokenKind::Int(magnitude) => i64::try_from(magnitude).ok(),
            _ => None,
        }
    }

    /// The element of `dtype` that is written. Integers are accepted for floats; floats round to nearest.
    ///
    /// # Errors
    /// E0102 if it is not of this type or out of its range.
    pub fn scalar(&self, dtype: DType) -> Result<Scalar, Diagnostic> {
        let scalar = match dtype {
            DType::F32 => self.float(|text| text.parse().ok(), f32::INFINITY, f32::NAN).map(Scalar::F32),
            DType::F64 => self.float(|text| text.parse().ok(), f64::INFINITY, f64::NAN).map(Scalar::F64),
            DType::I32 => self.as_i64().and_then(|v| v.try_into().ok()).map(Scalar::I32),
            DType::I64 => self.as_i64().map(Scalar::I64),
            DType::U8 => self.as_i64().and_then(|v| v.try_into().ok()).map(Scalar::U8),
            DType::Bool => match self.kind {
                TokenKind::Word("true") if !self.negative => Some(Scalar::Bool(true)),
                TokenKind::Word("false") if !self.negative => Some(Scalar::Bool(false)),
                _ => None,
            },
            DType::F16 | DType::BF16 => None,
        };
        let scalar = match self.bits {
            // A NaN by its bits must be one and must fit its type.
            Some(bits) => scalar
                .map(|s| Scalar::from_bits(s.dtype(), bits))
                .filter(|s| s.bits() == bits && s.as_f64().is_nan()),
            None => scalar,
        };
        scalar.ok_or_else(|| {
            Diagnostic::new("E0102", format!("not a value of {dtype}"))
                .at(Place::Text(self.range.clone()), format!("expected a value of {dtype}"))
        })
    }

    fn float<T: std::ops::Neg<Output = T>>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
        infinity: T,
        nan: T,
    ) -> Option<T> {
        let magnitude = match self.kind {
            TokenKind::Int(v) => parse(&v.to_string()),
            TokenKind::Float(text) => parse(text),
            TokenKind::Word("inf") => Some(infinity),
            TokenKind::Word("nan") => Some(nan),
            _ => None,
        };
        magnitude.map(|v| if self.negative { -v } else { v })
    }
}
