//! What all networks that classify images have in common: their entry points.

use bessemer::prelude::*;

/// Whether a function is one that is trained. Dropout and batch norm differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Training,
    Inference,
}

/// What a classifier is for.
pub struct Task<'a> {
    /// Name of the module.
    pub name: &'a str,
    /// Extents of an image.
    pub image: &'a [usize],
    pub train: Train,
}

/// A classifier with the entry points `predict`, `loss`, `eval` and the training step: `logits` gives those of images.
pub fn classifier(
    task: Task<'_>,
    logits: impl for<'g> Fn(Expr<'g>, Mode) -> Expr<'g>,
) -> Result<Module, Diagnostics> {
    classifier_with_loss(task, &logits, |x, y| nn::sparse_softmax_cross_entropy(logits(x, Mode::Training), y))
}

/// A classifier with a loss of its own.
pub fn classifier_with_loss(
    task: Task<'_>,
    logits: impl for<'g> Fn(Expr<'g>, Mode) -> Expr<'g>,
    loss: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g>,
) -> Result<Module, Diagnostics> {
    let module = Builder::new(task.name);
    let image = task.image;
    module.function("predict", |f| {
        f.result("probabilities", nn::softmax(logits(images(f, image), Mode::Inference)));
    });
    module.function("loss", |f| {
        let (x, y) = (images(f, image), labels(f));
        f.result("loss", loss(x, y));
    });
    module.function("eval", |f| {
        let (x, y) = (images(f, image), labels(f));
        let logits = logits(x, Mode::Inference);
        f.result("loss", nn::sparse_softmax_cross_entropy(logits, y));
        f.result("correct", nn::accuracy_count(logits, y));
    });
    module.train(task.train);
    module.finish()
}

fn images<'g>(f: &'g Graph, image: &[usize]) -> Expr<'g> {
    let shape = [Extent::N].into_iter().chain(image.iter().map(|&e| e.into()));
    f.placeholder("x", DType::F32, Shape(shape.collect()))
}

fn labels(f: &Graph) -> Expr<'_> {
    f.placeholder("y", DType::I32, [Extent::N])
}
