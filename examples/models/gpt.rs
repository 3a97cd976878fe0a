//! A transformer that continues text, character by character: GPT-2's blocks (Radford et al., "Language models are
//! unsupervised multitask learners", 2019), four of them, with attention composed from ops.

use bessemer::prelude::*;

use super::Size;

/// Characters that the network knows.
const VOCABULARY: usize = 96;
/// Characters that it sees at once.
const LENGTH: usize = 128;

const WIDTH: usize = 256;
const HEADS: usize = 4;
const LAYERS: usize = 4;
const EPSILON: f64 = 1e-5;

/// Entry points: `predict` gives the probabilities of the character behind each one, `loss` and `eval` compare them with those
/// that `targets` says.
pub fn gpt(size: Size) -> Result<Module, Diagnostics> {
    let module = Builder::new("gpt");
    let text = [Extent::N, size.width(LENGTH).into()];
    module.function("predict", |f| {
        let characters = f.placeholder("characters", DType::I32, text);
        f.result("probabilities", nn::softmax(logits(characters, size)));
    });
    module.function("loss", |f| {
        let characters = f.placeholder("characters", DType::I32, text);
        let targets = f.placeholder("targets", DType::I32, text);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits(characters, size), targets));
    });
    module.function("eval", |f| {
        let characters = f.placeholder("characters", DType::I32, text);
        let targets = f.placeholder("targets", DType::I32, text);
        let logits = logits(characters, size);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits, targets));
        f.result("correct", nn::accuracy_count(logits, targets));
    });
    module.train(
        Train::minimize(
            "train_step",
            "loss",
            optimizers::adamw(Argument::Param("lr".into())).with("decay", 0.1),
        )
        .param("lr")
        .with(Call::word("clip_norm").arg(1.0)),
    );
    module.finish()
}

/// `[N, LENGTH]` characters to `[N, LENGTH, VOCABULARY]`: at each position, of the character that follows.
fn logits(characters: Expr<'_>, size: Size) -> Expr<'_> {
    let graph = characters.graph();
    let (length, width) = (size.width(LENGTH), size.width(WIDTH));
    let positions = graph
        .scope("positions", || graph.variable("table", [length, width], initializers::normal(0.0, 0.02)));
    let x = nn::embedding(characters, "characters", VOCABULARY, width) + positions;
    let x = (0..LAYERS).fold(x, |x, n| graph.scope(&format!("block{n}"), || block(x)));
    nn::dense(nn::layer_norm(x, "norm", EPSILON), "logits", VOCABULARY)
}

/// Attention and then two dense layers, each behind a layer norm and beside the identity.
fn block(x: Expr<'_>) -> Expr<'_> {
    let width = x.extent(-1).as_const().unwrap_or(WIDTH);
    let x = x + attention(nn::layer_norm(x, "norm1", EPSILON));
    let hidden = nn::gelu(nn::dense(nn::layer_norm(x, "norm2", EPSILON), "hidden", 4 * width));
    x + nn::dense(hidden, "output", width)
}

/// Every position gathers values from those before it and itself: `softmax(q·kᵀ / √width)·v` for each head.
fn attention(x: Expr<'_>) -> Expr<'_> {
    let graph = x.graph();
    let fixed = |axis| x.extent(axis).as_const().unwrap_or(1);
    let (length, all) = (fixed(-2), fixed(-1));
    let width = all / HEADS;
    let heads = |name: &str| {
        let split = nn::dense(x, name, all).reshape([Extent::N, length.into(), HEADS.into(), width.into()]);
        split.transpose(&[0, 2, 1, 3])
    };
    let (queries, keys, values) = (heads("queries"), heads("keys"), heads("values"));
    let scores = queries.matmul_transposed(keys, false, true) / (width as f64).sqrt();
    let at = |axis: usize| graph.iota(DType::I32, [length, length], axis);
    let visible = at(1).le(at(0)).broadcast_to(scores.shape());
    let weights = nn::softmax(visible.select(scores, scores.full_like(-1e9)));
    let gathered = weights.matmul(values).transpose(&[0, 2, 1, 3]);
    nn::dense(gathered.reshape([Extent::N, length.into(), all.into()]), "merged", all)
}
