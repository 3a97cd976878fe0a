//! The error function and its inverse.

use super::float::{Coefficients, FloatBuilder};
use super::log::log_positive;
use crate::kernel::ScalarId;

/// `q` in `erf x = 1 - (1 - x·q(x))³` for `x` up to 4.1 (f32) or 5.95 (f64), with the least relative error: 2^-26.1 and 2^-57.1.
const Q: Coefficients = Coefficients {
    f32: &[
        3.7612638e-1,
        1.4147058e-1,
        -3.6680687e-2,
        -2.7665345e-2,
        4.3477733e-3,
        3.0982618e-3,
        -5.9236685e-5,
        -6.410696e-4,
        2.2093586e-4,
        -3.069383e-5,
        1.6134999e-6,
    ],
    f64: &[
        0.37612638903183754,
        0.14147106052612818,
        -0.03669046443021572,
        -0.027600503797912637,
        0.004131627876238373,
        0.003510415018614115,
        -0.0005395246878632813,
        -0.00029017029738454925,
        6.223472698883365e-5,
        1.0710371138776745e-5,
        -3.563311628507832e-6,
        3.9064634417614743e-7,
        -1.4936329472143744e-7,
        -9.608032954241334e-8,
        1.4537461449631633e-7,
        -8.137923657765995e-8,
        3.061285463331623e-8,
        -9.047089174229959e-9,
        2.1943502221760935e-9,
        -4.3403736810541545e-10,
        6.848579438724972e-11,
        -8.414121858433028e-12,
        7.834458381892031e-13,
        -5.3281398536874286e-14,
        2.4932342597592366e-15,
        -7.16767199557347e-17,
        9.529090613222325e-19,
    ],
};

/// `erf x`.
///
/// The cube root of `1 - erf x` is a polynomial of a degree that is little higher than that of the logarithm, and a cube is fewer
/// operations than an exponential. With `u = 1 - t` for the root, `1 - u³ = t·(1 + u + u²)`, which near 0 is as accurate as `t`.
pub(super) fn erf(m: FloatBuilder, x: ScalarId) -> ScalarId {
    // From here on 1 is nearest.
    let magnitude = m.min(m.abs(x), m.pick_c(4.1, 5.95));
    let t = m.product_in_halves(magnitude, &Q);
    let u = m.sub(m.c(1.0), t);
    let y = m.fma(t, m.fma(u, u, u), t);
    m.flip_sign(y, m.sign_bit(x))
}

/// `erf⁻¹ x / x` as a polynomial in `w - 2.5` for `w` up to 5 (f32), in `w - 3.125` for `w` up to 6.25 (f64), where
/// `w = -log(1 - x²)`. Relative error 2^-23.6 and 2^-55.4.
const CENTRE: Coefficients = Coefficients {
    f32: &[
        1.5014094,
        2.4664028e-1,
        -4.177387e-3,
        -1.2527419e-3,
        2.1834444e-4,
        -4.9633445e-6,
        -3.4627053e-6,
        4.6616944e-7,
        2.3232712e-8,
        -8.790942e-9,
    ],
    f64: &[
        1.6536545626831027,
        0.24015818242558834,
        -0.006033670871426996,
        -0.0007407025341545542,
        0.0001867342080205283,
        -1.388252339419735e-5,
        -1.3654691772622132e-6,
        4.2347881712060667e-7,
        -2.9070389897046183e-8,
        -4.1126606430110405e-9,
        1.0512225675943829e-9,
        -5.414294619202161e-11,
        -1.297850437431498e-11,
        2.6305034354403e-12,
        -8.079287602226775e-14,
        -4.0015894196095925e-14,
        6.533336039657571e-15,
        -3.987842033153196e-17,
        -1.234481503352756e-16,
        1.5545231572944823e-17,
        6.956277061760255e-19,
        -3.487662629139755e-19,
        1.6540654753140264e-20,
        3.2193956454778593e-21,
        -3.00182615722704e-22,
    ],
};

/// The same as a polynomial in `√w - 3` for `w` beyond 5 (f32), in `√w - 3.25` for `w` from 6.25 to 16 (f64).
/// Relative error 2^-25.1 and 2^-54.5.
const TAIL: Coefficients = Coefficients {
    f32: &[
        2.8329768,
        1.0016751,
        9.445647e-3,
        -7.6391157e-3,
        5.683561e-3,
        -3.588478e-3,
        1.494689e-3,
        -7.3754585e-5,
        -3.1768606e-4,
        1.2706636e-4,
    ],
    f64: &[
        3.0838856104922208,
        1.0052589676941655,
        0.005370914553555088,
        -0.003751208508223808,
        0.0024914420979535003,
        -0.0016882755354779837,
        0.0009532893416619757,
        -0.0003550378133690711,
        2.403151187512432e-5,
        6.828711417353158e-5,
        -4.7320673884803476e-5,
        1.2465042841861608e-5,
        2.932550341362034e-6,
        -3.985746047612923e-6,
        1.4816696596050622e-6,
        -2.7551805091216473e-8,
        -2.4560889508896985e-7,
        1.3152840234518407e-7,
        -2.0820350461114327e-8,
        -1.5283555738023738e-8,
        7.646212643786527e-9,
    ],
};

/// The same as a polynomial in `√w - 5` for `w` beyond 16 (f64 only: in f32 `w` stays below 16). Relative error 2^-54.7.
const FAR_TAIL: Coefficients = Coefficients {
    f32: &[],
    f64: &[
        4.849906401408584,
        1.0103004648645453,
        -0.00013871931838083446,
        -0.00021503011982600077,
        7.5995278114358e-5,
        -1.968177072640415e-5,
        4.526052352709058e-6,
        -9.930292311093857e-7,
        2.290536777100881e-7,
        -6.755663604177857e-8,
        2.9016244448932887e-8,
        -1.5254417320250567e-8,
        7.82539101767102e-9,
        -3.4718152178511e-9,
        1.3122073184620769e-9,
        -4.3740686261266626e-10,
        7.15140185121846e-11,
        4.2859382357964446e-11,
        -2.08056827682041e-11,
    ],
};

/// The inverse of erf.
///
/// Reference for the form: Giles, "Approximating the erfinv function", GPU Computing Gems, 2011.
pub(super) fn erf_inv(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let one = m.c(1.0);
    let w = m.neg(log_positive(m, m.mul(m.sub(one, x), m.add(one, x))));
    let root = m.sqrt(w);
    let near = |root: ScalarId, centre: f64, p| m.polynomial(m.sub(root, m.c(centre)), p);
    let tail = near(root, m.pick(3.0, 3.25), &TAIL);
    let has_far_tail = m.pick(false, true);
    let tail =
        if has_far_tail { m.select(m.lt(w, m.c(16.0)), tail, near(root, 5.0, &FAR_TAIL)) } else { tail };
    let centre = near(w, m.pick(2.5, 3.125), &CENTRE);
    let y = m.mul(x, m.select(m.lt(w, m.pick_c(5.0, 6.25)), centre, tail));
    let magnitude = m.abs(x);
    let outside = m.select(m.eq(magnitude, one), m.mul(x, m.c(f64::INFINITY)), m.c(f64::NAN));
    m.select(m.lt(magnitude, one), y, outside)
}
