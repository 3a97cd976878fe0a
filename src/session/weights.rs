//! First values that are read from safetensors files.
//!
//! Reference: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
use bessemer_compiler::graph::{Module, Variable};
use bessemer_compiler::initializers;
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType;
use safetensors::{Dtype, SafeTensors};

use crate::error::names;

/// Names and values of all variables whose initialiser is `file(…)`.
///
/// # Errors
/// For every such variable that cannot be read: E0801 if the file cannot be opened, E0802 if it is no safetensors file,
/// E0803 if the tensor is not in it, E0804 if it has another type.
pub(crate) fn read(module: &Module) -> Result<Vec<(String, Tensor)>, Diagnostics> {
    let folder = module.source.as_ref().and_then(|s| Path::new(&s.name).parent());
    let mut files: BTreeMap<PathBuf, Vec<(&Variable, &str)>> = BTreeMap::new();
    let mut errors = Vec::new();
    for variable in module.variables.values().filter(|v| initializers::is_file(&v.init)) {
        match initializers::file(&variable.init) {
            Ok((path, tensor)) => {
                let path = folder.map_or_else(|| path.into(), |folder| folder.join(path));
                files.entry(path).or_default().push((variable, tensor));
            }
            Err(error) => errors.push(error.or_at(&variable.place)),
        }
    }
    let mut read = Vec::new();
    // One file at a time is in memory.
    for (path, wanted) in files {
        let bytes = std::fs::read(&path);
        let file = match &bytes {
            Ok(bytes) => SafeTensors::deserialize(bytes).map_err(|e| malformed(&path, &e)),
            Err(e) => Err(unreadable(&path, e)),
        };
        for (variable, name) in wanted {
            let at = |error: Diagnostic| error.or_at(&variable.init.place).or_at(&variable.place);
            match file.as_ref().map_err(Clone::clone).and_then(|file| take(file, &path, name, variable)) {
                Ok(tensor) => read.push((variable.name.clone(), tensor)),
                Err(error) => errors.push(at(error)),
            }
        }
    }
    Diagnostics::check(module.source.clone(), errors)?;
    Ok(read)
}

/// E0801: a file cannot be read.
fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new("E0801", format!("cannot read `{}`", path.display())).note(error.to_string())
}

fn malformed(path: &Path, error: &safetensors::SafeTensorError) -> Diagnostic {
    Diagnostic::new("E0802", format!("`{}` is not a safetensors file", path.display()))
        .note(error.to_string())
}

/// The tensor of a variable.
fn take(file: &SafeTensors<'_>, path: &Path, name: &str, variable: &Variable) -> Result<Tensor, Diagnostic> {
    let path = path.display();
    let Ok(view) = file.tensor(name) else {
        let mut known = file.names();
        known.sort_unstable();
        return Err(Diagnostic::new("E0803", format!("there is no tensor `{name}` in `{path}`"))
            .note(format!("its tensors are: {}", names(known))));
    };
    let (ty, shape) = (&variable.ty, variable.ty.shape.bound());
    if dtype(view.dtype()) != Some(ty.dtype) || view.shape() != shape {
        let found = format!("{}{:?}", view.dtype().to_string().to_lowercase(), view.shape()).replace(' ', "");
        return Err(Diagnostic::new("E0804", format!("tensor `{name}` in `{path}` has another type"))
            .note(format!("`@{}` is {ty}, the tensor is {found}", variable.name)));
    }
    Tensor::from_bytes(ty.dtype, &shape, view.data()).ok_or_else(|| {
        Diagnostic::new("E0802", format!("tensor `{name}` in `{path}` has {} bytes", view.data().len()))
            .note(format!("a tensor of {ty} has another number of bytes"))
    })
}

fn dtype(found: Dtype) -> Option<DType> {
    match found {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::I32 => Some(DType::I32),
        Dtype::I64 => Some(DType::I64),
        Dtype::U8 => Some(DType::U8),
        Dtype::BOOL => Some(DType::Bool),
        _ => None,
    }
}
