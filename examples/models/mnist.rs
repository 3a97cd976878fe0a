//! Networks that tell handwritten digits apart.

use bessemer::prelude::*;

use super::classifier::{Task, classifier};

/// Softmax regression: one dense layer, plain gradient descent at rate 0.5.
pub fn softmax() -> Result<Module, Diagnostics> {
    perceptron("mnist_softmax", &[], optimizers::sgd(0.5))
}

/// A perceptron with a hidden layer of 128 units, plain gradient descent at rate 0.5.
pub fn mlp() -> Result<Module, Diagnostics> {
    perceptron("mnist_mlp", &[128], optimizers::sgd(0.5))
}

/// A perceptron with two hidden layers of 1,024 units, Adam at rate 0.001.
pub fn mlp_large() -> Result<Module, Diagnostics> {
    perceptron("mnist_mlp_large", &[1024, 1024], optimizers::adam(1e-3))
}

fn perceptron(name: &str, hidden: &[usize], optimizer: Call) -> Result<Module, Diagnostics> {
    let task = Task { name, image: &[784], train: Train::minimize("train_step", "loss", optimizer) };
    classifier(task, |x, _| {
        let hidden = hidden
            .iter()
            .enumerate()
            .fold(x, |layer, (n, &units)| nn::relu(nn::dense(layer, &format!("hidden{}", n + 1), units)));
        nn::dense(hidden, "logits", 10)
    })
}
