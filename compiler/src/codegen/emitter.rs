//! What an implementation of kernels must be able to emit: a whole task, of loops and tests around straight-line code
//! over scalars and vectors.
//!
//! A *word* is a 64-bit integer outside of Kernel IR: a coordinate or an address. A *value* is an element (`lanes` 1)
//! or a vector of elements. Which vectors there are, and which instructions have a form over them, is said by
//! [`Vectors`](super::Vectors); what has no form is emitted lane by lane by [`body`](super::body).

use crate::kernel::{BinaryOp, CompareOp, UnaryOp};
use crate::tensor::Scalar;
use crate::types::DType;

/// Type of a value: so many elements of a dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VectorType {
    /// Type of an element.
    pub dtype: DType,
    /// Number of elements, a power of two; 1 is a scalar.
    pub lanes: usize,
}

impl VectorType {
    /// One element.
    pub fn scalar(dtype: DType) -> VectorType {
        VectorType { dtype, lanes: 1 }
    }

    /// The same number of elements of another dtype.
    pub fn with_dtype(self, dtype: DType) -> VectorType {
        VectorType { dtype, ..self }
    }
}

/// An index that is checked while code runs.
#[derive(Clone, Copy, Debug)]
pub struct CheckedIndex<W> {
    /// Which check site of the function.
    pub site: usize,
    /// Where the index stands in the checked value, row-major.
    pub position: W,
    /// Indices must be at least 0 and below this.
    pub bound: usize,
}

/// A comparison of a word with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordTest {
    /// They are the same.
    Equal,
    /// The word is the number or above, both signed.
    AtLeast,
}

/// Emits a task. Results have the type `ty` that is passed, and so have operands unless said otherwise; what an
/// operation computes is defined in [`kernel`](crate::kernel).
///
/// Where `active` is passed, only the first so many lanes of a vector count (at least 1, at most `ty.lanes`; 1 for a
/// scalar): a vector with fewer active lanes than it has is *partial*. `load` and `store` of such are only asked for where
/// [`Vectors::has_memory`](super::Vectors::has_memory) says that there are, `merge` where
/// [`Vectors::has_partial`](super::Vectors::has_partial) does.
pub trait VectorEmitter {
    /// An element or a vector.
    type Value: Copy;
    /// A 64-bit coordinate or address.
    type Word: Copy;
    /// A loop that was begun.
    type Loop;
    /// A test that was begun.
    type If;

    /// Begins a loop: gives it, its counter and what it carries as the turn finds it. The counter is `first` and what is
    /// carried is `carried` in the first turn, which always runs. What is emitted next is the turn.
    fn begin_loop(
        &mut self,
        first: Self::Word,
        carried: &[Self::Value],
    ) -> (Self::Loop, Self::Word, Vec<Self::Value>);
    /// Ends the turn of the loop that was begun last: it runs again, with the counter raised by `step` and with what is
    /// `carried` on, as long as the counter is then below `end`, both signed. Gives what is carried as the code after
    /// the loop finds it.
    fn end_loop(
        &mut self,
        inner: Self::Loop,
        step: usize,
        end: Self::Word,
        carried: &[Self::Value],
    ) -> Vec<Self::Value>;
    /// Begins code that runs only if `test` holds of `word` and `number`. Code after its end uses none of its values.
    fn begin_if(&mut self, test: WordTest, word: Self::Word, number: usize) -> Self::If;
    /// Ends the code that was begun last.
    fn end_if(&mut self, inner: Self::If);
    /// What `then` gives if `c` is true, which it mostly is, else what `otherwise` gives; only one of them runs.
    fn mostly(
        &mut self,
        ty: VectorType,
        c: Self::Value,
        then: &mut dyn FnMut(&mut Self) -> Self::Value,
        otherwise: &mut dyn FnMut(&mut Self) -> Self::Value,
    ) -> Self::Value;

    /// A constant word.
    fn word(&mut self, value: i64) -> Self::Word;
    /// `a + b`.
    fn word_add(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a - b`.
    fn word_sub(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// The smaller one, signed.
    fn word_min(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a · factor`.
    fn word_times(&mut self, a: Self::Word, factor: i64) -> Self::Word;
    /// `a / by`, rounded down, where `a` is not negative and `by` at least 1.
    fn word_divide(&mut self, a: Self::Word, by: usize) -> Self::Word;
    /// Whether `0 ≤ a < below`, as a scalar bool.
    fn word_within(&mut self, a: Self::Word, below: usize) -> Self::Value;
    /// `if c { a } else { b }`.
    fn word_select(&mut self, c: Self::Value, a: Self::Word, b: Self::Word) -> Self::Word;
    /// A word as an element of type i32 (wrapping) or i64.
    fn word_value(&mut self, word: Self::Word, dtype: DType) -> Self::Value;
    /// An element of type i32 or i64 as a word.
    fn value_word(&mut self, value: Self::Value, dtype: DType) -> Self::Word;

    /// Address of memory that holds a vector of this constant and as many bytes as a vector has.
    fn constant_address(&mut self, constant: Scalar) -> Self::Word;
    /// What memory at `address + offset` holds: the active elements, of which those of bools are nonzero bytes, and
    /// zeros in other lanes. No byte behind the active elements is touched. `fixed` promises that the memory does not
    /// change while the loop runs that the address depends on, so that the load may move within it.
    fn load(
        &mut self,
        ty: VectorType,
        active: usize,
        address: Self::Word,
        offset: i32,
        fixed: bool,
    ) -> Self::Value;
    /// Puts the active elements of a value into memory at `address + offset`, and touches no byte behind them.
    fn store(&mut self, ty: VectorType, active: usize, value: Self::Value, address: Self::Word, offset: i32);
    /// Asks for the cache line at `address + offset`, which code will read or write before long; it need not be memory.
    fn prefetch(&mut self, address: Self::Word, offset: i32);
    /// The active lanes of `new`, and the others of `old`.
    fn merge(&mut self, ty: VectorType, active: usize, new: Self::Value, old: Self::Value) -> Self::Value;

    /// A constant in every lane.
    fn constant(&mut self, constant: Scalar, lanes: usize) -> Self::Value;
    /// A scalar in every lane.
    fn splat(&mut self, ty: VectorType, scalar: Self::Value) -> Self::Value;
    /// The lane of a vector, as a scalar.
    fn lane(&mut self, ty: VectorType, vector: Self::Value, lane: usize) -> Self::Value;
    /// The lower and the upper half of a vector, as vectors, if there are such of half as many lanes that it is worth to
    /// go on with. `None` otherwise, and nothing is emitted.
    fn halves(&mut self, ty: VectorType, vector: Self::Value) -> Option<[Self::Value; 2]>;
    /// The vector with one lane replaced by a scalar.
    fn with_lane(
        &mut self,
        ty: VectorType,
        vector: Self::Value,
        lane: usize,
        scalar: Self::Value,
    ) -> Self::Value;
    /// Scalars in the first lanes, at least one; what is in others may be any of them.
    fn vector_of(&mut self, ty: VectorType, scalars: &[Self::Value]) -> Self::Value;
    /// As many vectors as each has lanes, the other way round: lane `i` of the `j`-th result is lane `j` of the `i`-th operand.
    /// Only asked for where [`Vectors::has_transpose`](super::Vectors::has_transpose) says so.
    fn transposed(&mut self, ty: VectorType, vectors: &[Self::Value]) -> Vec<Self::Value>;
    /// `start + lane · step`, for i32 and i64; `start` is a scalar.
    fn iota(&mut self, ty: VectorType, start: Self::Value, step: i64) -> Self::Value;

    /// A primitive function of one operand.
    fn unary(&mut self, op: UnaryOp, ty: VectorType, a: Self::Value) -> Self::Value;
    /// A primitive function of two operands; not a shift of a vector.
    fn binary(&mut self, op: BinaryOp, ty: VectorType, a: Self::Value, b: Self::Value) -> Self::Value;
    /// A shift of every lane by the same amount, a scalar.
    fn shift(&mut self, op: BinaryOp, ty: VectorType, a: Self::Value, amount: Self::Value) -> Self::Value;
    /// `a · b + c`, fused where the target can.
    fn fma(&mut self, ty: VectorType, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;
    /// A comparison of operands of type `ty`; the result is bool.
    fn compare(&mut self, op: CompareOp, ty: VectorType, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `if c { a } else { b }`, lane by lane; `c` is bool.
    fn select(&mut self, ty: VectorType, c: Self::Value, a: Self::Value, b: Self::Value) -> Self::Value;
    /// Conversion from `from` as op `cast` defines it.
    fn convert(&mut self, ty: VectorType, from: DType, a: Self::Value) -> Self::Value;
    /// The bits of an operand of dtype `from`, of the same size.
    fn bitcast(&mut self, ty: VectorType, from: DType, a: Self::Value) -> Self::Value;
    /// A scalar index of type i32 or i64: itself if it is within bounds, else the nearest one that is, after the
    /// error was reported.
    fn check(&mut self, dtype: DType, index: Self::Value, what: CheckedIndex<Self::Word>) -> Self::Value;
}
