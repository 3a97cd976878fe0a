//! Building blocks of networks, composed from ops. Nothing below knows them: fusion makes them fast.

mod activations;
mod convolution;
mod layers;
mod losses;
mod normalization;
mod padding;
mod pooling;
mod resize;
mod statistics;

pub use activations::{elu, gelu, gelu_tanh, leaky_relu, log_softmax, relu, relu6, silu, softmax, softplus};
pub use convolution::{Filters, channels_first, channels_last, conv, conv_transpose};
pub use layers::{dense, dropout, embedding, split, stack};
pub use losses::{
    accuracy_count, l1_penalty, l2_penalty, mean_squared_error, sigmoid_cross_entropy, softmax_cross_entropy,
    sparse_softmax_cross_entropy,
};
pub use normalization::{
    batch_norm, batch_norm_inference, group_norm, instance_norm, layer_norm, local_response_norm,
};
pub use padding::Padding;
pub use pooling::{Pool, avg_pool, global_avg_pool, global_max_pool, max_pool};
pub use resize::{depth_to_space, resize_bilinear, resize_nearest, space_to_depth};
pub use statistics::{global_norm, mean, moments, variance};

#[cfg(test)]
mod tests;
