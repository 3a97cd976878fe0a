//! Fusion, on Kernel IR: decides which values are never stored. It knows no op: it reads views and scalar code.
//!
//! Passes, in order:
//! - `drop-checks` ([`checks`]): indices are not checked twice;
//! - `fold-views` ([`inline`]): views and constants into whatever reads them;
//! - `split-borders` ([`borders`]): padding into a copy and fills;
//! - `fuse-producers` ([`inline`]): elementwise producers into their only consumer;
//! - `fuse-epilogues` ([`append`]): elementwise consumers into the kernel that produces their operand;
//! - `fuse-stages` ([`group`]): kernels that share rows into one kernel of several stages;
//! - `recompute-slices` ([`slices`]): large values for each reader that needs a slice at a time;
//! - `recompute` ([`recompute`]), if it is asked for: what is kept over the peak of memory is computed again;
//! - `merge-copies` ([`copies`]): what is made to be copied is made in the copy's place.
//!
//! Every pass keeps the order of all floating-point operations, so fused and unfused programs agree bit for bit.

pub mod append;
pub mod borders;
pub mod checks;
pub mod copies;
pub mod dead;
pub mod deps;
pub mod group;
pub mod inline;
pub mod recompute;
pub mod slices;
pub(crate) mod splice;

use std::collections::HashSet;

use crate::kernel::{Kernel, KernelFunction};

/// Names of the passes, in order.
pub const PASSES: [&str; 9] = [
    "drop-checks",
    "fold-views",
    "split-borders",
    "fuse-producers",
    "fuse-epilogues",
    "fuse-stages",
    SLICES,
    "recompute",
    "merge-copies",
];

/// Name of the pass that computes large values again.
const SLICES: &str = "recompute-slices";

/// Scalar code longer than this is not made longer.
const MAX_BODY: usize = 256;

/// Runs one pass by its name; renumbers the kernels.
///
/// # Panics
/// If there is no pass of this name.
pub fn run(f: &mut KernelFunction, pass: &str, report: &mut Report) {
    match pass {
        "drop-checks" => checks::run(f, report),
        "fold-views" => inline::run(f, inline::Producers::Views, report),
        "fuse-producers" => inline::run(f, inline::Producers::Maps, report),
        "split-borders" => borders::run(f, report),
        "fuse-epilogues" => _ = append::run(f, report),
        SLICES => slices::run(f, report),
        "recompute" => recompute::run(f, report),
        "fuse-stages" => _ = group::run(f, report),
        "merge-copies" => copies::run(f, report),
        _ => panic!("there is no fusion pass `{pass}`"),
    }
}

/// Numbers the kernels in their order: `k0`, `k1`, ….
pub fn renumber(f: &mut KernelFunction) {
    for (n, kernel) in f.kernels.iter_mut().enumerate() {
        kernel.name = format!("k{n}");
    }
}

/// What was fused into what, and what was not, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One line each, in order.
    pub lines: Vec<String>,
    /// Those that say why something was kept, each once.
    kept: HashSet<String>,
}

impl Report {
    fn fused(&mut self, pass: &str, what: &Kernel, into: &Kernel) {
        self.lines.push(format!("{pass}: {} into {}", what.origin.join(" + "), into.origin.join(" + ")));
    }

    fn split(&mut self, what: &Kernel) {
        self.lines.push(format!("split-borders: {}", what.origin.join(" + ")));
    }

    fn again(&mut self, pass: &str, what: &str) {
        self.lines.push(format!("{pass}: `%{what}`"));
    }

    fn kept(&mut self, what: &str, why: &str) {
        let line = format!("`%{what}` is not computed in its consumer: {why}");
        if self.kept.insert(line.clone()) {
            self.lines.push(line);
        }
    }
}
