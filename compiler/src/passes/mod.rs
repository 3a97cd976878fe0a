//! Passes over Graph IR: functions in, better functions out. They know no op: they read traits and call the ops' laws.
//!
//! Passes, in order:
//! - [`canonicalize`]: one way to write what can be written in several;
//! - [`fold-constants`](fold_constants): what follows from constants is computed now;
//! - [`algebra`]: cheaper equals;
//! - [`fold-scales`](fold_scales), if asked for: factors of contractions into constant weights;
//! - [`fold-transposes`](fold_transposes): transposes into what reads them;
//! - [`eliminate-common`](eliminate_common): what is computed twice is computed once;
//! - [`eliminate-dead`](eliminate_dead): what nothing needs is not computed.
//!
//! At entry and exit of every pass: a function that the [verifier](crate::graph::verify) accepts, with the same
//! parameters, results and assignments, of the same types. Parameters keep their order even if nothing reads them.
//!
//! *Floating-point contract.* A pass, but for `fold-scales`, changes no bit of what a function computes, but for the bits of
//! a NaN: sign and payload of a NaN are unspecified, and any NaN stands for any other. A call that ends with an index error still ends
//! so, at the same index if there is only one that is out of range.

pub mod algebra;
pub mod canonicalize;
pub mod eliminate_common;
pub mod eliminate_dead;
pub mod fold_constants;
pub mod fold_scales;
pub mod fold_transposes;
mod rebuild;
mod rewrite;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::graph::{Function, Module};

/// Names of the passes, in order.
pub const PASSES: [&str; 7] = [
    "canonicalize",
    "fold-constants",
    "algebra",
    "fold-scales",
    "fold-transposes",
    "eliminate-common",
    "eliminate-dead",
];

/// Laws that are no op's own, as pass and law, like those of [`Op::laws`](crate::ops::Op::laws).
pub const LAWS: [(&str, &str); 8] = [
    ("canonicalize", canonicalize::ORDER),
    ("fold-constants", fold_constants::CONSTANTS),
    ("fold-constants", fold_constants::SPLATS),
    ("fold-scales", fold_scales::KNOWN),
    ("fold-scales", fold_scales::REPEATED),
    ("fold-scales", fold_scales::REGROUP),
    ("eliminate-common", eliminate_common::LAW),
    ("eliminate-dead", eliminate_dead::LAW),
];

/// Runs one pass by its name on a verified function, whose batch size may be bound or not; counts in `laws` what it
/// did. `module` is what the function's symbols refer to.
///
/// # Panics
/// If there is no pass of this name.
#[must_use]
pub fn run(module: &Rc<RefCell<Module>>, function: &Function, pass: &str, laws: &mut Laws) -> Function {
    match pass {
        "canonicalize" => canonicalize::run(module, function, laws),
        "fold-constants" => fold_constants::run(module, function, laws),
        "algebra" => algebra::run(module, function, laws),
        "fold-scales" => fold_scales::run(module, function, laws),
        "fold-transposes" => fold_transposes::run(module, function, laws),
        "eliminate-common" => eliminate_common::run(module, function, laws),
        "eliminate-dead" => eliminate_dead::run(module, function, laws),
        _ => panic!("there is no graph pass `{pass}`"),
    }
}

/// How often each law was applied, by pass and law.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laws {
    /// Applications of each law; laws that were not applied are not in it.
    pub counts: BTreeMap<(&'static str, &'static str), usize>,
}

impl Laws {
    /// How often laws were applied, of all passes together.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    fn count(&mut self, pass: &'static str, law: &'static str) {
        *self.counts.entry((pass, law)).or_default() += 1;
    }
}
