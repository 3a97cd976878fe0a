//! The networks of the examples. `cargo run --example write_models` writes them as text beside this file.

mod classifier;
mod gpt;
mod mnist;

use bessemer::prelude::*;

/// What builds a network.
type Build = fn() -> Result<Module, Diagnostics>;

/// Every network: its name, and what builds it.
pub const NETWORKS: [(&str, Build); 4] = [
    ("gpt", gpt::gpt),
    ("mnist_mlp", mnist::mlp),
    ("mnist_mlp_large", mnist::mlp_large),
    ("mnist_softmax", mnist::softmax),
];

/// The network of this name; `None` if there is none.
pub fn build(name: &str) -> Option<Result<Module, Diagnostics>> {
    NETWORKS.iter().find(|network| network.0 == name).map(|(_, build)| build())
}
