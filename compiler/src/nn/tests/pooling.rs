use super::*;
use crate::nn::{Padding, Pool, avg_pool, global_avg_pool, global_max_pool, max_pool};

/// Extents, window, strides, dilation, padding on both sides of both axes, and whether windows may reach beyond it.
type Case = ([usize; 4], [usize; 2], [usize; 2], [usize; 2], [(usize, usize); 2], bool);

const CASES: [Case; 9] = [
    ([2, 4, 6, 3], [2, 2], [2, 2], [1, 1], [(0, 0), (0, 0)], false),
    ([1, 7, 5, 2], [2, 3], [2, 2], [1, 1], [(0, 0), (0, 0)], false),
    ([2, 8, 7, 3], [3, 3], [2, 2], [1, 1], [(1, 1), (1, 1)], false),
    ([1, 7, 7, 1], [3, 3], [2, 2], [1, 1], [(0, 0), (0, 0)], true),
    ([1, 8, 6, 2], [3, 2], [2, 3], [1, 1], [(1, 0), (0, 1)], true),
    ([1, 6, 4, 1], [3, 3], [3, 3], [1, 1], [(1, 1), (1, 1)], true),
    ([2, 9, 8, 2], [2, 3], [3, 1], [3, 2], [(0, 0), (2, 2)], false),
    ([1, 7, 9, 2], [2, 2], [3, 4], [1, 1], [(0, 0), (0, 0)], false),
    ([3, 1, 1, 4], [3, 3], [1, 1], [1, 1], [(1, 1), (1, 1)], false),
];

fn pool((_, window, strides, dilation, sides, ceil): &Case) -> Pool {
    let pool =
        Pool::new(window).strides(strides).dilation(dilation).padding(Padding::Explicit(sides.to_vec()));
    if *ceil { pool.ceil() } else { pool }
}

/// What lies in each window: per element, `None` where it is outside of the padding, `Some(None)` within it.
fn windows(case: &Case, x: &[f64]) -> Vec<Vec<Option<Option<f64>>>> {
    let ([n, h, w, c], window, strides, dilation, sides, ceil) = *case;
    let extents = [h, w];
    // PyTorch's formula: the last window begins within the value or the padding before it.
    let count = |d: usize| {
        let (low, high) = sides[d];
        let room = extents[d] + low + high - dilation[d] * (window[d] - 1) - 1;
        let mut count = (room + if ceil { strides[d] - 1 } else { 0 }) / strides[d] + 1;
        if ceil && (count - 1) * strides[d] >= extents[d] + low {
            count -= 1;
        }
        count
    };
    let mut all = Vec::new();
    for (n, oh, ow, c_at) in (0..n).flat_map(|n| {
        (0..count(0))
            .flat_map(move |oh| (0..count(1)).flat_map(move |ow| (0..c).map(move |c| (n, oh, ow, c))))
    }) {
        let mut elements = Vec::new();
        for (kh, kw) in (0..window[0]).flat_map(|kh| (0..window[1]).map(move |kw| (kh, kw))) {
            let at = [oh * strides[0] + kh * dilation[0], ow * strides[1] + kw * dilation[1]];
            let inside = |d: usize| at[d] >= sides[d].0 && at[d] < sides[d].0 + extents[d];
            let padded = |d: usize| at[d] < sides[d].0 + extents[d] + sides[d].1;
            elements.push(match (inside(0) && inside(1), padded(0) && padded(1)) {
                (true, _) => {
                    let (row, column) = (at[0] - sides[0].0, at[1] - sides[1].0);
                    Some(Some(x[((n * h + row) * w + column) * c + c_at]))
                }
                (_, true) => Some(None),
                _ => None,
            });
        }
        all.push(elements);
    }
    all
}

#[test]
fn the_largest_of_every_window() {
    for case in &CASES {
        let x = Sampler::new(1).distinct(&case.0);
        let expected: Vec<f64> = windows(case, &elements(&x))
            .into_iter()
            .map(|window| window.into_iter().flatten().flatten().fold(f64::NEG_INFINITY, f64::max))
            .collect();
        assert_close(&run(|x| max_pool(x, &pool(case)), &x).0, &expected);
        check_gradients(|x| max_pool(x, &pool(case)), &x);
    }
}

#[test]
fn the_mean_of_every_window() {
    for case in &CASES {
        let x = Sampler::new(2).floats(&case.0, -2.0, 2.0);
        let of = |count: fn(&Option<f64>) -> bool| -> Vec<f64> {
            let mean = |window: Vec<Option<Option<f64>>>| {
                let counted: Vec<Option<f64>> = window.into_iter().flatten().filter(count).collect();
                counted.iter().flatten().sum::<f64>() / counted.len().max(1) as f64
            };
            windows(case, &elements(&x)).into_iter().map(mean).collect()
        };
        assert_close(&run(|x| avg_pool(x, &pool(case)), &x).0, &of(Option::is_some));
        assert_close(&run(|x| avg_pool(x, &pool(case).count_padding()), &x).0, &of(|_| true));
        check_gradients(|x| avg_pool(x, &pool(case)), &x);
    }
}

/// Values where PyTorch gives the same: `MaxPool2d(3, 2, ceil_mode=True)` of 0 to 24.
#[test]
fn ceil_mode_takes_what_is_left() {
    let x = Tensor::from_vec(&[1, 4, 4, 1], (0..16).map(|i| i as f32).collect());
    let pool = Pool::new(&[3, 3]).strides(&[2, 2]);
    assert_close(&run(|x| max_pool(x, &pool), &x).0, &[10.0]);
    let pool = pool.ceil();
    assert_close(&run(|x| max_pool(x, &pool), &x).0, &[10.0, 11.0, 14.0, 15.0]);
    assert_close(&run(|x| avg_pool(x, &pool), &x).0, &[5.0, 6.5, 11.0, 12.5]);
}

#[test]
fn the_first_of_equal_elements_gets_the_gradient() {
    let x = Tensor::from_vec(&[1, 4, 1], vec![1f32, 1.0, 0.0, 0.0]);
    let module = network(|x| max_pool(x, &Pool::new(&[2])), &x).unwrap();
    let function = module.functions.values().next().unwrap().clone();
    let module = Rc::new(RefCell::new(module));
    let graph = Graph::over(module.clone(), function, Rc::default());
    let (y, x_value) = (graph.expr(graph.borrow().results[0].value), graph.expr(graph.borrow().params[0]));
    let cotangent = graph.constant(Tensor::from_vec(&[1, 2, 1], vec![3f32, 5.0]));
    let gradient = differentiate(&graph, &[(y, cotangent)], &[x_value]).unwrap()[0].unwrap();
    let values = evaluate_values(&module.borrow(), &graph.borrow(), &[x], &State::default()).unwrap();
    assert_eq!(elements(values[gradient.id()].as_ref().unwrap()), [3.0, 0.0, 5.0, 0.0]);
}

#[test]
fn same_padding_keeps_a_window_per_stride() {
    let x = Sampler::new(3).floats(&[1, 5, 8, 1], 0.0, 1.0);
    let pool = Pool::new(&[3, 3]).strides(&[2, 2]).padding(Padding::Same);
    assert_eq!(run(|x| max_pool(x, &pool), &x).0.len(), 3 * 4);
}

#[test]
fn global_pools_leave_channels() {
    let x =
        Tensor::from_vec(&[2, 3, 2], vec![1f32, 9.0, 2.0, 7.0, 6.0, -1.0, 0.0, -4.0, 0.0, -5.0, 3.0, -6.0]);
    assert_close(&run(|x| global_max_pool(x), &x).0, &[6.0, 9.0, 3.0, -4.0]);
    assert_close(&run(|x| global_avg_pool(x), &x).0, &[3.0, 5.0, 1.0, -5.0]);
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    let x = Sampler::new(4).floats(&[1, 2, 2, 1], 0.0, 1.0);
    assert_eq!(error(|x| max_pool(x, &Pool::new(&[3, 3])), &x), "E0219");
    assert_eq!(error(|x| max_pool(x, &Pool::new(&[2])), &x), "E0219");
    assert_eq!(error(|x| avg_pool(x, &Pool::new(&[2, 0])), &x), "E0219");
    assert_eq!(error(|x| avg_pool(x, &Pool::new(&[1, 1]).padding(Padding::around(1, 1))), &x), "E0216");
    assert_eq!(error(|x| max_pool(x, &Pool::new(&[1])), &Tensor::from_vec(&[2], vec![1f32, 2.0])), "E0214");
}
