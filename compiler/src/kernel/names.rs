//! The names of scalar operators in text.

use super::{BinaryOp, CompareOp, UnaryOp};

/// Gives an enum of operators the list of its variants and their names.
macro_rules! names {
    ($op:ident { $($variant:ident = $name:literal,)* }) => {
        impl $op {
            /// Every operator, in the order of the enum.
            pub const ALL: &'static [$op] = &[$($op::$variant),*];

            /// The name in text.
            pub const fn name(self) -> &'static str {
                match self {
                    $($op::$variant => $name,)*
                }
            }

            /// The operator that `name` names in text.
            pub fn from_name(name: &str) -> Option<$op> {
                $op::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

names! {
    UnaryOp {
        Neg = "neg",
        Abs = "abs",
        Sqrt = "sqrt",
        Floor = "floor",
        Ceil = "ceil",
        Round = "round",
        Not = "not",
        Sign = "sign",
        Rsqrt = "rsqrt",
        Exp = "exp",
        Expm1 = "expm1",
        Log = "log",
        Log1p = "log1p",
        Sin = "sin",
        Cos = "cos",
        Tanh = "tanh",
        Erf = "erf",
        ErfInv = "erf_inv",
        Sigmoid = "sigmoid",
    }
}

names! {
    BinaryOp {
        Add = "add",
        Sub = "sub",
        Mul = "mul",
        Div = "div",
        Min = "min",
        Max = "max",
        And = "and",
        Or = "or",
        Xor = "xor",
        Shl = "shl",
        ShrLogical = "shr_logical",
        ShrArith = "shr_arith",
        Pow = "pow",
    }
}

names! {
    CompareOp {
        Eq = "eq",
        Ne = "ne",
        Lt = "lt",
        Le = "le",
        Gt = "gt",
        Ge = "ge",
    }
}
