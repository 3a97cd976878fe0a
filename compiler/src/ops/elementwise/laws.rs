//! Laws that several elementwise ops have.

use crate::graph::Expr;
use crate::ops::RewriteCx;

/// The first operand, if every element of the second is `number`: the law `x ∘ number = x`.
pub fn right_unit<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    cx.operands[1].is_splat(number).then(|| vec![cx.operands[0]])
}

/// The other operand, if every element of one is `number`: the laws `x ∘ number = x` and `number ∘ x = x`.
pub fn unit<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    right_unit(cx, number).or_else(|| cx.operands[0].is_splat(number).then(|| vec![cx.operands[1]]))
}

/// The operand every element of which is `number`: the laws `x ∘ number = number` and `number ∘ x = number`.
pub fn zero<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    cx.operands.iter().find(|x| x.is_splat(number)).map(|&x| vec![x])
}

/// The operand, if both are one value: the law `x ∘ x = x`.
pub fn idempotent<'g>(cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    alike(cx.operands[0], cx.operands[1]).then(|| vec![cx.operands[0]])
}

/// Whether both are one value.
pub fn alike(a: Expr<'_>, b: Expr<'_>) -> bool {
    a.id() == b.id()
}
