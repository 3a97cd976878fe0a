//! Functions applied to the values of a layer. Each takes a float tensor and gives one of the same type.

use crate::graph::Expr;

/// `max(x, 0)`; its derivative at 0 is 0.
#[track_caller]
pub fn relu(x: Expr<'_>) -> Expr<'_> {
    x.max(x.constant_like(0.0))
}

/// `x` where it is positive, `slope · x` elsewhere.
///
/// Reference: Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
#[track_caller]
pub fn leaky_relu(x: Expr<'_>, slope: f64) -> Expr<'_> {
    x.gt(x.constant_like(0.0)).select(x, x * slope)
}

/// `min(max(x, 0), 6)`.
#[track_caller]
pub fn relu6(x: Expr<'_>) -> Expr<'_> {
    relu(x).min(x.constant_like(6.0))
}

/// `x` where it is positive, `alpha · (exp(x) - 1)` elsewhere.
///
/// Reference: Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by ELUs", 2016.
#[track_caller]
pub fn elu(x: Expr<'_>, alpha: f64) -> Expr<'_> {
    let zero = x.constant_like(0.0);
    // The exponential sees no positive numbers: its overflow would turn the gradient into NaN.
    x.gt(zero).select(x, x.min(zero).expm1() * alpha)
}

/// `x · Φ(x)`, with the normal distribution function by erf.
///
/// Reference: Hendrycks, Gimpel, "Gaussian error linear units", 2016.
#[track_caller]
pub fn gelu(x: Expr<'_>) -> Expr<'_> {
    x * 0.5 * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
}

/// `x · Φ(x)`, with the approximation `(1 + tanh u) / 2` of `Φ(x)` from the same paper, `u = √(2/π)·(x + 0.044715·x³)`, which is
/// `sigmoid(2·u)`: so computed, it is accurate where it is small, too.
#[track_caller]
pub fn gelu_tanh(x: Expr<'_>) -> Expr<'_> {
    let twice = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    x * (x * (x * x * (twice * 0.044_715) + twice)).sigmoid()
}

/// `x · sigmoid(x)`, also called swish.
///
/// Reference: Elfwing, Uchibe, Doya, "Sigmoid-weighted linear units", 2018.
#[track_caller]
pub fn silu(x: Expr<'_>) -> Expr<'_> {
    x * x.sigmoid()
}

/// `log(1 + exp(x))`, without overflow: `max(x, 0) + log(1 + exp(-|x|))`.
#[track_caller]
pub fn softplus(x: Expr<'_>) -> Expr<'_> {
    relu(x) + (-x.abs()).exp().log1p()
}

/// `exp(x) / Σ exp(x)` along the last axis, without overflow.
#[track_caller]
pub fn softmax(x: Expr<'_>) -> Expr<'_> {
    let Some(axis) = x.axis(-1) else { return x };
    let e = shifted(x, axis).exp();
    e / e.reduce_sum(&[axis], true)
}

/// `log(softmax(x))` along the last axis, without overflow or loss of small values.
#[track_caller]
pub fn log_softmax(x: Expr<'_>) -> Expr<'_> {
    let Some(axis) = x.axis(-1) else { return x };
    let shifted = shifted(x, axis);
    shifted - shifted.exp().reduce_sum(&[axis], true).log()
}

/// `x` minus its largest element along an axis, which changes neither softmax nor its gradient.
#[track_caller]
fn shifted(x: Expr<'_>, axis: usize) -> Expr<'_> {
    x - x.stop_gradient().reduce_max(&[axis], true)
}
