//! Networks that tell handwritten digits apart.

use bessemer::prelude::*;

use super::Size;
use super::classifier::{Mode, Task, classifier};

/// Softmax regression: one dense layer, plain gradient descent at rate 0.5.
pub fn softmax(size: Size) -> Result<Module, Diagnostics> {
    perceptron(size, "mnist_softmax", &[], optimizers::sgd(0.5))
}

/// A perceptron with a hidden layer of 128 units, plain gradient descent at rate 0.5.
pub fn mlp(size: Size) -> Result<Module, Diagnostics> {
    perceptron(size, "mnist_mlp", &[128], optimizers::sgd(0.5))
}

/// A perceptron with two hidden layers of 1,024 units, Adam at rate 0.001.
pub fn mlp_large(size: Size) -> Result<Module, Diagnostics> {
    perceptron(size, "mnist_mlp_large", &[1024, 1024], optimizers::adam(1e-3))
}

/// Two convolutions, each with a pooling behind it, and two dense layers with dropout between them; Adam at a rate that begins
/// with 0.001 and falls to six tenths every 1,100 steps, which are an epoch of batches of 50.
pub fn cnn(size: Size) -> Result<Module, Diagnostics> {
    let rate = Call::word("exponential").with("rate", 1e-3).with("every", 1100.0).with("factor", 0.6);
    let train = Train::minimize("train_step", "loss", optimizers::adam(rate));
    classifier(Task { name: "mnist_cnn", image: &[784], train }, |x, mode| {
        let layer = |x, name, channels| {
            let filters = nn::Filters::new(channels, &[5, 5]).padding(nn::Padding::Same);
            nn::max_pool(nn::relu(nn::conv(x, name, &filters)), &nn::Pool::new(&[2, 2]))
        };
        let images = x.reshape([Extent::N, 28.into(), 28.into(), 1.into()]);
        let features = layer(layer(images, "conv1", size.width(32)), "conv2", size.width(64));
        let hidden = nn::relu(nn::dense(
            features.reshape([Extent::N, (49 * size.width(64)).into()]),
            "hidden",
            size.width(1024),
        ));
        let kept = if mode == Mode::Training { nn::dropout(hidden, 0.5) } else { hidden };
        nn::dense(kept, "logits", 10)
    })
}

fn perceptron(size: Size, name: &str, hidden: &[usize], optimizer: Call) -> Result<Module, Diagnostics> {
    let task = Task { name, image: &[784], train: Train::minimize("train_step", "loss", optimizer) };
    classifier(task, |x, _| {
        let hidden = hidden.iter().enumerate().fold(x, |layer, (n, &units)| {
            nn::relu(nn::dense(layer, &format!("hidden{}", n + 1), size.width(units)))
        });
        nn::dense(hidden, "logits", 10)
    })
}
