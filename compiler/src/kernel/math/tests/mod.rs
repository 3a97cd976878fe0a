//! Tests of the expansions: of the pass, of exact values, and of errors.

mod accuracy;
mod interpreter;
mod pass;
mod values;

use crate::kernel::UnaryOp;

/// The functions of one operand, in the order of the module's table.
const FUNCTIONS: [UnaryOp; 12] = [
    UnaryOp::Sign,
    UnaryOp::Rsqrt,
    UnaryOp::Exp,
    UnaryOp::Expm1,
    UnaryOp::Log,
    UnaryOp::Log1p,
    UnaryOp::Sin,
    UnaryOp::Cos,
    UnaryOp::Tanh,
    UnaryOp::Erf,
    UnaryOp::ErfInv,
    UnaryOp::Sigmoid,
];
