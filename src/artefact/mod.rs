//! A model as a native library: from a module to files.
//!
//! - `source` chooses what is compiled, `batch` for which batch sizes;
//! - `training` adds a training step, or changes the optimizer;
//! - `mutable` keeps constants of training in variables;
//! - `fixed` makes weights constants, in models that only predict;
//! - `link` calls the system's linker;
//! - `archive` writes static libraries;
//! - `packages` writes what build systems read.

mod archive;
mod batch;
mod fixed;
mod link;
mod mutable;
mod packages;
mod source;
mod training;

pub use batch::{BatchRange, BatchSizes};
pub use fixed::{FOLD_SCALES, with_checkpoint, with_first_weights_fixed, with_fixed_weights};
pub use link::Linker;
pub use mutable::with_constants_in_variables;
pub use source::{ArtefactOptions, Reports, Weights, artefact_source};
pub use training::with_training;

use std::path::{Path, PathBuf};

use bessemer_compiler::artefact::Artefact;
use bessemer_compiler::codegen::Target;
use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::listing::Listing;

use crate::error::Error;

/// A kind of file that a model can be compiled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Shared library, with the runtime in it.
    Shared,
    /// C header.
    Header,
    /// Freestanding object file.
    Object,
    /// Static library, with the runtime in it where there is one for the target.
    Static,
    /// Cranelift's intermediate form, as text.
    Ir,
    /// Instructions, as text.
    Assembly,
    /// For pkg-config.
    PkgConfig,
    /// For CMake's `find_package`.
    CMake,
}

impl Kind {
    /// The file's name is that of the library with this behind it.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Shared => ".so",
            Kind::Header => ".h",
            Kind::Object => ".o",
            Kind::Static => ".a",
            Kind::Ir => ".clif",
            Kind::Assembly => ".s",
            Kind::PkgConfig => ".pc",
            Kind::CMake => "-config.cmake",
        }
    }
}

/// Where files go: all begin with the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Such as `build/mnist`, for `build/mnist.so` and the others.
    pub prefix: PathBuf,
}

impl Output {
    /// The path of a file.
    pub fn path(&self, kind: Kind) -> PathBuf {
        let mut path = self.prefix.clone().into_os_string();
        path.push(kind.suffix());
        path.into()
    }

    /// Writes a file of the library `name`. Listings are not among them: see [`Output::write_listing`].
    ///
    /// # Errors
    /// E0725, E0726 for a shared library that cannot be linked; E0727 if the file cannot be written.
    pub fn write(
        &self,
        kind: Kind,
        (name, artefact): (&str, &Artefact),
        target: &Target,
        linker: &Linker,
    ) -> Result<PathBuf, Error> {
        let path = self.path(kind);
        make_folder(&path)?;
        match kind {
            Kind::Shared => linker.link(name, artefact, target, &path)?,
            Kind::Header => write(&path, artefact.header.as_bytes())?,
            Kind::Object => write(&path, &artefact.object.bytes)?,
            Kind::Static => write(&path, &linker.archive(name, artefact, target)?)?,
            Kind::PkgConfig => write(&path, packages::pkg_config(name, &self.file_name()).as_bytes())?,
            Kind::CMake => write(&path, packages::cmake(name, &self.file_name()).as_bytes())?,
            Kind::Ir | Kind::Assembly => {}
        }
        Ok(path)
    }

    /// Writes a listing of the code.
    ///
    /// # Errors
    /// E0727 if the file cannot be written.
    pub fn write_listing(&self, kind: Kind, listings: &[Listing]) -> Result<PathBuf, Error> {
        let path = self.path(kind);
        make_folder(&path)?;
        let text: String = match kind {
            Kind::Ir => listings.iter().map(|l| format!("; {}\n{}\n", l.symbol, l.clif)).collect(),
            _ => listings.iter().map(|l| format!("{}:\n{}\n", l.symbol, l.assembly)).collect(),
        };
        write(&path, text.as_bytes())?;
        Ok(path)
    }

    fn file_name(&self) -> String {
        self.prefix.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder).map_err(|e| unwritable(folder, &e))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|e| unwritable(path, &e))
}

/// E0727: a file cannot be written.
fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Diagnostic::new("E0727", format!("cannot write `{}`", path.display()))
        .note(error.to_string())
        .help("choose another place with `-o`")
        .into()
}
