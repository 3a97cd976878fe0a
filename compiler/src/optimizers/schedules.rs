//! Learning rates that change with the number `t` of updates made so far.
//!
//! | schedule | rate |
//! |---|---|
//! | `step(rate, every, factor)` | `rate · factor^⌊t / every⌋` |
//! | `exponential(rate, every, factor)` | `rate · factor^(t / every)` |
//! | `cosine(rate, steps, end)` | from `rate` along half a cosine to `end` (0) at `t = steps` (Loshchilov, Hutter 2017) |
//! | `warmup(rate, steps)` | `rate`, itself a number or a schedule, times `min(1, (t + 1) / steps)` |

use crate::call::{arguments, number, unknown};
use crate::diagnostic::Diagnostic;
use crate::graph::{Argument, Call, Expr};

/// Words that name a schedule.
pub const NAMES: [&str; 4] = ["step", "exponential", "cosine", "warmup"];

/// Gives the argument of this name of a call as a scalar.
pub type Rate<'a, 'g> = &'a dyn Fn(&Call, &str, Option<&Argument>) -> Result<Expr<'g>, Diagnostic>;

/// The rate at `t` updates, an f32 or f64 scalar; `rate` gives numbers and parameters as such scalars.
///
/// # Errors
/// E0501 to E0503 for schedules that are not understood.
pub fn schedule<'g>(call: &Call, t: Expr<'g>, rate: Rate<'_, 'g>) -> Result<Expr<'g>, Diagnostic> {
    let positive = |name: &str, argument: Option<&Argument>| {
        let value = number(call, name, argument, None)?;
        match value > 0.0 {
            true => Ok(value),
            false => Err(Diagnostic::new("E0502", format!("`{name}` of `{}` must be above 0", call.name))
                .or_at(&call.place)),
        }
    };
    match call.name.as_str() {
        "step" | "exponential" => {
            let [base, every, factor] = arguments(call, ["rate", "every", "factor"])?;
            let periods = t / positive("every", every)?;
            let periods = if call.name == "step" { periods.floor() } else { periods };
            let factor = rate(call, "factor", factor)?;
            Ok(rate(call, "rate", base)? * factor.pow(periods))
        }
        "cosine" => {
            let [base, steps, end] = arguments(call, ["rate", "steps", "end"])?;
            let done = (t / positive("steps", steps)?).min(t.constant_like(1.0));
            let half = ((done * std::f64::consts::PI).cos() + 1.0) * 0.5;
            let (base, end) = (rate(call, "rate", base)?, number(call, "end", end, Some(0.0))?);
            Ok((base - end) * half + end)
        }
        "warmup" => {
            let [base, steps] = arguments(call, ["rate", "steps"])?;
            let part = ((t + 1.0) / positive("steps", steps)?).min(t.constant_like(1.0));
            Ok(rate(call, "rate", base)? * part)
        }
        _ => Err(unknown(call, "schedule", &NAMES)),
    }
}
