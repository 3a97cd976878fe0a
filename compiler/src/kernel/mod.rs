//! Kernel IR: what a program computes, as loop nests over buffers, with nothing left of the graph.
//!
//! A [`KernelFunction`] is a list of buffers and a list of kernels that run in order. A [`Kernel`] is a nest of
//! independent outer *axes* and, for every point of it, an ordered list of *stages*. A [`Stage`] has axes of its own,
//! an optional [`Fold`] (a reduction, contraction or scan) and a scalar [`Body`] whose values are stored. Operands are
//! read through *views*: one affine expression of the axes per axis of the buffer, with guards and a fill value
//! where a view reaches outside (padding).
//!
//! ```text
//! kernel k0 (i0 < 100, i1 < 128) {
//!   stage {
//!     fold (i2 < 784) {
//!       s0 = load buf0[i0, i2] : f32
//!       s1 = load buf1[i2, i1] : f32
//!       acc0 = dot s0, s1 : f32
//!     }
//!     s0 = acc0 : f32
//!     s1 = load buf2[i1] : f32
//!     s2 = add s0, s1 : f32
//!     store s2, buf3[i0, i1]
//!   }
//! }
//! ```
//!
//! # Axes
//! Within a stage, axes are numbered by position: first the kernel's, then the stage's, then the fold's. `i2` is
//! the third of that list.
//!
//! # Batch size
//! An extent is a number or a multiple of the batch size ([`Extent`]), printed `n` or `3*n`. A function with such
//! extents is for every batch size from 1 to its [`largest`](KernelFunction::largest), and means for each what
//! [`KernelFunction::at`] makes of it. Buffers lie in memory as for the largest.
//!
//! # What a kernel computes
//! For every point of the kernel's axes, in any order: for every stage in order: for every point of the stage's axes,
//! in any order: the fold, if there is one, then the body, then the stores. A schedule may run a stage for many points
//! before it runs the next stage for them, for points of the kernel's axes never depend on one another.
//! - Only [`BufferKind::Local`] buffers and buffers written by the same point may be read back within a kernel.
//! - The order of additions is part of the meaning, so that every execution gives the same bits: a fold with `lanes`
//!   L keeps L partial results; the element with coordinate `c` on the innermost fold axis goes to partial `c mod L`,
//!   in row-major order of the fold's axes; at the end partials are combined pairwise (`p[i] ∘ p[i + L/2]`, then L/4 …).
//! - Subnormal f32 and f64 operands and results of arithmetic are flushed to zero; [`scalar`] says it to the bit.
//! - Where a check fails, the kernel goes on with the nearest index, and the function ends after it ([`evaluate`]).

mod affine;
mod axes;
mod build;
mod eval;
mod extent;
pub mod math;
mod names;
mod parse;
mod parse_body;
mod partial;
mod print;
#[cfg(test)]
pub(crate) mod random;
pub mod scalar;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;
mod uses;
mod verify;

pub use affine::Affine;
pub use axes::{AxisMap, move_index};
pub use build::BodyBuilder;
pub use eval::{IndexError, Memory, Options, evaluate};
pub use extent::{Extent, fixed, most, points};
pub use parse::parse;
pub use partial::{lanes_along, lanes_of_products};
pub use sweep::sweep;
pub use uses::{Part, Uses};
pub use verify::{MAX_STORES, stays_within, verify};

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, dense_strides};

/// A buffer of a [`KernelFunction`], printed `buf3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(u32);
entity_impl!(BufferId, "buf");

/// A value of a [`Body`], printed `s3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScalarId(u32);
entity_impl!(ScalarId, "s");

/// Position of an axis in the list of a stage's axes: the kernel's, the stage's, the fold's.
pub type Axis = usize;

/// The largest number of axes that a stage may have, its kernel's and its fold's included.
pub const MAX_AXES: usize = 64;

/// A function of the graph, lowered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFunction {
    /// Name of the graph function.
    pub name: String,
    /// Everything that kernels read and write.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// In order of execution.
    pub kernels: Vec<Kernel>,
    /// What [`InstKind::Check`] instructions check, for the error that they report.
    pub checks: Vec<CheckSite>,
    /// The largest batch size that it is for, where extents depend on the batch size.
    pub largest: Option<usize>,
}

/// A row-major array. Its *rows* are along the innermost axis; they follow each other without gaps unless it has a pitch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Where it comes from in the source, such as `dense1/kernel`; for people.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<Extent>,
    /// Elements from the start of a row to the start of the next one, where that is more than the row has. What is
    /// between two rows is never read.
    pub pitch: Option<usize>,
    /// What it holds, which decides where it is stored.
    pub kind: BufferKind,
}

/// What a buffer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BufferKind {
    /// The n-th parameter of the function. Read only.
    Param(usize),
    /// The n-th result of the function. Written once.
    Result(usize),
    /// The n-th variable of the module, at entry. Read only. Where variables are stored in panels, the numbers behind those of the
    /// module's are columns that fill none ([`rest_of`](crate::memory::rest_of)).
    Variable(usize),
    /// The value assigned to the n-th variable of the module; it takes effect when the function returns. Written once.
    Next(usize),
    /// Known when compiled. Read only.
    Constant(Tensor),
    /// The instance's random state: `i64[2]` with the seed and the step. Read only.
    RandomState,
    /// The bytes of another buffer of the same dtype and number of elements, under another shape. Read only.
    Alias(BufferId),
    /// A value that one kernel writes and others read.
    Temp,
    /// A value that never leaves its kernel, where every point of the kernel's axes reads only what it wrote.
    Local,
}

impl Buffer {
    /// Number of elements, for the largest batch size.
    pub fn elements(&self) -> usize {
        points(&self.shape)
    }

    /// Size in bytes, without rounding; gaps between rows count, and so does the one after the last row.
    pub fn bytes(&self) -> usize {
        match (self.pitch, self.shape.split_last()) {
            (Some(pitch), Some((_, outer))) => points(outer) * pitch * self.dtype.bytes(),
            _ => self.elements() * self.dtype.bytes(),
        }
    }

    /// Elements from an index to the next one, for every axis.
    pub fn strides(&self) -> Vec<usize> {
        let mut extents = most(&self.shape);
        if let (Some(pitch), Some(row)) = (self.pitch, extents.last_mut()) {
            *row = pitch;
        }
        dense_strides(&extents)
    }
}

/// What a check compares, so that an error can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSite {
    /// Name of the value that holds the indices, such as `y`.
    pub name: String,
    /// Its extents, to turn a row-major position into coordinates.
    pub shape: Vec<usize>,
    /// Indices must be at least 0 and below this. At least 1.
    pub bound: usize,
}

/// A nest of independent axes around an ordered list of stages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Unique within its function, such as `k5`.
    pub name: String,
    /// Extents of the independent axes.
    pub axes: Vec<Extent>,
    /// Run in order for each point of the axes.
    pub stages: Vec<Stage>,
    /// How to run it. It never changes what is computed.
    pub schedule: Schedule,
    /// Source names of the nodes that the kernel computes, in order; for people.
    pub origin: Vec<String>,
}

/// One loop nest of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Extents of the axes that this stage has beyond the kernel's.
    pub axes: Vec<Extent>,
    /// What is computed over further axes before the body runs.
    pub fold: Option<Fold>,
    /// Scalar code for one point: of the kernel's and the stage's axes, and, within a scan, of the fold's axes.
    pub body: Body,
    /// What of the body's values is kept.
    pub stores: Vec<Store>,
}

/// A combination of elements along axes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fold {
    /// Whether the body runs once at the end or after every element.
    pub kind: FoldKind,
    /// Extents of the axes that are folded.
    pub axes: Vec<Extent>,
    /// Number of partial results (see the module's text); a power of two. Always 1 for a scan.
    pub lanes: usize,
    /// Scalar code for one element.
    pub body: Body,
    /// What is combined.
    pub accumulators: Vec<Accumulator>,
}

/// When a stage's body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoldKind {
    /// Once after all elements; accumulators hold the result.
    Reduce,
    /// After every element, in row-major order of the fold's axes; accumulators hold the result so far.
    /// With no accumulators it is a loop in order, which scatter uses.
    Scan,
}

/// One result of a fold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accumulator {
    /// How an element is combined with the result so far.
    pub op: FoldOp,
    /// Type of the result: that of the operands, but an integer type for argmax and argmin.
    pub dtype: DType,
}

/// How a fold combines. The operands are values of the fold's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoldOp {
    /// `acc + a`, from 0. On bool: or.
    Sum(ScalarId),
    /// `acc · a`, from 1. On bool: and.
    Prod(ScalarId),
    /// The larger, from -∞ or the least integer; NaN wins.
    Max(ScalarId),
    /// The smaller, from +∞ or the largest integer; NaN wins.
    Min(ScalarId),
    /// `fma(a, b, acc)`, from 0: a contraction.
    Dot(ScalarId, ScalarId),
    /// Row-major position within the fold's axes of the first largest element; the first NaN wins. 0 if there is none.
    ArgMax(ScalarId),
    /// Row-major position within the fold's axes of the first smallest element; the first NaN wins. 0 if there is none.
    ArgMin(ScalarId),
}

/// Straight-line scalar code in SSA form; a value may be used only after its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Body {
    /// The instructions, each defining one value.
    pub insts: PrimaryMap<ScalarId, Inst>,
}

/// An instruction of a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inst {
    /// What it computes.
    pub kind: InstKind,
    /// Type of its value.
    pub dtype: DType,
}

/// What an instruction computes. Operands have the type of the result unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstKind {
    /// A constant.
    Const(Scalar),
    /// The value of an affine expression of the axes, as i32 or i64.
    Index(Affine),
    /// An extent, as i64.
    Extent(Extent),
    /// An element of a buffer of this type.
    Load(Access),
    /// The n-th accumulator of the stage's fold. In a scan: including the current element, or excluding it if `before`.
    /// Only in a stage's body, not in a fold's.
    Acc {
        /// Which accumulator.
        index: usize,
        /// Whether the current element is left out (scans only).
        before: bool,
    },
    /// A function of one operand.
    Unary(UnaryOp, ScalarId),
    /// A function of two operands.
    Binary(BinaryOp, ScalarId, ScalarId),
    /// `a · b + c` with one rounding; where the CPU level lacks it, with two.
    Fma(ScalarId, ScalarId, ScalarId),
    /// A comparison of two operands of one type; the result is bool. With NaN only `Ne` holds.
    Compare(CompareOp, ScalarId, ScalarId),
    /// `if c { a } else { b }`, where `c` is bool.
    Select(ScalarId, ScalarId, ScalarId),
    /// The operand converted as graph op `cast` defines it.
    Convert(ScalarId),
    /// The operand's bits as another type of the same size.
    Bitcast(ScalarId),
    /// Whether all guards hold, as bool.
    InBounds(Vec<Guard>),
    /// The operand (i32 or i64) if it lies within the bound of the check site, else the nearest index within it after
    /// the error `(site, position, operand)` was reported. `position` is row-major in the checked value.
    Check {
        /// The index to check.
        value: ScalarId,
        /// Which [`CheckSite`] of the function.
        site: usize,
        /// Where the index stands, for the error.
        position: Affine,
    },
    /// A word of the Philox-4x32-10 block for `(seed, step, key, element)`, as i64 in 0 .. 2³².
    ///
    /// The counter's words are (element low, element high, step low, step high), 32 bits each; the key's are (low,
    /// high) of `seed xor (key · 0x9E3779B97F4A7C15)`, the product modulo 2⁶⁴.
    /// Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
    Philox {
        /// Fixed when the graph is built; tells one random node from another.
        key: u64,
        /// i64.
        seed: ScalarId,
        /// i64.
        step: ScalarId,
        /// Row-major position of the element, i64.
        element: ScalarId,
        /// Which of the block's four words.
        word: u8,
    },
}

/// A function of one scalar. The ones under "functions" are expanded into the primitive ones by [`math`](crate::kernel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum UnaryOp {
    // Primitive. Integers wrap; `Abs` of the least integer is itself.
    Neg,
    Abs,
    Sqrt,
    Floor,
    Ceil,
    /// To the nearest integer, halves to even.
    Round,
    /// Logical on bool, bitwise on integers.
    Not,
    // Functions.
    /// -1, 0 or 1; NaN stays, zeros keep their sign.
    Sign,
    Rsqrt,
    Exp,
    /// `exp(x) - 1`.
    Expm1,
    Log,
    /// `log(1 + x)`.
    Log1p,
    Sin,
    Cos,
    Tanh,
    Erf,
    /// The inverse of erf: -∞ at -1, +∞ at 1, NaN outside.
    ErfInv,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// A function of two scalars. All but `Pow` are primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum BinaryOp {
    // Integers wrap.
    Add,
    Sub,
    Mul,
    /// Integers truncate; division by zero is 0, and the least integer by -1 is itself.
    Div,
    /// NaN if either is; -0 is below 0.
    Min,
    /// NaN if either is; -0 is below 0.
    Max,
    /// Logical on bool, bitwise on integers.
    And,
    Or,
    Xor,
    /// On i32 and i64; the amount (of the same type) is taken modulo the width.
    Shl,
    /// Shift right, filling with zeros.
    ShrLogical,
    /// Shift right, filling with the sign.
    ShrArith,
    /// Floats as IEEE 754 `pow`; integers by repeated multiplication, wrapping, with a negative exponent giving
    /// 0, except that bases 1 and -1 give 1 and ±1.
    Pow,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// `0 ≤ expr < below`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The expression that must be within bounds.
    pub expr: Affine,
    /// The bound.
    pub below: usize,
}

/// An element of a buffer, as a view of it by the axes of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// What is read.
    pub buffer: BufferId,
    /// One coordinate per axis of the buffer.
    pub index: Vec<Affine>,
    /// Added to the coordinate on one axis: an index that was itself loaded (gather). It must come from a
    /// [`InstKind::Check`] whose bound keeps the sum within the axis, or be clamped to such a bound.
    pub indirect: Option<Indirect>,
    /// Where a guard fails, the buffer is not touched and the value is `fill`.
    pub guards: Vec<Guard>,
    /// The value outside of the guards; of the buffer's type.
    pub fill: Scalar,
}

/// A coordinate that is data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Indirect {
    /// Axis of the buffer.
    pub axis: usize,
    /// Value of the same body (i32 or i64) that is added to the coordinate.
    pub value: ScalarId,
}

/// A value of a body put into a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is kept; its type is the buffer's.
    pub value: ScalarId,
    /// Where.
    pub buffer: BufferId,
    /// One coordinate per axis of the buffer. Different points of the axes give different elements, unless `add` is set.
    pub index: Vec<Affine>,
    /// As in [`Access::indirect`].
    pub indirect: Option<Indirect>,
    /// Whether the value is added to the element instead of replacing it (scatter; within a scan only).
    pub add: bool,
}

/// How a kernel is run. Made by the scheduler; the default runs it serially, element by element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// How the kernel's axes are cut into chunks; `None` runs the kernel as one chunk.
    pub chunks: Option<Chunks>,
    /// Axes of the kernel of which all stages are run for one index before the next one, within a chunk: local buffers hold
    /// one index of them at a time. None of them is cut.
    pub each: Vec<Axis>,
    /// Whether the work is worth the dispatch to other threads.
    pub threads: bool,
    /// One per stage; missing ones are the default.
    pub stages: Vec<StageSchedule>,
}

/// A partition of one of the kernel's axes. All stages run for a chunk before the next chunk starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunks {
    /// Which axis of the kernel.
    pub axis: Axis,
    /// Consecutive indices of the axis in a chunk; the last chunk may be shorter. At least 1.
    pub block: usize,
}

/// How a stage's loops are emitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum StageSchedule {
    /// Element by element, axes in order.
    #[default]
    Scalar,
    /// Strips of consecutive indices of one axis, which may be an axis of a fold whose `lanes` is a multiple of `lanes`.
    Strip {
        /// The axis.
        axis: Axis,
        /// Elements of a vector.
        lanes: usize,
    },
    /// A contraction in register tiles (a fold with one `Dot` of two loads).
    Tile {
        /// Axis that does not occur in the second operand.
        row_axis: Axis,
        /// Axis that does not occur in the first operand: the vector's.
        col_axis: Axis,
        /// Rows of a tile.
        rows: usize,
        /// Columns of a tile, a multiple of `lanes`.
        cols: usize,
        /// Elements of a vector.
        lanes: usize,
        /// Which operand of the dot is broadcast along the row: 0 or 1. The other one is read by vectors.
        row_operand: usize,
        /// Which operands are copied to panels before tiles read them.
        pack: Packed,
    },
}

/// Which operands of a contraction are copied to consecutive memory, in the order in which tiles read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packed {
    /// Both are read where they are.
    Neither,
    /// Neither is; the one that is read by vectors comes in streams: a few elements of the fold at a time for many columns, between
    /// which accumulators are kept, so that what memory gives is whole rows.
    Streamed,
    /// The one that is read by vectors, by blocks of a tile's columns.
    Vectors,
    /// The broadcast one as well, by blocks of a tile's rows.
    Both,
}
