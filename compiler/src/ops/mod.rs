//! The operations. One op, one file, one word in the list below; everything that is true of an op is in its file.

pub mod attributes;
mod convolution;
mod def;
pub mod elementwise;
mod indexed;
pub mod laws;
mod random;
pub mod reduction;
pub mod sample;
mod scaling;

pub use def::{Addition, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};

use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};
use attributes::{Attribute, Attributes, Field};
use sample::{Case, Sampler};

/// Declares the modules of the ops and the closed enum [`Op`] over them.
macro_rules! ops {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module;)*
        $(pub use $module::$name;)*

        /// An operation with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each op is documented in its file")]
        pub enum Op {
            $($name($name),)*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Op {
                Op::$name(op)
            }
        })*

        impl Op {
            /// The names of all ops, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$(<$name as OpDef>::NAME,)*];

            /// Name in text.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Op::$name(_) => <$name as OpDef>::NAME,)*
                }
            }

            /// What generic passes may rely on.
            pub fn traits(&self) -> OpTraits {
                match self {
                    $(Op::$name(_) => <$name as OpDef>::TRAITS,)*
                }
            }

            /// What text may say of the attributes of the op of this name; `None` if there is no op of this name.
            pub fn fields(name: &str) -> Option<&'static [Field]> {
                match name {
                    $(<$name as OpDef>::NAME => Some(<$name as Attributes>::FIELDS),)*
                    _ => None,
                }
            }

            /// The attributes that do not equal their defaults, in the order in which they are printed.
            pub fn attributes(&self) -> Vec<(&'static str, Attribute)> {
                match self {
                    $(Op::$name(op) => op.attributes(),)*
                }
            }

            /// The op of this name with these attributes; `None` if there is no op of this name.
            pub fn from_attributes(name: &str, attributes: &[(String, Attribute)]) -> Option<Result<Op, Diagnostic>> {
                $(if name == <$name as OpDef>::NAME {
                    return Some($name::from_attributes(attributes).map(Op::$name));
                })*
                None
            }

            /// Types of the results; see [`OpDef::infer`].
            ///
            /// # Errors
            /// E02xx if the operands do not fit.
            pub fn infer(&self, cx: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
                match self {
                    $(Op::$name(op) => op.infer(cx, operands),)*
                }
            }

            /// The results; see [`OpDef::eval`].
            ///
            /// # Errors
            /// An index out of range.
            pub fn eval(&self, cx: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
                match self {
                    $(Op::$name(op) => op.eval(cx, operands),)*
                }
            }

            /// One gradient per operand; see [`OpDef::vjp`].
            pub fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
                match self {
                    $(Op::$name(op) => op.vjp(cx),)*
                }
            }

            /// Adds kernels that compute the results; see [`OpDef::lower`].
            pub fn lower(&self, cx: &mut LowerCx<'_>) {
                match self {
                    $(Op::$name(op) => op.lower(cx),)*
                }
            }

            /// What replaces the node by the first law of `pass` that applies, with the law.
            pub fn rewrite<'g>(&self, pass: &str, cx: &RewriteCx<'g>) -> Option<(&'static str, Vec<Expr<'g>>)> {
                match self {
                    $(Op::$name(op) => <$name as OpDef>::RULES
                        .iter()
                        .filter(|rule| rule.pass == pass)
                        .find_map(|rule| Some((rule.law, (rule.apply)(op, cx)?))),)*
                }
            }

            /// Every law: op, pass and law.
            pub fn laws() -> Vec<(&'static str, &'static str, &'static str)> {
                let mut laws = Vec::new();
                $(laws.extend(<$name as OpDef>::RULES.iter().map(|r| (<$name as OpDef>::NAME, r.pass, r.law)));)*
                laws
            }

            /// Valid operands for the op of this name.
            ///
            /// # Panics
            /// If there is no op of this name.
            pub fn samples(name: &str, sampler: &mut Sampler) -> Vec<Case> {
                $(if name == <$name as OpDef>::NAME {
                    return $name::sample(sampler);
                })*
                panic!("there is no op `{name}`")
            }
        }
    };
}

ops! {
    abs::Abs,
    add::Add,
    and::And,
    argmax::Argmax,
    argmin::Argmin,
    broadcast::Broadcast,
    cast::Cast,
    ceil::Ceil,
    check_index::CheckIndex,
    compare::Compare,
    concat::Concat,
    constant::Constant,
    conv::Conv,
    conv_filter_gradient::ConvFilterGradient,
    conv_transpose::ConvTranspose,
    cos::Cos,
    cumsum::Cumsum,
    div::Div,
    erf::Erf,
    erf_inv::ErfInv,
    exp::Exp,
    expm1::Expm1,
    extent::ExtentOf,
    floor::Floor,
    gather::Gather,
    iota::Iota,
    log::Log,
    log1p::Log1p,
    matmul::Matmul,
    max::Max,
    min::Min,
    mul::Mul,
    neg::Neg,
    not::Not,
    one_hot::OneHot,
    or::Or,
    pad::Pad,
    pow::Pow,
    random_normal::RandomNormal,
    random_uniform::RandomUniform,
    read::Read,
    reduce_max::ReduceMax,
    reduce_min::ReduceMin,
    reduce_prod::ReduceProd,
    reduce_sum::ReduceSum,
    reshape::Reshape,
    reverse::Reverse,
    round::Round,
    rsqrt::Rsqrt,
    scatter_add::ScatterAdd,
    select::Select,
    sigmoid::Sigmoid,
    sign::Sign,
    sin::Sin,
    slice::Slice,
    sqrt::Sqrt,
    stop_gradient::StopGradient,
    sub::Sub,
    sum_windows::SumWindows,
    tanh::Tanh,
    transpose::Transpose,
    windows::Windows,
}

impl Op {
    /// Names of the variables and functions that the op refers to.
    pub fn symbols(&self) -> Vec<String> {
        self.attributes()
            .into_iter()
            .filter_map(|(_, a)| match a {
                Attribute::Symbol(name) => Some(name),
                _ => None,
            })
            .collect()
    }

    /// The op with every attribute, or element of an attribute that is a list, replaced.
    ///
    /// # Panics
    /// If the new attributes do not fit the op: `f` keeps their kinds.
    #[must_use]
    pub fn map_attributes(&self, f: &dyn Fn(&Attribute) -> Attribute) -> Op {
        let attributes: Vec<_> =
            self.attributes().into_iter().map(|(name, a)| (name.to_owned(), a.map(f))).collect();
        Op::from_attributes(self.name(), &attributes)
            .expect("an op's name names it")
            .unwrap_or_else(|e| panic!("mapping the attributes of `{}` broke it: {}", self.name(), e.message))
    }

    /// The op with f64 in place of f32 in its attributes.
    #[must_use]
    pub fn in_f64(&self) -> Op {
        self.map_attributes(&|attribute| match attribute {
            Attribute::Word(word) if word == DType::F32.name() => {
                Attribute::Word(DType::F64.name().to_owned())
            }
            other => other.clone(),
        })
    }
}
