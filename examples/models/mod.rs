//! The networks of the examples. `cargo run --example write_models` writes them as text beside this file.

mod classifier;
mod googlenet;
mod gpt;
mod layers;
mod mnist;
mod mobilenet;
mod resnet;

use bessemer::prelude::*;

type Built = Result<Module, Diagnostics>;

/// What builds a network: for the task that it was made for, or for square images of so many pixels a side.
#[derive(Clone, Copy)]
pub enum Build {
    Task(fn() -> Built),
    Images(fn(usize) -> Built),
}

/// Pixels a side of the images that the networks of the zoo were published for.
pub const PIXELS: usize = 224;

/// Every network: its name, and what builds it.
pub const NETWORKS: [(&str, Build); 9] = [
    ("googlenet", Build::Images(googlenet::googlenet)),
    ("gpt", Build::Task(gpt::gpt)),
    ("mnist_cnn", Build::Task(mnist::cnn)),
    ("mnist_mlp", Build::Task(mnist::mlp)),
    ("mnist_mlp_large", Build::Task(mnist::mlp_large)),
    ("mnist_softmax", Build::Task(mnist::softmax)),
    ("mobilenet_v2", Build::Images(mobilenet::mobilenet_v2)),
    ("resnet18", Build::Images(resnet::resnet18)),
    ("resnet50", Build::Images(resnet::resnet50)),
];

/// The network of this name, for images of so many pixels a side if it is one for images of any size; `None` if there is none.
pub fn build(name: &str, pixels: usize) -> Option<Built> {
    NETWORKS.iter().find(|network| network.0 == name).map(|(_, build)| match build {
        Build::Task(build) => build(),
        Build::Images(build) => build(pixels),
    })
}
