//! A run of an entry point allocates nothing, but for the first with a batch size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bessemer::prelude::*;
use ndarray::{Array1, Array2};

/// The system's allocator, counted.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: by this function's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn later_runs_allocate_nothing() -> Result<(), Box<dyn std::error::Error>> {
    let module = Builder::new("m");
    let extents = [Extent::N, 8.into()];
    module.function("loss", |f| {
        let (x, y) = (f.placeholder("x", DType::F32, extents), f.placeholder("y", DType::I32, [Extent::N]));
        let hidden = nn::relu(nn::dense(x, "hidden", 16));
        f.result("loss", nn::sparse_softmax_cross_entropy(nn::dense(hidden, "logits", 3), y));
    });
    module.train(Train::minimize("train_step", "loss", optimizers::adam(0.01)));
    let session = Session::builder(&module.finish()?).threads(2).build()?;
    session.init(1)?;

    let mut step = session.entry("train_step")?;
    let data: Vec<(Array2<f32>, Array1<i32>)> =
        [32, 7].map(|n| (Array2::from_elem((n, 8), 0.5), Array1::from_elem(n, 2))).into();
    for (x, y) in &data {
        step.run(&[("x", x.into()), ("y", y.into())])?;
    }
    let before = CALLS.load(Relaxed);
    let mut sum = 0.0;
    for _ in 0..10 {
        for (x, y) in &data {
            step.run(&[("y", y.view().into()), ("x", x.view().into())])?;
            sum += step.scalar::<f32>("loss")?;
            sum += step.get::<f32>("loss")?.sum();
        }
    }
    assert_eq!(CALLS.load(Relaxed) - before, 0);
    assert!(sum.is_finite() && sum > 0.0, "{sum}");
    assert_eq!(session.step()?, 22);
    Ok(())
}
