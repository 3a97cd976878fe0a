//! A convolution with a batch norm behind it, which the networks for larger images are made of.

use bessemer::prelude::*;

use super::classifier::Mode;

/// A convolution of images without bias, padded as if windows were centred on pixels, and then a batch norm.
pub struct ConvNorm {
    pub channels: usize,
    /// Rows and columns of a window.
    pub window: usize,
    pub stride: usize,
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl ConvNorm {
    /// Windows of 3×3, one per pixel, to so many channels.
    pub fn of(channels: usize) -> ConvNorm {
        ConvNorm { channels, window: 3, stride: 1, groups: 1, epsilon: 1e-5 }
    }
}

pub fn conv_norm<'g>(x: Expr<'g>, name: &str, layer: &ConvNorm, mode: Mode) -> Expr<'g> {
    x.graph().scope(name, || {
        let around = nn::Padding::around(2, layer.window / 2);
        let filters = nn::Filters::new(layer.channels, &[layer.window; 2])
            .strides(&[layer.stride; 2])
            .padding(around)
            .groups(layer.groups)
            .no_bias()
            .initializer(initializers::he_normal());
        let conv = nn::conv(x, "conv", &filters);
        match mode {
            Mode::Training => nn::batch_norm(conv, "norm", 0.9, layer.epsilon),
            Mode::Inference => nn::batch_norm_inference(conv, "norm", layer.epsilon),
        }
    })
}
