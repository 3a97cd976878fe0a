//! Combining elements along the axes of a fold.

use super::super::{Accumulator, BinaryOp, CompareOp, Fold, FoldKind, FoldOp, ScalarId, scalar};
use super::Options;
use crate::tensor::Scalar;
use crate::types::DType;

/// One partial result.
#[derive(Clone, Copy)]
struct Partial {
    /// The combination so far; for argmax and argmin, the element that is ahead, if there is one.
    value: Scalar,
    /// For argmax and argmin: where that element stands; `None` if there was none.
    position: Option<i64>,
}

/// The partial results of a fold at one point of the axes outside it.
pub(super) struct Accumulators<'a> {
    fold: &'a Fold,
    /// By accumulator, then by lane.
    partials: Vec<Partial>,
    /// For scans: the results without the current element.
    before: Vec<Partial>,
    /// How many elements were combined.
    elements: i64,
}

impl<'a> Accumulators<'a> {
    pub fn new(fold: &'a Fold) -> Accumulators<'a> {
        let partials: Vec<Partial> =
            fold.accumulators.iter().flat_map(|a| std::iter::repeat_n(identity(a), fold.lanes)).collect();
        Accumulators { fold, before: partials.clone(), partials, elements: 0 }
    }

    /// Combines the element whose values of the fold's body are given, into a lane.
    pub fn combine(&mut self, values: &[Scalar], lane: usize, options: Options) {
        if self.fold.kind == FoldKind::Scan {
            self.before.copy_from_slice(&self.partials);
        }
        let value = |s: ScalarId| values[s.as_u32() as usize];
        for (accumulator, lanes) in
            self.fold.accumulators.iter().zip(self.partials.chunks_mut(self.fold.lanes))
        {
            let partial = &mut lanes[lane];
            let so_far = partial.value;
            match accumulator.op {
                FoldOp::Dot(a, b) => {
                    partial.value = scalar::fma(value(a), value(b), so_far, options.fused_multiply_add);
                }
                FoldOp::Sum(a)
                | FoldOp::Prod(a)
                | FoldOp::Max(a)
                | FoldOp::Min(a)
                | FoldOp::ArgMax(a)
                | FoldOp::ArgMin(a) => {
                    let element = Partial { value: value(a), position: Some(self.elements) };
                    *partial = join(accumulator.op, *partial, element);
                }
            }
        }
        self.elements += 1;
    }

    /// Combines the lanes into the first, in pairs: `p[i]` with `p[i + L/2]`, then with `p[i + L/4]`, and so on.
    pub fn combine_lanes(&mut self) {
        for (accumulator, lanes) in
            self.fold.accumulators.iter().zip(self.partials.chunks_mut(self.fold.lanes))
        {
            let mut half = lanes.len() / 2;
            while half > 0 {
                for i in 0..half {
                    lanes[i] = join(accumulator.op, lanes[i], lanes[i + half]);
                }
                half /= 2;
            }
        }
    }

    /// The result of an accumulator.
    pub fn value(&self, index: usize, before: bool) -> Scalar {
        let partials = if before { &self.before } else { &self.partials };
        let first = partials[index * self.fold.lanes];
        let accumulator = &self.fold.accumulators[index];
        match accumulator.op {
            FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => {
                Scalar::I64(first.position.unwrap_or(0)).convert(accumulator.dtype)
            }
            _ => first.value,
        }
    }
}

/// What is there before the first element.
fn identity(accumulator: &Accumulator) -> Partial {
    let dtype = accumulator.dtype;
    let value = match accumulator.op {
        FoldOp::Sum(_) | FoldOp::Dot(..) => Scalar::zero(dtype),
        FoldOp::Prod(_) if dtype == DType::Bool => Scalar::Bool(true),
        FoldOp::Prod(_) => Scalar::I32(1).convert(dtype),
        FoldOp::Max(_) => scalar::lowest(dtype),
        FoldOp::Min(_) => scalar::highest(dtype),
        // Never looked at while there is no position.
        FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => Scalar::zero(dtype),
    };
    Partial { value, position: None }
}

/// Two partial results as one, `a` with `b`.
fn join(op: FoldOp, a: Partial, b: Partial) -> Partial {
    let is_bool = a.value.dtype() == DType::Bool;
    let binary = |op| Partial { value: scalar::binary(op, a.value, b.value), position: None };
    match op {
        FoldOp::Sum(_) if is_bool => binary(BinaryOp::Or),
        FoldOp::Sum(_) | FoldOp::Dot(..) => binary(BinaryOp::Add),
        FoldOp::Prod(_) if is_bool => binary(BinaryOp::And),
        FoldOp::Prod(_) => binary(BinaryOp::Mul),
        FoldOp::Max(_) => binary(BinaryOp::Max),
        FoldOp::Min(_) => binary(BinaryOp::Min),
        FoldOp::ArgMax(_) => ahead(CompareOp::Gt, a, b),
        FoldOp::ArgMin(_) => ahead(CompareOp::Lt, a, b),
    }
}

/// The one of two elements that is ahead: NaN before all else, then by `order`, then by position.
fn ahead(order: CompareOp, a: Partial, b: Partial) -> Partial {
    let (Some(at_a), Some(at_b)) = (a.position, b.position) else {
        return if a.position.is_some() { a } else { b };
    };
    let b_wins = match (scalar::is_nan(a.value), scalar::is_nan(b.value)) {
        (false, false) if scalar::compare(order, b.value, a.value) => true,
        (false, false) if scalar::compare(order, a.value, b.value) => false,
        (false, true) => true,
        (true, false) => false,
        _ => at_b < at_a,
    };
    if b_wins { b } else { a }
}
