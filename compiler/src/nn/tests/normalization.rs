use super::*;
use crate::nn::{
    batch_norm, batch_norm_inference, group_norm, instance_norm, layer_norm, local_response_norm,
};

/// Elements of `x` `[n, s, c]` normalised over those with the same `group(n, s, c)`, then scaled and shifted per channel.
fn normalised(
    x: &Tensor,
    variables: &State,
    group: impl Fn(usize, usize, usize) -> usize,
    epsilon: f64,
) -> Vec<f64> {
    let [spatial, channels] = [x.shape()[1], x.shape()[2]];
    let values = elements(x);
    let groups: Vec<usize> = (0..values.len())
        .map(|i| group(i / channels / spatial, i / channels % spatial, i % channels))
        .collect();
    let [scale, shift] = ["a/scale", "a/shift"].map(|name| elements(&variables.variables[name]));
    let normalise = |i: usize| {
        let mine: Vec<f64> =
            (0..values.len()).filter(|&j| groups[j] == groups[i]).map(|j| values[j]).collect();
        let mean = mine.iter().sum::<f64>() / mine.len() as f64;
        let variance = mine.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / mine.len() as f64;
        (values[i] - mean) / (variance + epsilon).sqrt() * scale[i % channels] + shift[i % channels]
    };
    (0..values.len()).map(normalise).collect()
}

fn x() -> Tensor {
    Sampler::new(1).floats(&[3, 5, 6], -2.0, 3.0)
}

#[test]
fn every_norm_is_over_its_own_elements() {
    let x = x();
    let check = |found: (Vec<f64>, State), group: fn(usize, usize, usize) -> usize| {
        assert_close(&found.0, &normalised(&x, &found.1, group, 0.01));
    };
    check(run(|x| layer_norm(x, "a", 0.01), &x), |n, s, _| 5 * n + s);
    check(run(|x| batch_norm(x, "a", 0.9, 0.01), &x), |_, _, c| c);
    check(run(|x| group_norm(x, "a", 2, 0.01), &x), |n, _, c| 2 * n + c / 3);
    check(run(|x| instance_norm(x, "a", 0.01), &x), |n, _, c| 6 * n + c);
}

#[test]
fn gradients_flow_through_means_and_variances() {
    let x = x();
    check_gradients(|x| layer_norm(x, "a", 0.01), &x);
    check_gradients(|x| batch_norm(x, "a", 0.9, 0.01), &x);
    check_gradients(|x| batch_norm_inference(x, "a", 0.01), &x);
    check_gradients(|x| group_norm(x, "a", 3, 0.01), &x);
    check_gradients(|x| instance_norm(x, "a", 0.01), &x);
    check_gradients(|x| local_response_norm(x, 3, 0.5, 0.75, 2.0), &x);
}

#[test]
fn running_statistics_move_towards_those_of_the_batch() {
    let x = x();
    let before = first_values(&network(|x| batch_norm(x, "a", 0.9, 0.01), &x).unwrap());
    let (_, after) = run(|x| batch_norm(x, "a", 0.9, 0.01), &x);
    let values = elements(&x);
    for c in 0..6 {
        let channel: Vec<f64> = values.iter().skip(c).step_by(6).copied().collect();
        let mean = channel.iter().sum::<f64>() / 15.0;
        let unbiased = channel.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 14.0;
        let [old, new] = [&before, &after]
            .map(|state| ["a/mean", "a/variance"].map(|name| elements(&state.variables[name])[c]));
        assert_close(&new, &[0.9 * old[0] + 0.1 * mean, 0.9 * old[1] + 0.1 * unbiased]);
    }
}

#[test]
fn inference_uses_the_running_statistics() {
    let (found, state) = run(|x| batch_norm_inference(x, "a", 0.01), &x());
    let of = |name: &str| elements(&state.variables[name]);
    let (mean, variance, scale, shift) = (of("a/mean"), of("a/variance"), of("a/scale"), of("a/shift"));
    let expected: Vec<f64> = (elements(&x()).iter().enumerate())
        .map(|(i, v)| (v - mean[i % 6]) / (variance[i % 6] + 0.01).sqrt() * scale[i % 6] + shift[i % 6])
        .collect();
    assert_close(&found, &expected);
}

/// A training step assigns what its loss assigns, and does not train the running statistics.
#[test]
fn a_training_step_updates_running_statistics() {
    use crate::{optimizers, train};
    let x = x();
    let builder = Builder::new("m");
    builder.function("loss", |f| {
        let y = batch_norm(f.placeholder("x", DType::F32, x.shape()), "a", 0.9, 0.01);
        f.result("loss", (y * y * y).mean());
    });
    builder.train(crate::graph::Train::minimize("step", "loss", optimizers::sgd(0.1)));
    let module = train::expand(&builder.finish().unwrap()).unwrap_or_else(|e| panic!("{e}"));
    let mut state = first_values(&module);
    let before = state.clone();
    let (_, statistics) = run(|x| batch_norm(x, "a", 0.9, 0.01), &x);
    let step = &module.functions[module.function("step").unwrap()];
    evaluate(&module, step, &[x], &mut state).unwrap();
    for name in ["a/mean", "a/variance"] {
        let (found, expected) = (elements(&state.variables[name]), elements(&statistics.variables[name]));
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {found:?}");
    }
    assert_ne!(state.variables["a/scale"], before.variables["a/scale"]);
}

#[test]
fn local_response_is_over_neighbouring_channels() {
    let x = x();
    for size in [1, 2, 3, 5] {
        let values = elements(&x);
        let expected: Vec<f64> = (0..values.len())
            .map(|i| {
                let (row, c) = (i / 6, i % 6);
                let around =
                    (c.saturating_sub(size / 2)..6.min(c + (size - 1) / 2 + 1)).map(|c| values[6 * row + c]);
                values[i] / (2.0 + 0.5 * around.map(|v| v * v).sum::<f64>()).powf(0.75)
            })
            .collect();
        assert_close(&run(|x| local_response_norm(x, size, 0.5, 0.75, 2.0), &x).0, &expected);
    }
}

#[test]
fn groups_divide_the_channels() {
    assert_eq!(error(|x| group_norm(x, "a", 4, 0.01), &x()), "E0219");
    assert_eq!(error(|x| group_norm(x, "a", 0, 0.01), &x()), "E0219");
    assert_eq!(error(|x| local_response_norm(x, 0, 1.0, 1.0, 1.0), &x()), "E0219");
}
