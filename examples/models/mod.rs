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

/// How large a network is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Pixels a side of the images, for networks that take images of any size.
    pub pixels: usize,
    /// By what widths are divided, and the length of texts: 1 for the networks that were published, more for tests.
    pub narrower: usize,
}

impl Size {
    /// A width that is so large in the network that was published.
    pub fn width(self, published: usize) -> usize {
        (published / self.narrower).max(1)
    }
}

/// What builds a network.
type Build = fn(Size) -> Built;

/// Pixels a side of the images that the networks of the zoo were published for.
pub const PIXELS: usize = 224;

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

/// The network of this name, for images of so many pixels a side if it is one for images of any size; `None` if there is none.
pub fn build(name: &str, pixels: usize) -> Option<Built> {
    build_sized(name, Size { pixels, narrower: 1 })
}

/// The network of this name in another size; `None` if there is none.
pub fn build_sized(name: &str, size: Size) -> Option<Built> {
    NETWORKS.iter().find(|network| network.0 == name).map(|(_, build)| build(size))
}
