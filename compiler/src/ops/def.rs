//! What is true of every op: the trait that an op's file implements, and what its rules are given.

use crate::diagnostic::Diagnostic;
use crate::graph::{Expr, Graph, Module};
use crate::lower::LowerCx;
use crate::ops::Op;
use crate::ops::attributes::Attributes;
use crate::ops::sample::{Case, Sampler};
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Everything that is true of an operation. No item has a default, so a forgotten rule does not compile.
pub trait OpDef: Attributes + Clone + std::fmt::Debug + Into<Op> + 'static {
    /// Name in text.
    const NAME: &'static str;
    /// What generic passes may rely on.
    const TRAITS: OpTraits;
    /// Algebraic laws by which a node of this op may be replaced.
    const RULES: &'static [Rule<Self>];

    /// Types of the results.
    ///
    /// # Errors
    /// E02xx, without a place, if the operands do not fit: which, what they are, and how to mend it.
    fn infer(&self, cx: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic>;

    /// The results, computed slowly and obviously. Operands have the types that [`infer`](OpDef::infer) accepted, with
    /// every extent bound. This is the definition of what the op means.
    ///
    /// # Errors
    /// An index out of range.
    fn eval(&self, cx: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault>;

    /// One gradient per operand, from the cotangents of the results.
    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>>;

    /// Adds kernels that compute the results.
    fn lower(&self, cx: &mut LowerCx<'_>);

    /// Valid operands for the op laws, odd sizes included.
    fn sample(sampler: &mut Sampler) -> Vec<Case>;
}

/// Extents of the only result of an op that refers to no variable, for operands that [`infer`](OpDef::infer) accepted.
///
/// # Panics
/// If it did not accept them.
pub(super) fn result_shape<O: OpDef>(op: &O, operands: &[&Tensor]) -> Vec<usize> {
    let types: Vec<TensorType> = operands.iter().map(|operand| operand.ty()).collect();
    let module = Module::default();
    op.infer(&InferCx { module: &module }, &types).expect("the operands were checked")[0].shape.bound()
}

/// Facts about an op that generic passes read instead of naming ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpTraits {
    /// Every result element depends on the operands' elements at the same coordinates only; all shapes agree.
    pub elementwise: bool,
    /// The two operands may be swapped.
    pub commutative: bool,
    /// `(a ∘ b) ∘ c = a ∘ (b ∘ c)`, for floats but for rounding.
    pub associative: bool,
    /// The product of the two operands.
    pub product: bool,
    /// Only moves elements or fills with a constant.
    pub view: bool,
    /// Every bit of the results follows from the operands by IEEE 754 and integer arithmetic: evaluation and compiled
    /// code agree on it, on every CPU. Not so where a function is approximated or a sum may be regrouped.
    pub exact: bool,
    /// The value depends on the instance's seed and step; it is not folded.
    pub random: bool,
    /// A sum of products.
    pub contraction: bool,
    /// The value is that of a variable at entry.
    pub reads_variable: bool,
    /// Evaluation can end the entry point with an index error.
    pub checks_index: bool,
}

impl OpTraits {
    /// None of them holds.
    pub const PLAIN: OpTraits = OpTraits {
        elementwise: false,
        commutative: false,
        associative: false,
        product: false,
        view: false,
        exact: false,
        random: false,
        contraction: false,
        reads_variable: false,
        checks_index: false,
    };
    /// An elementwise op that is approximated, such as `exp`.
    pub const ELEMENTWISE: OpTraits = OpTraits { elementwise: true, ..OpTraits::PLAIN };
    /// An elementwise op that is exact, such as `div`.
    pub const EXACT: OpTraits = OpTraits { exact: true, ..OpTraits::ELEMENTWISE };
    /// An exact elementwise op whose two operands may be swapped.
    pub const COMMUTATIVE: OpTraits = OpTraits { commutative: true, ..OpTraits::EXACT };
    /// An op that only moves elements.
    pub const VIEW: OpTraits = OpTraits { view: true, exact: true, ..OpTraits::PLAIN };
}

/// What inference may ask about the surroundings of a node.
#[derive(Clone, Copy)]
pub struct InferCx<'a> {
    /// The module of the function.
    pub module: &'a Module,
}

/// What evaluation may ask about the instance.
pub struct EvalCx<'a> {
    /// Value at entry of the variable with this name.
    pub variable: &'a dyn Fn(&str) -> Tensor,
    /// The instance's seed.
    pub seed: u64,
    /// The instance's step: how many calls that assigned variables have ended.
    pub step: u64,
}

/// An index out of range, found while a function ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFault {
    /// Which operand holds the index.
    pub operand: usize,
    /// Row-major position in that operand.
    pub position: usize,
    /// The index.
    pub value: i64,
    /// Indices must be at least 0 and below this.
    pub bound: usize,
}

/// What a gradient rule is given: the node's values, and a graph to build in.
pub struct VjpCx<'g> {
    /// The function that is being extended.
    pub graph: &'g Graph,
    operands: Vec<Expr<'g>>,
    results: Vec<Expr<'g>>,
    cotangents: Vec<Option<Expr<'g>>>,
}

impl<'g> VjpCx<'g> {
    /// The context of a node with these values; at least one result has a cotangent.
    pub fn new(
        graph: &'g Graph,
        operands: Vec<Expr<'g>>,
        results: Vec<Expr<'g>>,
        cotangents: Vec<Option<Expr<'g>>>,
    ) -> VjpCx<'g> {
        VjpCx { graph, operands, results, cotangents }
    }

    /// The n-th operand.
    pub fn operand(&self, n: usize) -> Expr<'g> {
        self.operands[n]
    }

    /// All operands.
    pub fn operands(&self) -> &[Expr<'g>] {
        &self.operands
    }

    /// The n-th result.
    pub fn result(&self, n: usize) -> Expr<'g> {
        self.results[n]
    }

    /// The cotangent of the only result of an op that has one result.
    ///
    /// # Panics
    /// If it has none: the walk calls no rule then.
    pub fn cotangent(&self) -> Expr<'g> {
        self.cotangents[0].expect("a rule is called only where a result has a cotangent")
    }

    /// The cotangent of the n-th result; `None` means zero.
    pub fn cotangent_of(&self, n: usize) -> Option<Expr<'g>> {
        self.cotangents[n]
    }
}

/// What flows back to an operand.
#[derive(Clone)]
pub enum Gradient<'g> {
    /// This cotangent, of the operand's type.
    Value(Expr<'g>),
    /// Zeros of the operand's type with this added.
    Addition(Addition<'g>),
    /// Nothing: the result does not change with the operand, or only in jumps.
    Zero,
    /// There is no rule, for this reason; an error if the operand depends on what is differentiated.
    Missing(&'static str),
}

/// An addition to some elements of a tensor, before it is known to which tensor.
#[derive(Clone)]
pub struct Addition<'g> {
    /// The op that adds. Whatever its first operand is, the result is that with the same added to the same elements.
    pub op: Op,
    /// The operands that choose the elements: all but the first and the last.
    pub chosen_by: Vec<Expr<'g>>,
    /// The last operand: what is added.
    pub added: Expr<'g>,
}

impl<'g> Addition<'g> {
    /// A tensor with this added.
    pub fn onto(&self, base: Expr<'g>) -> Expr<'g> {
        let operands: Vec<Expr<'g>> =
            [base].into_iter().chain(self.chosen_by.iter().copied()).chain([self.added]).collect();
        self.added.graph().add(self.op.clone(), &operands)
    }
}

/// An algebraic law of op `O`, applied by the pass that it names.
pub struct Rule<O> {
    /// Name of the pass: `canonicalize`, `algebra`, `fold-transposes`, or `fold-scales`, whose laws are about what multiplies
    /// the node's result.
    pub pass: &'static str,
    /// The law, such as `x + 0 = x`; its golden test is named after it.
    pub law: &'static str,
    /// The values that replace the node's results, if the law applies.
    pub apply: for<'g> fn(&O, &RewriteCx<'g>) -> Option<Vec<Expr<'g>>>,
}

/// What a rule is given: the operands (already rewritten), and a graph to build in.
pub struct RewriteCx<'g> {
    /// The function that is being built.
    pub graph: &'g Graph,
    /// The node's operands.
    pub operands: Vec<Expr<'g>>,
    /// Types of the node's results.
    pub results: Vec<TensorType>,
    /// Whether the node alone reads the operand, of each.
    pub read_once: Vec<bool>,
}
