//! Valid operands for the op laws, drawn from a seed.

use crate::ops::Op;
use crate::tensor::Tensor;

/// An op with valid operands.
#[derive(Clone, Debug)]
pub struct Case {
    /// The op with its attributes.
    pub op: Op,
    /// Operands; floats are f32, and the laws run them in f64 too.
    pub operands: Vec<Tensor>,
    /// Whether finite differences can check the gradient at these operands.
    pub gradient: GradientCheck,
}

/// Whether finite differences say anything about the gradient at a case's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradientCheck {
    /// The function is smooth around the operands.
    Smooth,
    /// It is not, for this reason.
    Skip(&'static str),
}

impl Case {
    /// A case at operands around which the op is smooth.
    pub fn smooth(op: impl Into<Op>, operands: Vec<Tensor>) -> Case {
        Case { op: op.into(), operands, gradient: GradientCheck::Smooth }
    }

    /// A case whose gradient finite differences cannot check.
    pub fn skip(op: impl Into<Op>, operands: Vec<Tensor>, reason: &'static str) -> Case {
        Case { op: op.into(), operands, gradient: GradientCheck::Skip(reason) }
    }
}

/// Shapes that elementwise ops are tried at: a scalar, empty, single, odd and round ones.
pub const SHAPES: [&[usize]; 8] = [&[], &[0], &[1], &[3], &[17], &[4, 8], &[2, 3, 5], &[2, 0, 3]];

/// A source of random operands (SplitMix64; Steele, Lea, Flood 2014).
pub struct Sampler {
    state: u64,
}

impl Sampler {
    /// The sampler of a seed.
    pub fn new(seed: u64) -> Sampler {
        Sampler { state: seed }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number of `low .. high`.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low).max(1) as u64) as i64
    }

    /// A number of `low .. high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (self.bits() >> 11) as f64 / (1u64 << 53) as f64 * (high - low)
    }

    /// An f32 tensor with elements in `low .. high`.
    pub fn floats(&mut self, shape: &[usize], low: f64, high: f64) -> Tensor {
        let n = shape.iter().product();
        Tensor::from_vec(shape, (0..n).map(|_| self.real(low, high) as f32).collect())
    }

    /// An f32 tensor with elements in `-2 .. 2`, all at least 0.05 away from 0 and from one another where there are few:
    /// away from the kinks and ties of abs, max and sorting.
    pub fn distinct(&mut self, shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.int(0, i as i64 + 1) as usize);
        }
        let step = 4.0 / n.max(1) as f64;
        let at = |i: usize| -2.0 + (i as f64 + 0.5) * step;
        let away = |v: f64| if v.abs() < 0.05 { v + 0.1 } else { v };
        Tensor::from_vec(shape, order.into_iter().map(|i| away(at(i)) as f32).collect())
    }

    /// An i32 tensor with elements in `low .. high`.
    pub fn ints(&mut self, shape: &[usize], low: i64, high: i64) -> Tensor {
        let n = shape.iter().product();
        Tensor::from_vec(shape, (0..n).map(|_| self.int(low, high) as i32).collect())
    }

    /// A bool tensor.
    pub fn bools(&mut self, shape: &[usize]) -> Tensor {
        let n = shape.iter().product();
        Tensor::from_vec(shape, (0..n).map(|_| self.bits() & 1 == 1).collect())
    }
}
