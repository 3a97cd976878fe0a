//! The networks that are measured: classifiers of dense layers, by their training steps.

use bessemer_compiler::graph::{Builder, Call, Expr, Module, Train};
use bessemer_compiler::nn;
use bessemer_compiler::types::{DType, Extent};

/// Images in a batch, where nothing else is said.
pub const BATCH: usize = 100;

/// Name of the training step.
pub const STEP: &str = "train_step";

/// What is behind each hidden layer.
pub type Activation = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// A network of layers with these extents, of which the first is that of an input and the last the number of classes, with
/// the training step that minimizes its cross entropy.
pub fn classifier(extents: &[usize], activation: Activation, optimizer: Call) -> Module {
    let [inputs, hidden @ .., classes] = extents else { panic!("no network has {} extents", extents.len()) };
    let builder = Builder::new("classifier");
    builder.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::Batch(1), Extent::Const(*inputs)]);
        let y = f.placeholder("y", DType::I32, [Extent::Batch(1)]);
        let layer = |x: Expr<'_>, (n, &units): (usize, &usize)| {
            activation(nn::dense(x, &format!("dense{n}"), units)).id()
        };
        let last = hidden.iter().enumerate().fold(x.id(), |x, at| layer(f.expr(x), at));
        let logits = nn::dense(f.expr(last), "logits", *classes);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits, y));
    });
    builder.train(Train::minimize(STEP, "loss", optimizer));
    builder.finish().unwrap_or_else(|e| panic!("{e}"))
}
