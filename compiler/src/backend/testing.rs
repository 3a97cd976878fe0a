//! Sources from text, for tests.

use std::collections::BTreeMap;

use super::{Source, SourceModule};
use crate::kernel::{BufferKind, KernelFunction, most, parse};
use crate::program::{NamedType, StoredVariable};
use crate::types::TensorType;

/// The functions in some texts as a module; see [`source_of`].
pub fn source(texts: &[&str]) -> SourceModule {
    source_of(texts.iter().map(|text| parse("test", text).unwrap_or_else(|e| panic!("{e}"))).collect())
}

/// Some functions as a module named `test`. Parameters, results and variables have the names and types of their
/// buffers.
pub fn source_of(functions: Vec<KernelFunction>) -> SourceModule {
    let mut variables = BTreeMap::new();
    let functions = functions
        .into_iter()
        .map(|kernels| {
            variables.extend(numbered(&kernels, |kind| match kind {
                BufferKind::Variable(n) | BufferKind::Next(n) => Some(*n),
                _ => None,
            }));
            let params = numbered(&kernels, |kind| match kind {
                BufferKind::Param(n) => Some(*n),
                _ => None,
            });
            let results = numbered(&kernels, |kind| match kind {
                BufferKind::Result(n) => Some(*n),
                _ => None,
            });
            Source { kernels, params: in_order(params), results: in_order(results) }
        })
        .collect();
    let variables = in_order(variables).into_iter().map(StoredVariable::by_rows).collect();
    SourceModule { name: "test".into(), variables, functions }
}

fn numbered(f: &KernelFunction, number: impl Fn(&BufferKind) -> Option<usize>) -> BTreeMap<usize, NamedType> {
    let named = f.buffers.values().filter_map(|b| {
        let ty = TensorType::new(b.dtype, most(&b.shape).as_slice());
        Some((number(&b.kind)?, NamedType { name: b.name.clone(), ty }))
    });
    named.collect()
}

fn in_order(numbered: BTreeMap<usize, NamedType>) -> Vec<NamedType> {
    assert!(numbered.keys().copied().eq(0..numbered.len()), "numbers count from 0");
    numbered.into_values().collect()
}
