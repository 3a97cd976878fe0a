//! What training minimizes. Losses are means over all examples, so they do not depend on the batch size.

use crate::graph::Expr;
use crate::types::{DType, Extent};

use super::activations::{log_softmax, relu};

/// Cross entropy of logits `[.., C]` with the right classes `labels` `[..]` (i32 or i64), a scalar: the mean of
/// `-log softmax(logits)[label]`. A label that is no class ends the call with an error.
///
/// Reference: TensorFlow `sparse_softmax_cross_entropy_with_logits`.
#[track_caller]
pub fn sparse_softmax_cross_entropy<'g>(logits: Expr<'g>, labels: Expr<'g>) -> Expr<'g> {
    let Extent::Const(classes) = logits.extent(-1) else { return logits };
    if logits.is_poisoned() || labels.is_poisoned() || logits.rank() == 0 {
        return logits;
    }
    let labels = labels.check_index(classes);
    softmax_cross_entropy(logits, labels.one_hot(classes, logits.dtype()))
}

/// Cross entropy of logits with class probabilities of the same shape `[.., C]`, a scalar: the mean of
/// `-Σ targets · log softmax(logits)`.
#[track_caller]
pub fn softmax_cross_entropy<'g>(logits: Expr<'g>, targets: Expr<'g>) -> Expr<'g> {
    let Some(axis) = logits.axis(-1) else { return logits };
    (-(log_softmax(logits) * targets).reduce_sum(&[axis], false)).mean()
}

/// Cross entropy of independent yes-or-no logits with targets from 0 to 1 of the same shape, a scalar, without
/// overflow: the mean of `max(x, 0) - x · target + log(1 + exp(-|x|))`.
///
/// Reference: TensorFlow `sigmoid_cross_entropy_with_logits`.
#[track_caller]
pub fn sigmoid_cross_entropy<'g>(logits: Expr<'g>, targets: Expr<'g>) -> Expr<'g> {
    (relu(logits) - logits * targets + (-logits.abs()).exp().log1p()).mean()
}

/// Mean of the squared differences, a scalar.
#[track_caller]
pub fn mean_squared_error<'g>(predicted: Expr<'g>, targets: Expr<'g>) -> Expr<'g> {
    let difference = predicted - targets;
    (difference * difference).mean()
}

/// Sum of magnitudes, a scalar, to add to a loss with a factor.
#[track_caller]
pub fn l1_penalty(w: Expr<'_>) -> Expr<'_> {
    w.abs().sum()
}

/// Half the sum of squares, a scalar, to add to a loss with a factor.
#[track_caller]
pub fn l2_penalty(w: Expr<'_>) -> Expr<'_> {
    (w * w).sum() * 0.5
}

/// How many rows of `logits` `[.., C]` have their largest element where `labels` `[..]` says, i64[].
#[track_caller]
pub fn accuracy_count<'g>(logits: Expr<'g>, labels: Expr<'g>) -> Expr<'g> {
    let Some(axis) = logits.axis(-1) else { return logits };
    logits.argmax(axis).eq(labels.cast(DType::I64)).cast(DType::I64).sum()
}
