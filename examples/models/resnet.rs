//! Residual networks of 18 and 50 layers, in the paper for images of 224×224 pixels (He, Zhang, Ren, Sun, "Deep residual learning
//! for image recognition", 2016), with the stride of a bottleneck in its middle convolution, as in torchvision.

use bessemer::prelude::*;

use super::Size;
use super::classifier::{Mode, Task, classifier};
use super::layers::{ConvNorm, conv_norm};

/// Blocks of two convolutions.
pub fn resnet18(size: Size) -> Result<Module, Diagnostics> {
    resnet("resnet18", size, [2, 2, 2, 2], basic)
}

/// Blocks of three convolutions, the outer ones of one pixel.
pub fn resnet50(size: Size) -> Result<Module, Diagnostics> {
    resnet("resnet50", size, [3, 4, 6, 3], bottleneck)
}

/// What a block adds to its operand, given width and stride.
type Residual = for<'g> fn(Expr<'g>, usize, usize, Mode) -> Expr<'g>;

fn resnet(name: &str, size: Size, blocks: [usize; 4], residual: Residual) -> Result<Module, Diagnostics> {
    let train = Train::minimize("train_step", "loss", optimizers::momentum(Argument::Param("lr".into())))
        .param("lr")
        .with(Call::word("weight_decay").arg(1e-4));
    classifier(Task { name, image: &[size.pixels, size.pixels, 3], train }, |x, mode| {
        let stem = nn::relu(conv_norm(
            x,
            "stem",
            &ConvNorm { window: 7, stride: 2, ..ConvNorm::of(size.width(64)) },
            mode,
        ));
        let pool = nn::Pool::new(&[3, 3]).strides(&[2, 2]).padding(nn::Padding::around(2, 1));
        let mut x = nn::max_pool(stem, &pool);
        for (stage, &count) in blocks.iter().enumerate() {
            for n in 0..count {
                let stride = if stage > 0 && n == 0 { 2 } else { 1 };
                let scope = format!("stage{}/block{}", stage + 1, n + 1);
                x = x.graph().scope(&scope, || block(x, residual, size.width(64 << stage), stride, mode));
            }
        }
        nn::dense(nn::global_avg_pool(x), "logits", 1000)
    })
}

/// What the residual adds to the operand, which is brought to the same shape where it has another.
fn block<'g>(x: Expr<'g>, residual: Residual, width: usize, stride: usize, mode: Mode) -> Expr<'g> {
    let added = residual(x, width, stride, mode);
    let channels = added.extent(-1).as_const().unwrap_or(width);
    let x = match x.shape() == added.shape() {
        true => x,
        false => conv_norm(x, "shortcut", &ConvNorm { window: 1, stride, ..ConvNorm::of(channels) }, mode),
    };
    nn::relu(added + x)
}

fn basic<'g>(x: Expr<'g>, width: usize, stride: usize, mode: Mode) -> Expr<'g> {
    let hidden = nn::relu(conv_norm(x, "conv1", &ConvNorm { stride, ..ConvNorm::of(width) }, mode));
    conv_norm(hidden, "conv2", &ConvNorm::of(width), mode)
}

fn bottleneck<'g>(x: Expr<'g>, width: usize, stride: usize, mode: Mode) -> Expr<'g> {
    let narrow = nn::relu(conv_norm(x, "conv1", &ConvNorm { window: 1, ..ConvNorm::of(width) }, mode));
    let hidden = nn::relu(conv_norm(narrow, "conv2", &ConvNorm { stride, ..ConvNorm::of(width) }, mode));
    conv_norm(hidden, "conv3", &ConvNorm { window: 1, ..ConvNorm::of(4 * width) }, mode)
}
