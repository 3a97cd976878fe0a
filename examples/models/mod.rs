//! The networks of the examples. `cargo run --example write_models` writes them as text beside this file.

mod classifier;
mod googlenet;
mod gpt;
mod layers;
mod mnist;
mod mobilenet;
mod resnet;

use bessemer::prelude::*;

/// What builds a network.
type Build = fn() -> Result<Module, Diagnostics>;

/// Every network: its name, and what builds it.
pub const NETWORKS: [(&str, Build); 9] = [
    ("googlenet", googlenet::googlenet),
    ("gpt", gpt::gpt),
    ("mnist_cnn", mnist::cnn),
    ("mnist_mlp", mnist::mlp),
    ("mnist_mlp_large", mnist::mlp_large),
    ("mnist_softmax", mnist::softmax),
    ("mobilenet_v2", mobilenet::mobilenet_v2),
    ("resnet18", resnet::resnet18),
    ("resnet50", resnet::resnet50),
];

/// The network of this name; `None` if there is none.
pub fn build(name: &str) -> Option<Result<Module, Diagnostics>> {
    NETWORKS.iter().find(|network| network.0 == name).map(|(_, build)| build())
}
