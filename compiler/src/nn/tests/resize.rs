use super::*;
use crate::nn::{depth_to_space, resize_bilinear, resize_nearest, space_to_depth};

/// Extents of two axes, and sizes: the same, whole and fractional factors, up and down, and one pixel.
const CASES: [([usize; 2], [usize; 2]); 9] = [
    ([3, 4], [3, 4]),
    ([3, 4], [6, 12]),
    ([6, 8], [3, 2]),
    ([4, 6], [6, 4]),
    ([5, 7], [3, 9]),
    ([1, 1], [3, 2]),
    ([7, 9], [1, 1]),
    ([2, 3], [2, 7]),
    ([10, 4], [4, 10]),
];

/// Each element of `[2, sizes, 3]` as a weighted sum of elements of `x`, given per axis the indices and weights of one.
fn resized(
    x: &[f64],
    extents: [usize; 2],
    sizes: [usize; 2],
    taps: impl Fn(usize, usize, usize) -> Vec<(usize, f64)>,
) -> Vec<f64> {
    let mut all = Vec::new();
    for n in 0..2 {
        for (i, j) in (0..sizes[0]).flat_map(|i| (0..sizes[1]).map(move |j| (i, j))) {
            for c in 0..3 {
                let mut sum = 0.0;
                for (row, a) in taps(i, extents[0], sizes[0]) {
                    for (column, b) in taps(j, extents[1], sizes[1]) {
                        sum += a * b * x[((n * extents[0] + row) * extents[1] + column) * 3 + c];
                    }
                }
                all.push(sum);
            }
        }
    }
    all
}

fn x(extents: [usize; 2]) -> Tensor {
    Sampler::new(1).floats(&[2, extents[0], extents[1], 3], -2.0, 2.0)
}

#[test]
fn nearest_takes_the_element_whose_centre_is_nearest() {
    for (extents, sizes) in CASES {
        let x = x(extents);
        let taps = |i: usize, extent: usize, size: usize| {
            vec![(((i as f64 + 0.5) * extent as f64 / size as f64).floor() as usize, 1.0)]
        };
        let expected = resized(&elements(&x), extents, sizes, taps);
        assert_close(&run(|x| resize_nearest(x, &sizes), &x).0, &expected);
        check_gradients(|x| resize_nearest(x, &sizes), &x);
    }
}

#[test]
fn bilinear_weighs_the_elements_around() {
    for (extents, sizes) in CASES {
        let x = x(extents);
        let taps = |i: usize, extent: usize, size: usize| {
            let centre = (i as f64 + 0.5) * extent as f64 / size as f64 - 0.5;
            let (first, weight) = (centre.floor(), centre - centre.floor());
            let inside = |at: f64| at.clamp(0.0, extent as f64 - 1.0) as usize;
            vec![(inside(first), 1.0 - weight), (inside(first + 1.0), weight)]
        };
        let expected = resized(&elements(&x), extents, sizes, taps);
        assert_close(&run(|x| resize_bilinear(x, &sizes), &x).0, &expected);
        check_gradients(|x| resize_bilinear(x, &sizes), &x);
    }
}

/// PyTorch: `interpolate(tensor([[[1., 2., 4.]]]), size=6, mode="linear")`.
#[test]
fn twice_as_many_elements_are_a_quarter_away() {
    let x = Tensor::from_vec(&[1, 3, 1], vec![1f32, 2.0, 4.0]);
    assert_close(&run(|x| resize_bilinear(x, &[6]), &x).0, &[1.0, 1.25, 1.75, 2.5, 3.5, 4.0]);
}

/// TensorFlow's example: `space_to_depth` of `[[[[1], [2]], [[3], [4]]]]`, and one with three channels.
#[test]
fn blocks_become_channels_and_back() {
    let x = Tensor::from_vec(&[1, 2, 4, 1], (0..8).map(|i| i as f32).collect());
    let found = run(|x| space_to_depth(x, 2), &x).0;
    assert_eq!(found, [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    let x = Sampler::new(2).floats(&[2, 6, 9, 2], 0.0, 1.0);
    let there_and_back = run(|x| depth_to_space(space_to_depth(x, 3), 3), &x).0;
    assert_eq!(there_and_back, elements(&x));
    check_gradients(|x| space_to_depth(x, 3), &x);
}

#[test]
fn what_does_not_divide_is_refused() {
    let x = x([3, 4]);
    assert_eq!(error(|x| space_to_depth(x, 2), &x), "E0219");
    assert_eq!(error(|x| depth_to_space(x, 2), &x), "E0219");
    assert_eq!(error(|x| depth_to_space(x, 0), &x), "E0219");
    assert_eq!(error(|x| resize_nearest(x, &[3]), &x), "E0219");
    assert_eq!(error(|x| resize_bilinear(x, &[0, 4]), &x), "E0219");
    assert_eq!(error(|x| resize_nearest(x, &[3001, 4]), &x), "E0219");
}
