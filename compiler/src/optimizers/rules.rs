//! What each optimizer does to one variable.

use crate::call::{arguments, unknown, wrong};
use crate::diagnostic::Diagnostic;
use crate::graph::{Argument, Call, Expr};
use crate::train::Update;

/// Words that name an optimizer.
pub const NAMES: [&str; 7] = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"];

/// The new value of a variable from its gradient; slots are read and set through the update.
pub type Rule = for<'g> fn(&Update<'_, 'g>, &Call) -> Result<Expr<'g>, Diagnostic>;

/// The rule of an optimizer.
///
/// # Errors
/// E0503 if there is no optimizer of this name.
pub fn rule(call: &Call) -> Result<Rule, Diagnostic> {
    match call.name.as_str() {
        "sgd" => Ok(sgd),
        "momentum" | "nesterov" => Ok(momentum),
        "adagrad" => Ok(adagrad),
        "rmsprop" => Ok(rmsprop),
        "adam" | "adamw" => Ok(adam),
        _ => Err(unknown(call, "optimizer", &NAMES)),
    }
}

/// `w ← w - lr · g`; of rows that are looked up, only those are touched, once for every look-up.
fn sgd<'g>(u: &Update<'_, 'g>, call: &Call) -> Result<Expr<'g>, Diagnostic> {
    let [lr] = arguments(call, ["lr"])?;
    Ok(u.descend(u.rate(call, "lr", lr, None)?))
}

/// `v ← momentum · v + g`; plain: `w ← w - lr · v`, Nesterov: `w ← w - lr · (g + momentum · v)`.
fn momentum<'g>(u: &Update<'_, 'g>, call: &Call) -> Result<Expr<'g>, Diagnostic> {
    let [lr, momentum] = arguments(call, ["lr", "momentum"])?;
    let (lr, momentum) = (u.rate(call, "lr", lr, None)?, u.rate(call, "momentum", momentum, Some(0.9))?);
    let v = momentum * u.slot("v", 0.0) + u.gradient();
    u.set_slot("v", v);
    let direction = if call.name == "nesterov" { u.gradient() + momentum * v } else { v };
    Ok(u.value - lr * direction)
}

/// `s ← s + g²`, `w ← w - lr · g / (√s + eps)`.
fn adagrad<'g>(u: &Update<'_, 'g>, call: &Call) -> Result<Expr<'g>, Diagnostic> {
    let [lr, initial, eps] = arguments(call, ["lr", "initial", "eps"])?;
    let initial = crate::call::number(call, "initial", initial, Some(0.1))?;
    let (lr, eps) = (u.rate(call, "lr", lr, None)?, u.rate(call, "eps", eps, Some(1e-7))?);
    let s = u.slot("s", initial) + u.gradient() * u.gradient();
    u.set_slot("s", s);
    Ok(u.value - lr * u.gradient() / (s.sqrt() + eps))
}

/// `s ← rho · s + (1 - rho) · g²`, `v ← momentum · v + lr · g / (√s + eps)`, `w ← w - v`.
fn rmsprop<'g>(u: &Update<'_, 'g>, call: &Call) -> Result<Expr<'g>, Diagnostic> {
    let [lr, rho, momentum, eps] = arguments(call, ["lr", "rho", "momentum", "eps"])?;
    let (lr, rho) = (u.rate(call, "lr", lr, None)?, u.rate(call, "rho", rho, Some(0.9))?);
    let eps = u.rate(call, "eps", eps, Some(1e-7))?;
    let s = rho * u.slot("s", 0.0) + (1.0 - rho) * (u.gradient() * u.gradient());
    u.set_slot("s", s);
    let step = lr * u.gradient() / (s.sqrt() + eps);
    if momentum.is_none() {
        return Ok(u.value - step);
    }
    let v = u.rate(call, "momentum", momentum, None)? * u.slot("v", 0.0) + step;
    u.set_slot("v", v);
    Ok(u.value - v)
}

/// `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `w ← w - lr · m̂ / (√v̂ + eps)`, where the hats divide by `1 - βᵗ`; the
/// decoupled form subtracts `lr · decay · w` too.
fn adam<'g>(u: &Update<'_, 'g>, call: &Call) -> Result<Expr<'g>, Diagnostic> {
    let decoupled = call.name == "adamw";
    let (known, decay) = match decoupled {
        true => {
            let [lr, beta1, beta2, eps, decay, over] =
                arguments(call, ["lr", "beta1", "beta2", "eps", "decay", "decay_over"])?;
            let over = match over {
                None => true,
                Some(Argument::Variables(names)) => u.is_one_of(names),
                Some(other) => return Err(wrong(call, "decay_over", "a list of variables", other)),
            };
            let decay = u.rate(call, "decay", decay, Some(0.01))?;
            ([lr, beta1, beta2, eps], over.then_some(decay))
        }
        false => (arguments(call, ["lr", "beta1", "beta2", "eps"])?, None),
    };
    let [lr, beta1, beta2, eps] = known;
    let (lr, eps) = (u.rate(call, "lr", lr, Some(1e-3))?, u.rate(call, "eps", eps, Some(1e-8))?);
    let (beta1, beta2) =
        (u.rate(call, "beta1", beta1, Some(0.9))?, u.rate(call, "beta2", beta2, Some(0.999))?);
    let m = beta1 * u.slot("m", 0.0) + (1.0 - beta1) * u.gradient();
    let v = beta2 * u.slot("v", 0.0) + (1.0 - beta2) * (u.gradient() * u.gradient());
    u.set_slot("m", m);
    u.set_slot("v", v);
    // The corrections are scalars, so they are applied to scalars (Kingma and Ba, "Adam", 2015, section 2): with
    // c = √(1 - β₂ᵗ), m̂ / (√v̂ + eps) is c · m̂ / (√v + c · eps).
    let t = u.updates() + 1.0;
    let c = (1.0 - beta2.pow(t)).sqrt();
    let rate = lr / (1.0 - beta1.pow(t)) * c;
    let step = rate * m / (v.sqrt() + eps * c);
    Ok(match decay {
        Some(decay) => u.value - lr * decay * u.value - step,
        None => u.value - step,
    })
}
