//! MobileNetV2, in the paper for images of 224×224 pixels (Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted
//! residuals and linear bottlenecks", 2018).

use bessemer::prelude::*;

use super::Size;
use super::classifier::{Mode, Task, classifier};
use super::layers::{ConvNorm, conv_norm};

/// Factor by which a block widens, channels, blocks and stride of the first of them.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

pub fn mobilenet_v2(size: Size) -> Result<Module, Diagnostics> {
    let train = Train::minimize("train_step", "loss", optimizers::momentum(Argument::Param("lr".into())))
        .param("lr")
        .with(Call::word("weight_decay").arg(4e-5));
    classifier(Task { name: "mobilenet_v2", image: &[size.pixels, size.pixels, 3], train }, |x, mode| {
        let mut x =
            nn::relu6(conv_norm(x, "stem", &ConvNorm { stride: 2, ..ConvNorm::of(size.width(32)) }, mode));
        for (stage, &(factor, channels, blocks, first)) in STAGES.iter().enumerate() {
            for n in 0..blocks {
                let stride = if n == 0 { first } else { 1 };
                let scope = format!("stage{}/block{}", stage + 1, n + 1);
                x = x.graph().scope(&scope, || block(x, factor, size.width(channels), stride, mode));
            }
        }
        let x =
            nn::relu6(conv_norm(x, "last", &ConvNorm { window: 1, ..ConvNorm::of(size.width(1280)) }, mode));
        let pooled = nn::global_avg_pool(x);
        let kept = if mode == Mode::Training { nn::dropout(pooled, 0.2) } else { pooled };
        nn::dense(kept, "logits", 1000)
    })
}

/// A wide layer with one filter per channel between two of one pixel; beside the identity, where shapes allow.
fn block<'g>(x: Expr<'g>, factor: usize, channels: usize, stride: usize, mode: Mode) -> Expr<'g> {
    let wide = factor * x.extent(-1).as_const().unwrap_or(channels);
    let hidden = match factor {
        1 => x,
        _ => nn::relu6(conv_norm(x, "widen", &ConvNorm { window: 1, ..ConvNorm::of(wide) }, mode)),
    };
    let each = ConvNorm { stride, groups: wide, ..ConvNorm::of(wide) };
    let hidden = nn::relu6(conv_norm(hidden, "each", &each, mode));
    let narrow = conv_norm(hidden, "narrow", &ConvNorm { window: 1, ..ConvNorm::of(channels) }, mode);
    if narrow.shape() == x.shape() { x + narrow } else { narrow }
}
