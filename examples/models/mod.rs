//! The networks of the examples. `cargo run --example write_models` writes them as text beside this file.

use bessemer::prelude::*;

/// The network of this name; `None` if there is none.
pub fn build(name: &str) -> Option<Result<Module, Diagnostics>> {
    match name {
        "mnist_softmax" => Some(mnist_softmax()),
        "mnist_mlp" => Some(mnist_mlp()),
        "mnist_mlp_large" => Some(mnist_mlp_large()),
        _ => None,
    }
}

/// Softmax regression: one dense layer, plain gradient descent at rate 0.5.
fn mnist_softmax() -> Result<Module, Diagnostics> {
    classifier("mnist_softmax", &[], optimizers::sgd(0.5))
}

/// A perceptron with a hidden layer of 128 units, plain gradient descent at rate 0.5.
fn mnist_mlp() -> Result<Module, Diagnostics> {
    classifier("mnist_mlp", &[128], optimizers::sgd(0.5))
}

/// A perceptron with two hidden layers of 1,024 units, Adam at rate 0.001.
fn mnist_mlp_large() -> Result<Module, Diagnostics> {
    classifier("mnist_mlp_large", &[1024, 1024], optimizers::adam(1e-3))
}

/// A classifier of 28×28 images into ten digits, with entry points `predict`, `loss`, `eval` and `train_step`.
fn classifier(name: &str, hidden: &[usize], optimizer: Call) -> Result<Module, Diagnostics> {
    let module = Builder::new(name);
    let image = [Extent::N, 784.into()];
    module.function("predict", |f| {
        let x = f.placeholder("x", DType::F32, image);
        f.result("probabilities", nn::softmax(logits(x, hidden)));
    });
    module.function("loss", |f| {
        let (x, y) = (f.placeholder("x", DType::F32, image), f.placeholder("y", DType::I32, [Extent::N]));
        f.result("loss", nn::sparse_softmax_cross_entropy(logits(x, hidden), y));
    });
    module.function("eval", |f| {
        let (x, y) = (f.placeholder("x", DType::F32, image), f.placeholder("y", DType::I32, [Extent::N]));
        let logits = logits(x, hidden);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits, y));
        f.result("correct", nn::accuracy_count(logits, y));
    });
    module.train(Train::minimize("train_step", "loss", optimizer));
    module.finish()
}

fn logits<'g>(x: Expr<'g>, hidden: &[usize]) -> Expr<'g> {
    let mut layer = x;
    for (n, &units) in hidden.iter().enumerate() {
        layer = nn::relu(nn::dense(layer, &format!("hidden{}", n + 1), units));
    }
    nn::dense(layer, "logits", 10)
}
