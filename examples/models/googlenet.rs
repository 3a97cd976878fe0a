//! GoogLeNet, in the paper for images of 224×224 pixels (Szegedy et al., "Going deeper with convolutions", 2015), as in
//! torchvision: with batch norm behind every convolution instead of local response norm, and windows of 3×3 where the paper has
//! 5×5. The two auxiliary heads are part of the training loss only.

use bessemer::prelude::*;

use super::Size;
use super::classifier::{Mode, Task, classifier_with_loss};
use super::layers::{ConvNorm, conv_norm};

/// Channels of the four branches of an inception block, with those of the layers before the second and the third one.
struct Inception {
    pixel: usize,
    middle: [usize; 2],
    wide: [usize; 2],
    pooled: usize,
}

const fn inception(pixel: usize, middle: [usize; 2], wide: [usize; 2], pooled: usize) -> Inception {
    Inception { pixel, middle, wide, pooled }
}

const STAGE3: [Inception; 2] =
    [inception(64, [96, 128], [16, 32], 32), inception(128, [128, 192], [32, 96], 64)];
const STAGE4: [Inception; 5] = [
    inception(192, [96, 208], [16, 48], 64),
    inception(160, [112, 224], [24, 64], 64),
    inception(128, [128, 256], [24, 64], 64),
    inception(112, [144, 288], [32, 64], 64),
    inception(256, [160, 320], [32, 128], 128),
];
const STAGE5: [Inception; 2] =
    [inception(256, [160, 320], [32, 128], 128), inception(384, [192, 384], [48, 128], 128)];

/// Weight of the loss of an auxiliary head.
const AUXILIARY: f64 = 0.3;

pub fn googlenet(size: Size) -> Result<Module, Diagnostics> {
    let train = Train::minimize("train_step", "loss", optimizers::momentum(Argument::Param("lr".into())))
        .param("lr")
        .with(Call::word("weight_decay").arg(1e-4));
    let task = Task { name: "googlenet", image: &[size.pixels, size.pixels, 3], train };
    classifier_with_loss(
        task,
        |x, mode| logits(x, size, mode).0,
        |x, y| {
            let (logits, inner) = logits(x, size, Mode::Training);
            let loss = nn::sparse_softmax_cross_entropy(logits, y);
            inner.into_iter().enumerate().fold(loss, |loss, (n, features)| {
                let logits = auxiliary(features, size, &format!("auxiliary{}", n + 1));
                loss + nn::sparse_softmax_cross_entropy(logits, y) * AUXILIARY
            })
        },
    )
}

/// The logits, and what the auxiliary heads look at: the results of the first and the fourth block of the fourth stage.
fn logits(x: Expr<'_>, size: Size, mode: Mode) -> (Expr<'_>, [Expr<'_>; 2]) {
    let halved = nn::Pool::new(&[3, 3]).strides(&[2, 2]).ceil();
    let x = layer(x, "conv1", ConvNorm { window: 7, stride: 2, ..ConvNorm::of(size.width(64)) }, mode);
    let x = layer(nn::max_pool(x, &halved), "conv2", pixel(size.width(64)), mode);
    let x = layer(x, "conv3", ConvNorm::of(size.width(192)), mode);
    let stage3 = stage(nn::max_pool(x, &halved), (3, &STAGE3), size, mode);
    let stage4 = stage(nn::max_pool(stage3[1], &halved), (4, &STAGE4), size, mode);
    let stage5 = stage(nn::max_pool(stage4[4], &nn::Pool::new(&[2, 2]).ceil()), (5, &STAGE5), size, mode);
    let pooled = nn::global_avg_pool(stage5[1]);
    let kept = if mode == Mode::Training { nn::dropout(pooled, 0.2) } else { pooled };
    (nn::dense(kept, "logits", 1000), [stage4[0], stage4[3]])
}

/// The results of blocks that follow one another.
fn stage<'g>(x: Expr<'g>, (number, blocks): (usize, &[Inception]), size: Size, mode: Mode) -> Vec<Expr<'g>> {
    let mut results: Vec<Expr<'g>> = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        let x = results.last().copied().unwrap_or(x);
        results
            .push(x.graph().scope(&format!("stage{number}/block{}", n + 1), || mixed(x, block, size, mode)));
    }
    results
}

/// Four branches side by side: a pixel, two windows behind one of a pixel, and a pixel of the largest around it.
fn mixed<'g>(x: Expr<'g>, block: &Inception, size: Size, mode: Mode) -> Expr<'g> {
    let windows = |name: &str, [before, channels]: [usize; 2]| {
        let narrow = layer(x, &format!("{name}_before"), pixel(size.width(before)), mode);
        layer(narrow, name, ConvNorm::of(size.width(channels)), mode)
    };
    let around = nn::Pool::new(&[3, 3]).strides(&[1, 1]).padding(nn::Padding::Same);
    let branches = [
        layer(x, "pixel", pixel(size.width(block.pixel)), mode),
        windows("middle", block.middle),
        windows("wide", block.wide),
        layer(nn::max_pool(x, &around), "pooled", pixel(size.width(block.pooled)), mode),
    ];
    x.graph().concat(&branches, 3)
}

/// Logits from features within the network, for training only.
fn auxiliary<'g>(features: Expr<'g>, size: Size, name: &str) -> Expr<'g> {
    features.graph().scope(name, || {
        let pooled = nn::avg_pool(features, &nn::Pool::new(&[5, 5]).strides(&[3, 3]));
        let narrow = layer(pooled, "conv", pixel(size.width(128)), Mode::Training);
        let flat = (1..4).filter_map(|axis| narrow.extent(axis).as_const()).product::<usize>();
        let hidden =
            nn::relu(nn::dense(narrow.reshape([Extent::N, flat.into()]), "hidden", size.width(1024)));
        nn::dense(nn::dropout(hidden, 0.7), "logits", 1000)
    })
}

fn layer<'g>(x: Expr<'g>, name: &str, layer: ConvNorm, mode: Mode) -> Expr<'g> {
    nn::relu(conv_norm(x, name, &ConvNorm { epsilon: 1e-3, ..layer }, mode))
}

fn pixel(channels: usize) -> ConvNorm {
    ConvNorm { window: 1, ..ConvNorm::of(channels) }
}
