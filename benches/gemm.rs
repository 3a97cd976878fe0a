//! Matrix products on one thread, through the whole compiler: `cargo bench --features rivals --bench gemm [FILTER]`.
//!
//! `c[m,n] = Σ_k a[m,k]·b[k,n]`; *tn* says that `a` is stored as `[k,m]`, as in the gradient of a weight, and *nt* that `b` is
//! stored as `[n,k]`, as in the gradient of an input. Operands are variables in the columns *laid out*, in the layout that the
//! compiler gives these, and the caller's dense arrays in the columns *dense*. *Peak* is the share of the rate of fused
//! multiply-adds of the machine's widest vectors. Then come the same products by the crates `gemm` and `matrixmultiply`, on
//! dense arrays as well, and *ratio*, the time of the dense product over that of the faster crate.
//!
//! All five take turns, and so does the measurement of the peak; every figure is the shortest of the rounds.

#[path = "common/call.rs"]
mod call;
#[path = "common/function.rs"]
mod function;
#[path = "common/peak.rs"]
mod peak;
#[path = "common/program.rs"]
mod program;

use std::time::Duration;

use bessemer_compiler::graph::Module;
use bessemer_compiler::initializers;
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType::F32;
use call::{Call, times};
use function::module;

/// How often each product is measured.
const ROUNDS: usize = 100;

/// How an operand is stored.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Both as they are multiplied.
    Nn,
    /// The first one transposed.
    Tn,
    /// The second one transposed.
    Nt,
}
use Form::{Nn, Nt, Tn};

/// `m`, `n`, `k` and the form.
const SHAPES: [(usize, usize, usize, Form); 38] = [
    // Forward, gradient of the weight and gradient of the input: softmax regression and perceptrons.
    (100, 10, 784, Nn),
    (784, 10, 100, Tn),
    (100, 784, 10, Nt),
    (100, 128, 784, Nn),
    (784, 128, 100, Tn),
    (100, 128, 10, Nt),
    (128, 10, 100, Tn),
    (100, 1024, 1024, Nn),
    (1024, 1024, 100, Tn),
    (100, 1024, 1024, Nt),
    // A transformer's.
    (64, 256, 256, Nn),
    (32, 3072, 768, Nn),
    (3072, 768, 32, Tn),
    (32, 768, 3072, Nt),
    (128, 768, 768, Nn),
    (1024, 1024, 256, Nn),
    (1024, 256, 1024, Nn),
    (1024, 1024, 256, Nt),
    (256, 1024, 1024, Tn),
    (128, 64, 128, Nn),
    // Squares.
    (64, 64, 64, Nn),
    (128, 128, 128, Nn),
    (256, 256, 256, Nn),
    (256, 256, 256, Tn),
    (256, 256, 256, Nt),
    (512, 512, 512, Nn),
    (1024, 1024, 1024, Nn),
    (1024, 1024, 1024, Tn),
    (1024, 1024, 1024, Nt),
    // Odd sizes, and batches of others than a hundred.
    (65, 65, 65, Nn),
    (97, 131, 211, Nn),
    (1000, 1000, 1000, Nn),
    (1, 512, 784, Nn),
    (7, 512, 784, Nn),
    (32, 512, 784, Nn),
    (33, 512, 784, Nn),
    (256, 512, 784, Nn),
    (2000, 30, 30, Nn),
];

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let peak = peak::multiply_adds().pop();
    println!("peak: of vectors of {} bits\n", peak.map_or(0, |p| p.bits));
    println!(
        "{:20} {:>17} {:>17} {:>17} {:>17} {:>6}",
        "", "laid out", "dense", "gemm", "matrixmultiply", ""
    );
    let columns = format!("{:>10} {:>6}", "µs", "peak");
    println!("{:20} {columns} {columns} {columns} {columns} {:>6}", "m x n x k", "ratio");
    for (m, n, k, form) in SHAPES {
        let name = format!("{m}x{n}x{k}{}", ["", " tn", " nt"][form as usize]);
        if !name.contains(&filter) {
            continue;
        }
        let options = Options::new(OptLevel::O3).verify_each(false);
        let [mut laid_out, mut dense] =
            [true, false].map(|variables| Call::new(&product(m, n, k, form, variables), "f", 1, &options, 1));
        let mut rival = Rival::new(m, n, k, form, &dense.params);
        let mut other = Rival::new(m, n, k, form, &dense.params);
        dense.run();
        rival.gemm();
        rival.agrees(&dense.results[0]);
        other.matrixmultiply();
        other.agrees(&dense.results[0]);
        let mut no_peak = || {};
        let mut run_peak = peak.map(|p| p.run);
        let peak_run: &mut dyn FnMut() = match &mut run_peak {
            Some(run) => run,
            None => &mut no_peak,
        };
        let runs: [&mut dyn FnMut(); 5] =
            [peak_run, &mut || laid_out.run(), &mut || dense.run(), &mut || rival.gemm(), &mut || {
                other.matrixmultiply()
            }];
        let [of_peak, products @ ..] = times(ROUNDS, Duration::from_millis(4), runs).map(|times| times[0]);
        let rate = peak.map_or(f64::NAN, |p| p.flops / of_peak);
        let flops = dense.entry().flops as f64;
        let cells =
            products.map(|time| format!("{:>10.1} {:>5.0}%", time * 1e6, flops / time / rate * 100.0));
        let ratio = products[1] / products[2].min(products[3]);
        println!("{name:20} {} {ratio:>6.2}", cells.join(" "));
    }
}

/// The shapes that `a` and `b` are stored with.
fn stored(m: usize, n: usize, k: usize, form: Form) -> [[usize; 2]; 2] {
    let a = if form == Tn { [k, m] } else { [m, k] };
    let b = if form == Nt { [n, k] } else { [k, n] };
    [a, b]
}

/// The product of two variables or of two parameters.
fn product(m: usize, n: usize, k: usize, form: Form, variables: bool) -> Module {
    module(|f| {
        let [a, b] = [("a", 0), ("b", 1)].map(|(name, i)| {
            let shape = stored(m, n, k, form)[i];
            match variables {
                true => f.variable(name, shape, initializers::glorot_uniform()),
                false => f.placeholder(name, F32, shape),
            }
        });
        f.result("c", a.matmul_transposed(b, form == Tn, form == Nt));
    })
}

/// A product of the same operands by another crate.
struct Rival {
    /// `m`, `n`, `k`.
    sizes: [usize; 3],
    /// Elements from one row to the next and from one column to the next, of `a` and `b` as they are multiplied.
    strides: [[isize; 2]; 2],
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Rival {
    fn new(m: usize, n: usize, k: usize, form: Form, params: &[Tensor]) -> Rival {
        let [a, b] = stored(m, n, k, form).map(|shape| shape[1] as isize);
        let strides = [if form == Tn { [1, a] } else { [a, 1] }, if form == Nt { [1, b] } else { [b, 1] }];
        let elements = |t: &Tensor| t.array::<f32>().iter().copied().collect::<Vec<f32>>();
        Rival {
            sizes: [m, n, k],
            strides,
            a: elements(&params[0]),
            b: elements(&params[1]),
            c: vec![0.0; m * n],
        }
    }

    fn gemm(&mut self) {
        let ([m, n, k], [a, b]) = (self.sizes, self.strides);
        // SAFETY: the arrays have as many elements as sizes and strides say, and `c` is no other's.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.c.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.a.as_ptr(),
                a[1],
                a[0],
                self.b.as_ptr(),
                b[1],
                b[0],
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    fn matrixmultiply(&mut self) {
        let ([m, n, k], [a, b]) = (self.sizes, self.strides);
        let (pa, pb, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
        // SAFETY: the arrays have as many elements as sizes and strides say, and `c` is no other's.
        unsafe {
            matrixmultiply::sgemm(m, k, n, 1.0, pa, a[0], a[1], pb, b[0], b[1], 0.0, c, n as isize, 1);
        }
    }

    /// Makes sure that the product is that of the compiler, up to the rounding of another order of additions.
    fn agrees(&self, other: &Tensor) {
        let bound = 1e-6 * self.sizes[2] as f32 + 1e-5;
        for (a, b) in self.c.iter().zip(other.array::<f32>()) {
            assert!((a - b).abs() <= bound, "{:?}: {a} and {b}", self.sizes);
        }
    }
}
