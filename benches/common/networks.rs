//! The networks that are measured: MNIST's, by their training steps.

use bessemer_compiler::graph::{Builder, Call, Expr, Module, Train};
use bessemer_compiler::nn;
use bessemer_compiler::types::{DType, Extent};

/// Images in a batch.
pub const BATCH: usize = 100;

/// Name of the training step.
pub const STEP: &str = "train_step";

/// A network of 784 inputs and 10 classes with relu behind each hidden layer, given by its units, and the training step that
/// minimizes its cross entropy.
pub fn mnist(hidden: &[usize], optimizer: Call) -> Module {
    let builder = Builder::new("mnist");
    builder.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::Batch(1), Extent::Const(784)]);
        let y = f.placeholder("y", DType::I32, [Extent::Batch(1)]);
        let layer = |x: Expr<'_>, (n, &units): (usize, &usize)| {
            nn::relu(nn::dense(x, &format!("dense{n}"), units)).id()
        };
        let last = hidden.iter().enumerate().fold(x.id(), |x, at| layer(f.expr(x), at));
        let logits = nn::dense(f.expr(last), "logits", 10);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits, y));
    });
    builder.train(Train::minimize(STEP, "loss", optimizer));
    builder.finish().unwrap_or_else(|e| panic!("{e}"))
}
