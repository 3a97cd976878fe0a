//! Layers in every form, those that windows run over above all: compiled code agrees with the evaluator, what they give and what
//! they teach.

#[path = "support/compare.rs"]
mod compare;
mod support;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::{State, evaluate};
use bessemer_compiler::graph::{Builder, Expr, Module, Train};
use bessemer_compiler::nn::{self, Filters, Padding, Pool};
use bessemer_compiler::ops::sample::Sampler;
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType;
use bessemer_compiler::{initializers, optimizers};
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool as Workers;
use compare::{same, variables};
use support::{call, compile};

/// A layer, what it is called, and the images that it is for: none, of one pixel, smaller than a window, of odd sizes.
type Layer = (&'static str, &'static [[usize; 4]], fn(Expr<'_>) -> Expr<'_>);

const SAME: &[[usize; 4]] = &[[0, 5, 4, 4], [3, 1, 1, 4], [2, 2, 9, 4], [1, 7, 5, 12]];
const VALID: &[[usize; 4]] = &[[0, 8, 7, 4], [2, 7, 9, 4], [1, 11, 8, 20]];
/// Images of one pixel or a few, of which a batch is a matrix: of no rows, and of many.
const ROWS: &[[usize; 4]] = &[[0, 1, 1, 20], [255, 1, 1, 20], [256, 2, 2, 12], [301, 1, 2, 17]];

const LAYERS: &[Layer] = &[
    ("dense", ROWS, |x| nn::dense(rows(x), "d", 17)),
    ("dense, several", ROWS, |x| {
        let hidden = nn::gelu(nn::dense(nn::relu(nn::dense(rows(x), "a", 64)), "b", 48));
        nn::dense(hidden, "c", 32)
    }),
    ("conv", VALID, |x| nn::conv(x, "c", &Filters::new(6, &[3, 3]))),
    ("conv, same", SAME, |x| nn::conv(x, "c", &Filters::new(17, &[3, 3]).padding(Padding::Same))),
    ("conv, one-pixel windows", SAME, |x| nn::conv(x, "c", &Filters::new(9, &[1, 1]).no_bias())),
    ("conv, strides above the window", VALID, |x| {
        nn::conv(x, "c", &Filters::new(3, &[2, 3]).strides(&[3, 4]))
    }),
    ("conv, dilated", VALID, |x| nn::conv(x, "c", &Filters::new(5, &[3, 2]).dilation(&[2, 3]))),
    ("conv, uneven padding", SAME, |x| {
        let padding = Padding::Explicit(vec![(2, 0), (1, 3)]);
        nn::conv(x, "c", &Filters::new(5, &[3, 3]).strides(&[2, 1]).padding(padding))
    }),
    ("conv, groups", SAME, |x| nn::conv(x, "c", &Filters::new(8, &[3, 3]).padding(Padding::Same).groups(2))),
    ("conv, depthwise", SAME, |x| {
        let channels = x.shape().bound()[3];
        let filters = Filters::new(2 * channels, &[3, 3]).strides(&[2, 2]).padding(Padding::Same);
        nn::conv(x, "c", &filters.groups(channels))
    }),
    ("conv_transpose", SAME, |x| nn::conv_transpose(x, "c", &Filters::new(5, &[3, 2]).strides(&[2, 3]))),
    ("conv_transpose, groups", SAME, |x| {
        nn::conv_transpose(x, "c", &Filters::new(6, &[2, 2]).dilation(&[2, 1]).groups(2))
    }),
    ("max pool", VALID, |x| nn::max_pool(x, &Pool::new(&[2, 2]))),
    ("max pool, same", SAME, |x| {
        nn::max_pool(x, &Pool::new(&[3, 3]).strides(&[1, 1]).padding(Padding::Same))
    }),
    ("max pool, ceil", VALID, |x| nn::max_pool(x, &Pool::new(&[3, 2]).strides(&[2, 3]).ceil())),
    ("max pool, dilated", VALID, |x| nn::max_pool(x, &Pool::new(&[2, 2]).strides(&[1, 2]).dilation(&[3, 2]))),
    ("max pool, strides above the window", VALID, |x| nn::max_pool(x, &Pool::new(&[2, 1]).strides(&[3, 3]))),
    ("average pool", VALID, |x| nn::avg_pool(x, &Pool::new(&[2, 3]))),
    ("average pool, same", SAME, |x| {
        nn::avg_pool(x, &Pool::new(&[3, 3]).strides(&[2, 1]).padding(Padding::Same))
    }),
    ("average pool, ceil", VALID, |x| nn::avg_pool(x, &Pool::new(&[3, 3]).strides(&[2, 2]).ceil())),
    ("average pool, counting padding", SAME, |x| {
        nn::avg_pool(x, &Pool::new(&[2, 2]).padding(Padding::around(2, 1)).count_padding())
    }),
    ("global max pool", SAME, |x| nn::global_max_pool(x)),
    ("global average pool", SAME, |x| nn::global_avg_pool(x)),
];

fn rows(x: Expr<'_>) -> Expr<'_> {
    let images = x.shape().bound();
    x.reshape([images[0], images[1..].iter().product()])
}

/// `f(x)` is the layer of `x · scale`; a step changes the scale, of one number for each of an image, and the layer's variables, by
/// their gradients.
fn module(layer: fn(Expr<'_>) -> Expr<'_>, shape: [usize; 4]) -> Module {
    let builder = Builder::new("layers");
    for name in ["f", "loss"] {
        builder.function(name, |f| {
            let scale = f.variable("scale", &shape[1..], initializers::normal(1.0, 0.2));
            let y = layer(f.placeholder("x", DType::F32, shape) * scale.broadcast_to(shape));
            if name == "f" {
                f.result("y", y);
            } else {
                // Of other sign and size from element to element, or the gradients would be sums alike.
                let weights = Sampler::new(5).floats(&y.shape().bound(), -1.0, 1.0);
                f.result("loss", (y * f.constant(weights)).sum());
            }
        });
    }
    builder.train(Train::minimize("step", "loss", optimizers::sgd(1.0)));
    prepare(&builder.finish().unwrap_or_else(|e| panic!("{e}"))).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn compiled_layers_agree_with_the_evaluator() {
    let target = Target::host().expect("this machine is supported");
    let pool = Workers::new(2).expect("two threads can be had");
    for &(name, images, layer) in LAYERS {
        for &shape in images {
            check(&format!("{name} of {shape:?}"), &module(layer, shape), shape, &target, &pool);
        }
    }
}

/// Checks the result of a layer and its variables after a step, of code that is fused and not, on one thread and on two.
fn check(layer: &str, module: &Module, shape: [usize; 4], target: &Target, pool: &Workers) {
    let function = |name: &str| &module.functions[module.function(name).expect("it was built")];
    let params = [Sampler::new(3).distinct(&shape)];
    let evaluated = |name: &str, params: &[Tensor], state: &mut State| {
        evaluate(module, function(name), params, state).expect("no index is looked up")
    };
    let mut first = State::default();
    evaluated("init", &[], &mut first);
    let mut taught = first.clone();
    let y = evaluated("f", &params, &mut taught);
    evaluated("step", &params, &mut taught);
    for level in [OptLevel::O0, OptLevel::O3] {
        let what = |of: &str| format!("{layer} at {level:?}: {of}");
        let program = compile(module, &Options::new(level).verify_each(true), target);
        let all = &program.program().state.variables;
        let mut serial = Vec::new();
        for threads in [Threads::serial(), Threads::from(pool.clone())] {
            let instance = program.instance(threads).expect("there is memory");
            for v in all {
                let bytes = first.variables[&v.variable.name].to_bytes();
                instance.write(v.offset, &v.scatter(&bytes)).expect("variables lie in the state");
            }
            let run = |name: &str| {
                call(&program, &instance, function(name), &params).expect("no index is looked up")
            };
            let mut found = run("f");
            assert_close(&found[0], &y[0], &what("y"));
            run("step");
            for (v, value) in all.iter().zip(variables(&program, &instance)) {
                let name = &v.variable.name;
                assert_close(&value, &taught.variables[name], &what(name));
                assert_eq!(!same(&first.variables[name], &value), shape[0] > 0, "{}", what(name));
                found.push(value);
            }
            if serial.is_empty() {
                serial = found;
            } else {
                assert!(serial.iter().zip(&found).all(|(a, b)| same(a, b)), "{}", what("threads"));
            }
        }
    }
}

/// Sums of some hundred terms, of numbers about 1, differ by the order of their additions.
fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.ty(), expected.ty(), "{what}");
    for (at, (a, b)) in found.scalars().zip(expected.scalars()).enumerate() {
        let (a, b) = (a.as_f64(), b.as_f64());
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{what}, element {at}: {a}, not {b}");
    }
}
