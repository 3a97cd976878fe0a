//! Random functions with arguments, drawn from a seed.

use std::cell::RefCell;
use std::rc::Rc;

use bessemer_compiler::differentiate::differentiate;
use bessemer_compiler::graph::eval::State;
use bessemer_compiler::graph::{Call, Expr, Function, Graph, Module, Variable};
use bessemer_compiler::nn;
use bessemer_compiler::ops;
use bessemer_compiler::ops::sample::Sampler;
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::{DType, Extent, Shape, TensorType};

/// The variables that functions read and assign.
const VARIABLES: [(&str, &[usize]); 4] = [("a", &[3, 5]), ("b", &[3, 5]), ("c", &[5]), ("d", &[])];

/// Values with more elements are not computed with any further.
const MAX_ELEMENTS: usize = 600;

/// Indices are below this, so any axis of at least this extent can be looked up.
const INDEX_BOUND: usize = 2;

/// A module with the variables that drawn functions refer to.
pub fn module() -> Module {
    let mut module = Module { name: "random".to_owned(), ..Module::default() };
    for (name, shape) in VARIABLES {
        module.variables.push(Variable {
            name: name.to_owned(),
            ty: TensorType::new(DType::F32, shape),
            init: Call::word("zeros"),
            trainable: true,
            place: bessemer_compiler::diagnostic::Place::Unknown,
        });
    }
    module
}

/// Values for the variables.
pub fn state(seed: u64) -> State {
    let mut sampler = Sampler::new(seed);
    let variables = VARIABLES.map(|(name, shape)| (name.to_owned(), sampler.floats(shape, -2.0, 2.0)));
    State { variables: variables.into(), seed, step: seed % 7 }
}

/// A function with arguments for its parameters.
pub struct Drawn {
    pub function: Function,
    pub params: Vec<Tensor>,
    pub differentiated: bool,
}

/// The function `g<seed>`.
pub fn draw(module: &Rc<RefCell<Module>>, seed: u64) -> Drawn {
    let graph = Graph::over(module.clone(), Function::default(), Rc::default());
    let mut sampler = Sampler::new(seed);
    let (mut values, params) = sources(&graph, &mut sampler);
    let nodes = sampler.int(3, 16);
    // What an op refuses is drawn again; a few draws in a row may find no operands that fit.
    for _ in 0..4 * nodes {
        if graph.borrow().nodes.len() as i64 >= nodes {
            break;
        }
        let made = node(&graph, &values, &mut sampler);
        if !made.is_poisoned() && size(made) <= MAX_ELEMENTS {
            values.push(made);
        }
    }
    let differentiated = sampler.int(0, 4) == 0 && gradients(&graph, &values, &mut sampler);
    // The last value depends on most others.
    graph.result("last", values[values.len() - 1]);
    for n in 0..sampler.int(0, 3) {
        graph.result(&format!("r{n}"), pick(&values, &mut sampler));
    }
    for (name, shape) in VARIABLES {
        let ty = TensorType::new(DType::F32, shape);
        let fits: Vec<_> = values.iter().copied().filter(|v| v.ty() == ty).collect();
        if !fits.is_empty() && sampler.int(0, 3) == 0 {
            graph.assign(name, pick(&fits, &mut sampler));
        }
    }
    Drawn { function: Function { name: format!("g{seed}"), ..graph.into_function() }, params, differentiated }
}

/// Parameters with arguments, and some variables.
fn sources<'g>(graph: &'g Graph, sampler: &mut Sampler) -> (Vec<Expr<'g>>, Vec<Tensor>) {
    const EXTENTS: [usize; 10] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 17];
    // Few extents in one function, so that values fit together.
    let extents: Vec<usize> = (0..2).map(|_| EXTENTS[sampler.int(0, 10) as usize]).collect();
    let shape = |sampler: &mut Sampler| -> Vec<usize> {
        (0..sampler.int(0, 4)).map(|_| extents[sampler.int(0, 2) as usize]).collect()
    };
    let mut params = Vec::new();
    for _ in 0..sampler.int(1, 4) {
        let shape = shape(sampler);
        params.push(sampler.floats(&shape, -2.0, 2.0));
    }
    let indices = [sampler.int(0, 5) as usize];
    params.push(sampler.ints(&indices, 0, INDEX_BOUND as i64));
    let condition = shape(sampler);
    params.push(sampler.bools(&condition));
    let mut values: Vec<Expr<'g>> = (params.iter().enumerate())
        .map(|(n, t)| graph.placeholder(&format!("p{n}"), t.dtype(), t.shape()))
        .collect();
    for (name, _) in VARIABLES {
        if sampler.int(0, 3) == 0 {
            values.push(graph.read(name));
        }
    }
    (values, params)
}

/// Gradients of the sum of a value with respect to others, as results; whether there are any.
fn gradients<'g>(graph: &'g Graph, values: &[Expr<'g>], sampler: &mut Sampler) -> bool {
    let floats: Vec<_> = values.iter().copied().filter(|v| v.dtype() == DType::F32).collect();
    let last = floats[floats.len() - 1];
    let loss = last.sum();
    let wrt = [floats[0], pick(&floats, sampler)];
    let Ok(gradients) = differentiate(graph, &[(loss, loss.constant_like(1.0))], &wrt) else {
        return false;
    };
    let found: Vec<Expr<'g>> = gradients.into_iter().flatten().collect();
    for (n, &gradient) in found.iter().enumerate() {
        graph.result(&format!("d{n}"), gradient);
    }
    !found.is_empty()
}

/// A node over some values, or a few that belong together; poisoned if its op refuses them.
fn node<'g>(graph: &'g Graph, values: &[Expr<'g>], sampler: &mut Sampler) -> Expr<'g> {
    let of = |dtype: DType| values.iter().copied().filter(|v| v.dtype() == dtype).collect::<Vec<_>>();
    let (floats, ints, bools) = (of(DType::F32), of(DType::I32), of(DType::Bool));
    let x = pick(&floats, sampler);
    let (y, z) = (partner(x, &floats, sampler), partner(x, &floats, sampler));
    match sampler.int(0, 12) {
        0 | 1 => unary(x, sampler),
        2 | 3 => binary(x, y, sampler),
        4 => match sampler.int(0, 6) {
            0 => x.lt(y),
            1 => x.ge(y),
            2 => x.gt(0.5),
            3 => !pick(&bools, sampler),
            4 => pick(&bools, sampler) & pick(&bools, sampler),
            _ => x.gt(0.0).select(y, z),
        },
        5 => pick(&bools, sampler).select(x, y),
        6 => reduction(x, sampler),
        7 => composition(x, sampler),
        8 => match sampler.int(0, 3) {
            0 => x.matmul(y),
            1 => x.matmul_transposed(y, false, true),
            _ => x.matmul_transposed(y, true, false),
        },
        9 | 10 => structure(graph, x, y, sampler),
        _ => match sampler.int(0, 8) {
            0 => pick(&bools, sampler).cast(DType::F32),
            1 => pick(&ints, sampler).cast(DType::F32),
            2 => (x * 3.0).cast(DType::I32),
            3 => pick(&ints, sampler) + pick(&ints, sampler),
            4 => pick(values, sampler).cast(DType::F64).cast(DType::F32),
            5 => graph.random_uniform(x.shape()),
            6 => graph.random_normal(x.shape()),
            // Of parameters only: other integers may be out of range.
            _ => match ints.first() {
                Some(&indices) => match sampler.int(0, 2) {
                    0 => indices.one_hot(INDEX_BOUND + 1, DType::F32),
                    _ => look_up(x, indices),
                },
                None => x,
            },
        },
    }
}

fn unary<'g>(x: Expr<'g>, sampler: &mut Sampler) -> Expr<'g> {
    match sampler.int(0, 20) {
        0 => x.exp(),
        1 => x.abs().log(),
        2 => x.tanh(),
        3 => x.sigmoid(),
        4 => x.abs().sqrt(),
        5 => (x * x + 1.0).rsqrt(),
        6 => x.sin(),
        7 => x.cos(),
        8 => x.erf(),
        9 => x.floor(),
        10 => x.round(),
        11 => -x,
        12 => x.abs(),
        13 => x.sign(),
        14 => x + 0.0,
        15 => x * 1.0,
        16 => x.expm1(),
        17 => x.abs().log1p(),
        18 => x / 3.0,
        _ => x * 0.5 + 0.25,
    }
}

fn binary<'g>(x: Expr<'g>, y: Expr<'g>, sampler: &mut Sampler) -> Expr<'g> {
    match sampler.int(0, 9) {
        0 | 1 => x + y,
        2 => x - y,
        3 | 4 => x * y,
        5 => x / y,
        6 => x.min(y),
        7 => x.max(y),
        _ => x * y + x,
    }
}

fn reduction<'g>(x: Expr<'g>, sampler: &mut Sampler) -> Expr<'g> {
    let axes: Vec<usize> = (0..x.rank()).filter(|_| sampler.bits() & 1 == 1).collect();
    let keep = sampler.bits() & 1 == 1;
    match sampler.int(0, 6) {
        0 | 1 => x.reduce_sum(&axes, keep),
        2 => x.reduce_max(&axes, keep),
        3 => x.reduce_min(&axes, keep),
        4 => x.reduce_prod(&axes, keep),
        _ => x.argmax(0),
    }
}

/// What networks are made of.
fn composition<'g>(x: Expr<'g>, sampler: &mut Sampler) -> Expr<'g> {
    if x.rank() == 0 {
        return nn::silu(x);
    }
    let last = [x.rank() - 1];
    match sampler.int(0, 6) {
        0 => nn::softmax(x),
        1 => nn::log_softmax(x),
        2 => x - x.reduce_mean(&last, true),
        3 => nn::variance(x, &last, false),
        4 => nn::gelu(x),
        _ => nn::relu(x),
    }
}

fn structure<'g>(graph: &'g Graph, x: Expr<'g>, y: Expr<'g>, sampler: &mut Sampler) -> Expr<'g> {
    let rank = x.rank();
    if rank == 0 {
        return x.broadcast_to([3, 5]);
    }
    let axis = sampler.int(0, rank as i64) as usize;
    let extent = x.shape().bound()[axis];
    match sampler.int(0, 11) {
        0 | 1 => {
            let mut permutation: Vec<usize> = (0..rank).collect();
            permutation.rotate_left(1 + axis);
            x.transpose(&permutation)
        }
        2 => x.reshape([size(x)]),
        3 => x.expand(axis),
        4 => {
            let start = sampler.int(0, extent as i64 + 1) as usize;
            x.slice_fixed(axis, start, sampler.int(start as i64, extent as i64 + 1) as usize)
        }
        5 => x.pad_axis(axis, sampler.int(0, 3) as usize, sampler.int(0, 3) as usize, 0.5),
        6 => graph.concat(&[x, y], axis),
        7 => x.reverse(&[axis]),
        8 | 9 => windows(x, axis, extent, sampler),
        _ => {
            let (exclusive, reverse) = (sampler.bits() & 1 == 1, sampler.bits() & 1 == 1);
            graph.add(ops::Cumsum { axis, exclusive, reverse }, &[x])
        }
    }
}

/// Windows of `x` along an axis of this extent, what is pooled of them, or their sum.
fn windows<'g>(x: Expr<'g>, axis: usize, extent: usize, sampler: &mut Sampler) -> Expr<'g> {
    let (count, stride, dilation) =
        (sampler.int(1, 4) as usize, sampler.int(1, 4) as usize, sampler.int(1, 3) as usize);
    if (count - 1) * dilation >= extent {
        return x;
    }
    let windows = x.windows(&[axis], &[count], &[stride], &[dilation]);
    let (graph, within) = (x.graph(), vec![windows.rank() - 1]);
    match sampler.int(0, 5) {
        0 => windows,
        1 => windows.reduce_sum(&within, false),
        2 => graph.add(ops::ReduceMax { axes: within, keep: false, first: true }, &[windows]),
        _ => {
            // All positions, fewer, or more.
            let start = sampler.int(0, extent as i64) as usize;
            let sum = ops::SumWindows {
                axes: vec![axis],
                extents: vec![sampler.int(0, extent as i64 + 2) as usize],
                low: vec![start.min((count - 1) * dilation)],
                strides: vec![stride],
                dilation: vec![dilation],
            };
            graph.add(sum, &[windows * 0.5])
        }
    }
}

/// Rows of `x` along the first axis that has enough, or `x`.
fn look_up<'g>(x: Expr<'g>, indices: Expr<'g>) -> Expr<'g> {
    let fits = |e: &Extent| e.as_const().is_some_and(|e| e >= INDEX_BOUND);
    match x.shape().0.iter().position(fits) {
        Some(axis) => x.gather(indices, axis),
        None => x,
    }
}

/// A value that likely fits beside `x`: one of its shape where there is one, mostly.
fn partner<'g>(x: Expr<'g>, values: &[Expr<'g>], sampler: &mut Sampler) -> Expr<'g> {
    let alike: Vec<_> = values.iter().copied().filter(|v| v.shape() == x.shape()).collect();
    if sampler.int(0, 3) > 0 { pick(&alike, sampler) } else { pick(values, sampler) }
}

/// One of the values, later ones more often.
fn pick<'g>(values: &[Expr<'g>], sampler: &mut Sampler) -> Expr<'g> {
    let n = values.len() as i64;
    values[sampler.int(0, n).max(sampler.int(0, n)) as usize]
}

fn size(x: Expr<'_>) -> usize {
    Shape::bound(&x.shape()).iter().product()
}
