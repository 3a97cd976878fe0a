//! What of a model is compiled to a library.

use bessemer_compiler::artefact::{ArtefactSource, ArtefactVariable, EntrySource, Variant};
use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
use bessemer_compiler::graph::{Function, Module, ValueId, bind};
use bessemer_compiler::initializers;
use bessemer_compiler::pipeline::Report;
use bessemer_compiler::program::NamedType;
use bessemer_compiler::types::DType;

use super::{BatchRange, BatchSizes};
use crate::compile::Model;
use crate::error::Error;
use crate::session::weights;

/// Where the values of variables with `file(..)` come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// They are put into the library, and `init` copies them.
    Embed,
    /// Whoever uses the library sets or loads them; they are zero after `init`.
    External,
}

/// What is compiled to a library.
#[derive(Clone, Debug)]
pub struct ArtefactOptions {
    /// Name of the library.
    pub name: String,
    /// Names of the entry points; none: all.
    pub entries: Vec<String>,
    /// The batch sizes.
    pub batch: BatchSizes,
    /// Where the values of variables with `file(..)` come from.
    pub weights: Weights,
    /// Whether kernels may run on several threads.
    pub threads: bool,
}

/// What became of the variants of an entry point.
pub type Reports = Vec<(String, BatchRange, Report)>;

/// Lowers the entry points of a model that was prepared from `written`. With it comes what the passes did: entry point,
/// batch sizes and report for each.
///
/// # Errors
/// E0702 if there is no such entry point; E0801 to E0804 for weights that are embedded; as [`Model::lower`] and
/// [`Model::lower_range`].
pub fn artefact_source(
    written: &Module,
    model: &Model,
    options: &ArtefactOptions,
) -> Result<(ArtefactSource, Reports), Error> {
    let module = model.module();
    let is_init = |f: &&Function| f.name == initializers::FUNCTION;
    let chosen: Vec<&Function> = match options.entries.as_slice() {
        [] => model.entry_points().map(|(_, f)| f).filter(|f| !is_init(f)).collect(),
        names => names.iter().map(|name| Ok(model.entry_point(name)?.1)).collect::<Result<_, Error>>()?,
    };
    let mut reports = Vec::new();
    let mut lower = |function: &Function, sizes: BatchRange| -> Result<Variant, Error> {
        let BatchRange { first, last } = sizes;
        let lowered = match first == last {
            true => model.lower(function, last)?,
            false => model.lower_range(function, first, last)?,
        };
        let source = model.source(&lowered).functions.remove(0);
        reports.push((function.name.clone(), sizes, lowered.report));
        Ok(Variant { first, last, source })
    };
    let one = BatchRange { first: 1, last: 1 };
    let mut entries = Vec::new();
    for function in chosen {
        let is_symbolic = bind::is_symbolic(function);
        let sizes = if is_symbolic { options.batch.ranges() } else { &[one] };
        let variants = sizes.iter().map(|&sizes| lower(function, sizes));
        let typed =
            |name: &str, value: ValueId| NamedType { name: name.into(), ty: function.ty(value).clone() };
        entries.push(EntrySource {
            name: function.name.clone(),
            params: function.params.iter().map(|&p| typed(&function.value_name(p), p)).collect(),
            results: function.results.iter().map(|r| typed(&r.name, r.value)).collect(),
            is_symbolic,
            variants: variants.collect::<Result<_, Error>>()?,
        });
    }
    let init = module.functions.values().find(is_init).ok_or_else(|| {
        Error::from(Diagnostic::new("E0702", "there is no `init`, which prepared modules have"))
    })?;
    let init = lower(init, one)?.source;
    let embedded = match options.weights {
        Weights::External => Vec::new(),
        Weights::Embed => embedded(module)?,
    };
    let variables = module
        .variables
        .values()
        .zip(model.variables())
        .map(|(v, stored)| ArtefactVariable {
            stored,
            is_trained: v.trainable && v.ty.dtype.is_float() && written.variable(&v.name).is_some(),
            is_constant: !v.trainable
                && v.ty.rank() == 0
                && matches!(v.ty.dtype, DType::F32 | DType::F64)
                && written.variable(&v.name).is_some(),
        })
        .collect();
    let source = ArtefactSource {
        name: options.name.clone(),
        variables,
        entries,
        init,
        embedded,
        has_threads: options.threads,
    };
    Ok((source, reports))
}

/// Positions and values of the variables that are read from files.
fn embedded(module: &Module) -> Result<Vec<(usize, bessemer_compiler::tensor::Tensor)>, Diagnostics> {
    let read = weights::read(module)?;
    let position = |name: &str| module.variables.values().position(|v| v.name == name);
    Ok(read.into_iter().filter_map(|(name, tensor)| Some((position(&name)?, tensor))).collect())
}
