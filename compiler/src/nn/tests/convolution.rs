use super::*;
use crate::nn::{Filters, Padding, channels_first, channels_last, conv, conv_transpose};

/// What is convolved: extents of two axes, and the filters. Padding of all kinds, strides that leave elements out, dilation,
/// groups, and one filter for each channel.
fn cases() -> Vec<([usize; 2], Filters)> {
    vec![
        ([5, 4], Filters::new(3, &[3, 2])),
        ([5, 4], Filters::new(3, &[3, 3]).padding(Padding::Same)),
        ([7, 6], Filters::new(2, &[3, 3]).strides(&[2, 2]).padding(Padding::Same)),
        ([8, 9], Filters::new(2, &[2, 3]).dilation(&[3, 2]).padding(Padding::Explicit(vec![(2, 0), (1, 3)]))),
        ([4, 5], Filters::new(8, &[3, 3]).groups(2).padding(Padding::around(2, 1))),
        ([4, 4], Filters::new(4, &[3, 3]).groups(4).strides(&[1, 2]).padding(Padding::Same).no_bias()),
        ([1, 1], Filters::new(5, &[1, 1])),
    ]
}

/// Every product of an element of the value, an element of the filter, and the position where they meet: indices of all three.
/// `low` is what is put before each axis.
fn products(
    filters: &Filters,
    extents: [usize; 2],
    low: [usize; 2],
    windows: [usize; 2],
    channels: usize,
    mut on: impl FnMut([usize; 3], [usize; 4], [usize; 3]),
) {
    let (inputs, outputs) = (channels / filters.groups, filters.count / filters.groups);
    let meets = |d: usize, o: usize, k: usize| {
        (o * filters.strides[d] + k * filters.dilation[d]).checked_sub(low[d]).filter(|&p| p < extents[d])
    };
    for (o, p) in (0..windows[0]).flat_map(|o| (0..windows[1]).map(move |p| (o, p))) {
        for (k, l) in (0..filters.window[0]).flat_map(|k| (0..filters.window[1]).map(move |l| (k, l))) {
            let (Some(y), Some(x)) = (meets(0, o, k), meets(1, p, l)) else { continue };
            for (f, i) in (0..filters.count).flat_map(|f| (0..inputs).map(move |i| (f, i))) {
                on([y, x, f / outputs * inputs + i], [k, l, i, f], [o, p, f]);
            }
        }
    }
}

fn position<const R: usize>(at: [usize; R], extents: [usize; R]) -> usize {
    at.into_iter().zip(extents).fold(0, |position, (index, extent)| position * extent + index)
}

/// How many windows there are, and what is put before each axis, from the definition of padding.
fn placed(filters: &Filters, extents: [usize; 2]) -> ([usize; 2], [usize; 2]) {
    let (mut windows, mut low) = ([0; 2], [0; 2]);
    for d in 0..2 {
        let reach = (filters.window[d] - 1) * filters.dilation[d] + 1;
        let stride = filters.strides[d];
        (windows[d], low[d]) = match &filters.padding {
            Padding::Valid => ((extents[d] - reach) / stride + 1, 0),
            Padding::Explicit(sides) => {
                ((extents[d] + sides[d].0 + sides[d].1 - reach) / stride + 1, sides[d].0)
            }
            Padding::Same => {
                let windows = extents[d].div_ceil(stride);
                (windows, ((windows - 1) * stride + reach).saturating_sub(extents[d]) / 2)
            }
        };
    }
    (windows, low)
}

fn bias(state: &State) -> Option<Vec<f64>> {
    state.variables.get("c/bias").map(elements)
}

#[test]
fn convolutions_are_sums_over_windows() {
    for (extents, filters) in cases() {
        let x = Sampler::new(1).floats(&[2, extents[0], extents[1], 4], -2.0, 2.0);
        let (found, state) = run(|x| conv(x, "c", &filters), &x);
        let (x_elements, w) = (elements(&x), elements(&state.variables["c/filter"]));
        let (windows, low) = placed(&filters, extents);
        let size = windows[0] * windows[1] * filters.count;
        let mut expected = vec![0.0; 2 * size];
        let of_filter = [filters.window[0], filters.window[1], 4 / filters.groups, filters.count];
        for n in 0..2 {
            products(&filters, extents, low, windows, 4, |at, k, to| {
                let from = n * extents[0] * extents[1] * 4 + position(at, [extents[0], extents[1], 4]);
                let to = n * size + position(to, [windows[0], windows[1], filters.count]);
                expected[to] += x_elements[from] * w[position(k, of_filter)];
            });
        }
        let bias = bias(&state);
        assert_eq!(bias.is_some(), filters.bias);
        for (n, element) in expected.iter_mut().enumerate() {
            *element += bias.as_ref().map_or(0.0, |b| b[n % filters.count]);
        }
        assert_close(&found, &expected);
        check_gradients(|x| conv(x, "c", &filters), &x);
    }
}

#[test]
fn a_transposed_convolution_gives_back_what_a_convolution_took() {
    let cases = [
        ([3, 4], [5, 5], Filters::new(2, &[3, 2])),
        ([3, 4], [6, 8], Filters::new(2, &[3, 3]).strides(&[2, 2]).padding(Padding::Same)),
        ([3, 2], [5, 4], Filters::new(6, &[3, 3]).strides(&[2, 3]).groups(2).padding(Padding::around(2, 1))),
    ];
    for (windows, extents, filters) in cases {
        // With extents for which padding says the same of both.
        let (expected_windows, low) = placed(&filters, extents);
        let channels = 4;
        let y = Sampler::new(3).floats(&[1, windows[0], windows[1], channels], -2.0, 2.0);
        let (found, state) = run(|y| conv_transpose(y, "c", &filters), &y);
        assert_eq!(found.len(), extents[0] * extents[1] * filters.count, "{filters:?}");
        let turned = Filters { count: channels, ..filters.clone() };
        let (y_elements, w) = (elements(&y), elements(&state.variables["c/filter"]));
        let of_filter = [filters.window[0], filters.window[1], filters.count / filters.groups, channels];
        let mut expected = vec![0.0; found.len()];
        assert_eq!(expected_windows, windows);
        products(&turned, extents, low, windows, filters.count, |to, k, at| {
            let to = position(to, [extents[0], extents[1], filters.count]);
            expected[to] +=
                y_elements[position(at, [windows[0], windows[1], channels])] * w[position(k, of_filter)];
        });
        let bias = bias(&state).expect("there is one");
        for (n, element) in expected.iter_mut().enumerate() {
            *element += bias[n % filters.count];
        }
        assert_close(&found, &expected);
        check_gradients(|y| conv_transpose(y, "c", &filters), &y);
    }
}

#[test]
fn channels_go_behind_and_back() {
    let x = Sampler::new(2).floats(&[2, 3, 4, 5], 0.0, 1.0);
    let last = run(channels_last, &x).0;
    assert_eq!(last[1], elements(&x)[4 * 5], "the second channel of the first pixel");
    assert_eq!(run(|x| channels_first(channels_last(x)), &x).0, elements(&x));
}

#[test]
fn filters_that_do_not_fit_are_refused() {
    let x = Sampler::new(2).floats(&[1, 4, 4, 6], 0.0, 1.0);
    assert_eq!(error(|x| conv(x, "c", &Filters::new(2, &[3])), &x), "E0218");
    assert_eq!(error(|x| conv(x, "c", &Filters::new(2, &[3, 0])), &x), "E0218");
    assert_eq!(error(|x| conv(x, "c", &Filters::new(2, &[5, 3])), &x), "E0218");
    assert_eq!(error(|x| conv(x, "c", &Filters::new(2, &[3, 3]).groups(4)), &x), "E0218");
    assert_eq!(error(|x| conv(x, "c", &Filters::new(3, &[3, 3]).groups(2)), &x), "E0218");
    assert_eq!(error(|x| conv(x, "c", &Filters::new(2, &[3, 3]).strides(&[1])), &x), "E0218");
    assert_eq!(
        error(|x| conv(x, "c", &Filters::new(2, &[3, 3]).padding(Padding::around(1, 1))), &x),
        "E0216"
    );
    assert_eq!(error(|x| conv_transpose(x, "c", &Filters::new(2, &[3])), &x), "E0218");
}
