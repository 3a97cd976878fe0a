//! First values of variables, as ordinary graph: one function of the module, `init`, assigns them all.
//!
//! | call | value |
//! |---|---|
//! | `zeros`, `ones`, `constant(v)` | all elements alike |
//! | `uniform(low, high)` | uniform in `low .. high` (default -0.05 .. 0.05) |
//! | `normal(mean, stddev)` | normal (default 0, 0.05) |
//! | `truncated_normal(mean, stddev)` | normal, within two standard deviations |
//! | `glorot_uniform`, `glorot_normal` | variance `2 / (fan_in + fan_out)` (Glorot, Bengio 2010) |
//! | `he_uniform`, `he_normal` | variance `2 / fan_in` (He et al. 2015) |
//! | `file("weights.safetensors", "name")` | read by whoever creates the instance |
//!
//! The random ones take `seed` (default 0); two variables never share their numbers, whatever their seeds.
//! `fan_in` and `fan_out` are the last two extents, times the product of the extents before them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::call::{arguments, number, unknown};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::{Argument, Call, Expr, Function, Graph, Module, Variable};
use crate::ops::{RandomNormal, RandomUniform};

/// Words that name an initialiser.
pub const NAMES: [&str; 11] = [
    "zeros",
    "ones",
    "constant",
    "uniform",
    "normal",
    "truncated_normal",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "file",
];

/// Name of the function that assigns first values.
pub const FUNCTION: &str = "init";

/// The function that assigns every variable its first value, but for those read from a file.
///
/// # Errors
/// E0501 to E0503 for initialisers that are not understood, E0303 if a variable is no float where it must be.
pub fn init_function(module: &Module) -> Result<Function, Diagnostics> {
    let shared = Rc::new(RefCell::new(module.clone()));
    let errors = Rc::new(RefCell::new(Vec::new()));
    let graph =
        Graph::over(shared, Function { name: FUNCTION.to_owned(), ..Function::default() }, errors.clone());
    for (id, variable) in &module.variables {
        if is_file(&variable.init) {
            match file(&variable.init) {
                Ok(_) => continue,
                Err(error) => errors.borrow_mut().push(error.or_at(&variable.place)),
            }
            continue;
        }
        let built = graph.at(&variable.place, || initial(&graph, variable, id.as_u32() as usize));
        match built {
            Ok(value) => graph.at(&variable.place, || graph.assign(&variable.name, value)),
            Err(error) => errors.borrow_mut().push(error.or_at(&variable.place)),
        }
    }
    let function = graph.into_function();
    Diagnostics::check(module.source.clone(), errors.take())?;
    Ok(function)
}

/// Whether a variable's first value follows from the seed.
pub fn is_random(init: &Call) -> bool {
    !is_file(init) && !["zeros", "ones", "constant"].contains(&init.name.as_str())
}

/// Whether a variable gets its first value from a file.
pub fn is_file(init: &Call) -> bool {
    init.name == "file"
}

/// Path and tensor name of `file("path", "name")`.
///
/// # Errors
/// E0501, E0502 for other arguments.
pub fn file(init: &Call) -> Result<(&str, &str), Diagnostic> {
    let text = |name, argument: Option<&'_ Argument>| match argument {
        Some(Argument::Text(_)) => Ok(()),
        Some(other) => Err(crate::call::wrong(init, name, "a text", other)),
        None => Err(crate::call::missing(init, name)),
    };
    let [path, tensor] = arguments(init, ["path", "tensor"])?;
    text("path", path)?;
    text("tensor", tensor)?;
    match (path, tensor) {
        (Some(Argument::Text(path)), Some(Argument::Text(tensor))) => Ok((path, tensor)),
        _ => unreachable!("both were checked to be texts"),
    }
}

fn initial<'g>(graph: &'g Graph, variable: &Variable, index: usize) -> Result<Expr<'g>, Diagnostic> {
    let (ty, init) = (&variable.ty, &variable.init);
    let draw = Draw { graph, variable, index };
    let full = |value: f64| Ok(graph.scalar(ty.dtype, value).broadcast_to(ty.shape.clone()));
    let (fan_in, fan_out) = fans(&ty.shape.bound());
    // Of the normal distribution cut off at two standard deviations, this part of the standard deviation is left.
    let cut = 0.879_625_661_034_239_8;
    match init.name.as_str() {
        "zeros" => arguments(init, []).and_then(|[]| full(0.0)),
        "ones" => arguments(init, []).and_then(|[]| full(1.0)),
        "constant" => {
            let [value] = arguments(init, ["value"])?;
            full(number(init, "value", value, None)?)
        }
        "uniform" => {
            let [low, high, seed] = arguments(init, ["low", "high", "seed"])?;
            let (low, high) =
                (number(init, "low", low, Some(-0.05))?, number(init, "high", high, Some(0.05))?);
            draw.uniform(low, high, seed)
        }
        "normal" | "truncated_normal" => {
            let [mean, stddev, seed] = arguments(init, ["mean", "stddev", "seed"])?;
            let (mean, stddev) =
                (number(init, "mean", mean, Some(0.0))?, number(init, "stddev", stddev, Some(0.05))?);
            match init.name.as_str() {
                "normal" => draw.normal(mean, stddev, seed),
                _ => draw.truncated_normal(mean, stddev, seed),
            }
        }
        name @ ("glorot_uniform" | "glorot_normal" | "he_uniform" | "he_normal") => {
            let [seed] = arguments(init, ["seed"])?;
            let fans = if name.starts_with("glorot") { (fan_in + fan_out) / 2.0 } else { fan_in / 2.0 };
            let variance = 1.0 / fans.max(f64::MIN_POSITIVE);
            match name.ends_with("uniform") {
                true => draw.uniform(-(3.0 * variance).sqrt(), (3.0 * variance).sqrt(), seed),
                false => draw.truncated_normal(0.0, variance.sqrt() / cut, seed),
            }
        }
        _ => Err(unknown(init, "initialiser", &NAMES)),
    }
}

/// Number of inputs and outputs of a unit; a vector counts as both, a scalar as one of each.
fn fans(shape: &[usize]) -> (f64, f64) {
    match shape {
        [] => (1.0, 1.0),
        [n] => (*n as f64, *n as f64),
        [field @ .., fan_in, fan_out] => {
            let field = field.iter().product::<usize>() as f64;
            (*fan_in as f64 * field, *fan_out as f64 * field)
        }
    }
}

/// Random first values of one variable.
struct Draw<'a, 'g> {
    graph: &'g Graph,
    variable: &'a Variable,
    index: usize,
}

impl<'g> Draw<'_, 'g> {
    fn key(&self, seed: Option<&Argument>) -> Result<usize, Diagnostic> {
        if !self.variable.ty.dtype.is_float() {
            let message = format!("`{}` needs a variable of a float dtype", self.variable.init.name);
            return Err(Diagnostic::new("E0303", message).note(format!("it is {}", self.variable.ty)));
        }
        let seed = number(&self.variable.init, "seed", seed, Some(0.0))?;
        if seed < 0.0 || seed.fract() != 0.0 || seed >= f64::from(1 << 24) {
            let message = format!("seed {seed} of `{}` is invalid", self.variable.init.name);
            return Err(
                Diagnostic::new("E0502", message).note("it must be a whole number from 0 to 16777215")
            );
        }
        // Above the keys of nodes, and different for every variable.
        Ok(1 << 60 | (seed as usize) << 32 | self.index)
    }

    fn unit(&self, seed: Option<&Argument>) -> Result<Expr<'g>, Diagnostic> {
        let (key, ty) = (self.key(seed)?, &self.variable.ty);
        Ok(self.graph.add(RandomUniform { key, dtype: ty.dtype, shape: ty.shape.clone() }, &[]))
    }

    fn uniform(&self, low: f64, high: f64, seed: Option<&Argument>) -> Result<Expr<'g>, Diagnostic> {
        Ok(self.unit(seed)? * (high - low) + low)
    }

    fn normal(&self, mean: f64, stddev: f64, seed: Option<&Argument>) -> Result<Expr<'g>, Diagnostic> {
        let (key, ty) = (self.key(seed)?, &self.variable.ty);
        let normal = self.graph.add(RandomNormal { key, dtype: ty.dtype, shape: ty.shape.clone() }, &[]);
        Ok(normal * stddev + mean)
    }

    /// From the inverse distribution: the part of it within two standard deviations is `±erf(√2)`.
    fn truncated_normal(
        &self,
        mean: f64,
        stddev: f64,
        seed: Option<&Argument>,
    ) -> Result<Expr<'g>, Diagnostic> {
        let part = 0.954_499_736_103_641_6;
        let within = self.unit(seed)? * (2.0 * part) - part;
        Ok(within.erf_inv() * (std::f64::consts::SQRT_2 * stddev) + mean)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($($arg:ident),*);)*) => {
        $($(#[$doc])*
        pub fn $name($($arg: f64),*) -> Call {
            Call::word(stringify!($name))$(.with(stringify!($arg), $arg))*
        })*
    };
}

words! {
    /// All zero.
    zeros();
    /// All one.
    ones();
    /// All `value`.
    constant(value);
    /// Uniform in `low .. high`.
    uniform(low, high);
    /// Normal.
    normal(mean, stddev);
    /// Normal, within two standard deviations.
    truncated_normal(mean, stddev);
    /// Uniform with variance `2 / (fan_in + fan_out)`.
    glorot_uniform();
    /// Normal with variance `2 / (fan_in + fan_out)`.
    glorot_normal();
    /// Uniform with variance `2 / fan_in`.
    he_uniform();
    /// Normal with variance `2 / fan_in`.
    he_normal();
}
