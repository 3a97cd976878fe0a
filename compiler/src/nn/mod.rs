//! Building blocks of networks, composed from ops. Nothing below knows them: fusion makes them fast.

mod activations;
mod layers;
mod losses;
mod padding;
mod statistics;

pub use activations::{elu, gelu, gelu_tanh, leaky_relu, log_softmax, relu, relu6, silu, softmax, softplus};
pub use layers::{dense, dropout, embedding, layer_norm, split, stack};
pub use losses::{
    accuracy_count, l1_penalty, l2_penalty, mean_squared_error, sigmoid_cross_entropy, softmax_cross_entropy,
    sparse_softmax_cross_entropy,
};
pub use padding::Padding;
pub use statistics::{global_norm, mean, moments, variance};
