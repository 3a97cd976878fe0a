//! The error function and its inverse.

use super::float::{Coefficients, FloatBuilder};
use super::log::log_positive;
use crate::kernel::ScalarId;

/// `p` in `erf x = x + x·p(x²)` for small `x`, with the least relative error: 2^-27.6 and 2^-55.3.
const SMALL: Coefficients = Coefficients {
    f32: &[1.2837915e-1, -3.7612605e-1, 1.1283352e-1, -2.6843784e-2, 5.168976e-3, -7.8389735e-4, 7.287847e-5],
    f64: &[
        0.12837916709551256,
        -0.3761263890318352,
        0.11283791670944192,
        -0.026866170643112388,
        0.005223977606125144,
        -0.0008548325929597999,
        0.0001205529358442116,
        -1.4924712430320599e-5,
        1.6447132981255492e-6,
        -1.6206323416150916e-7,
        1.37110179624398e-8,
        -7.77953194001286e-10,
    ],
};

/// `q` in `erf x = 1 - (1 + x·q(x))³` beyond, with the least relative error: 2^-26.3 and 2^-58.6.
const LARGE: Coefficients = Coefficients {
    f32: &[
        -3.7705928e-1,
        -1.3777588e-1,
        3.1264752e-2,
        3.0234128e-2,
        -2.0694712e-3,
        -7.26867e-3,
        2.915422e-3,
        -4.564814e-4,
        2.6764334e-5,
    ],
    f64: &[
        -0.3761264486049347,
        -0.1414703530563855,
        0.0366865069337023,
        0.027614375621615343,
        -0.004165817168541995,
        -0.0034473968468940407,
        0.0004493356383672099,
        0.0003928572244205843,
        -0.0001567519751188263,
        6.033552031348089e-05,
        -4.027881893917659e-05,
        2.1831924068843845e-05,
        -9.053751326777856e-06,
        3.165095478704295e-06,
        -9.422217262328992e-07,
        2.2866271446800408e-07,
        -4.3458333890594047e-08,
        6.301580394199666e-09,
        -6.814842288539189e-10,
        5.325758086317292e-11,
        -2.8469728904128995e-12,
        9.335017204610881e-14,
        -1.4188119183393394e-15,
    ],
};

/// `erf x`.
///
/// The cube root of `1 - erf x` is a polynomial of a degree that is little higher than that of the logarithm, and two
/// multiplications are fewer operations than an exponential.
pub(super) fn erf(m: FloatBuilder, x: ScalarId) -> ScalarId {
    let one = m.c(1.0);
    // From here on 1 is nearest.
    let magnitude = m.min(m.abs(x), m.pick_c(4.0, 6.0));
    let small = m.fma(magnitude, m.polynomial(m.mul(magnitude, magnitude), &SMALL), magnitude);
    let root = m.fma(magnitude, m.polynomial_in_halves(magnitude, &LARGE), one);
    let large = m.fma(m.neg(root), m.mul(root, root), one);
    let y = m.select(m.gt(magnitude, m.pick_c(1.085, 1.0)), large, small);
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
