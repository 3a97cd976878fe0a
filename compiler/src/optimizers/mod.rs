//! Optimizers and what modifies them, as ordinary graph. Nothing below this folder knows any of them.
//!
//! | optimizer | arguments (defaults) | reference |
//! |---|---|---|
//! | `sgd` | `lr` | |
//! | `momentum`, `nesterov` | `lr`, `momentum` (0.9) | Polyak 1964; Nesterov 1983, as in Sutskever et al. 2013 |
//! | `adagrad` | `lr`, `initial` (0.1), `eps` (1e-7) | Duchi, Hazan, Singer 2011 |
//! | `rmsprop` | `lr`, `rho` (0.9), `momentum` (0), `eps` (1e-7) | Hinton, lecture 6e, 2012 |
//! | `adam` | `lr`, `beta1` (0.9), `beta2` (0.999), `eps` (1e-8) | Kingma, Ba 2015 |
//! | `adamw` | as `adam`, `decay` (0.01), `decay_over` (all that are trained) | Loshchilov, Hutter 2019 |
//!
//! | modifier | effect on the gradients, in the order written |
//! |---|---|
//! | `weight_decay(rate, over)` | adds `rate · w` (for the variables in `over`, default all) |
//! | `clip_value(limit)` | clips every element to `-limit ..= limit` |
//! | `clip_norm(limit)` | scales all so that their global norm is at most `limit` |
//! | `accumulate(calls)` | averages over so many calls; variables change on the last of them only |
//!
//! Any number may be a parameter of the training step (`lr = %lr`); the learning rate may also be a schedule
//! ([`schedules`]). State lives in variables named after the one that is trained: `w/adam/m`.

mod rules;
pub mod schedules;

pub use rules::{NAMES, Rule, rule};

use crate::graph::{Argument, Call};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(lr: impl Into<Argument>) -> Call {
            Call::word(stringify!($name)).with("lr", lr)
        })*
    };
}

words! {
    /// Gradient descent.
    sgd;
    /// Gradient descent with momentum.
    momentum;
    /// Gradient descent with Nesterov momentum.
    nesterov;
    /// Adagrad.
    adagrad;
    /// RMSProp.
    rmsprop;
    /// Adam.
    adam;
    /// Adam with decoupled weight decay.
    adamw;
}
