use super::*;
use crate::nn::{gelu, gelu_tanh};

fn x() -> Tensor {
    Sampler::new(3).floats(&[4, 9], -6.0, 6.0)
}

#[test]
fn gelu_by_tanh_is_the_formula_of_its_paper() {
    let formula = |x: f64| {
        let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
        0.5 * x * (1.0 + u.tanh())
    };
    assert_close(&run(gelu_tanh, &x()).0, &elements(&x()).into_iter().map(formula).collect::<Vec<_>>());
    check_gradients(gelu_tanh, &x());
}

#[test]
fn both_forms_of_gelu_are_close() {
    let (exact, by_tanh) = (run(gelu, &x()).0, run(gelu_tanh, &x()).0);
    assert!(exact.iter().zip(&by_tanh).all(|(a, b)| (a - b).abs() < 1e-3), "{exact:?}, {by_tanh:?}");
    check_gradients(gelu, &x());
}
