//! Linking.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use bessemer_compiler::artefact::Artefact;
use bessemer_compiler::codegen::Target;
use bessemer_compiler::diagnostic::Diagnostic;

use super::archive::archive;
use super::{unwritable, write};
use crate::error::Error;

/// The runtime for this machine's system: made by this crate's build script.
const RUNTIME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bessemer_runtime.o"));

/// How libraries are linked.
#[derive(Clone, Debug)]
pub struct Linker {
    /// The C compiler that links.
    pub program: OsString,
    /// An object file or static library with the runtime for the target; none: this machine's.
    pub runtime: Option<PathBuf>,
}

impl Default for Linker {
    /// `cc`, with the runtime for this machine's system.
    fn default() -> Linker {
        Linker { program: "cc".into(), runtime: None }
    }
}

impl Linker {
    /// Links a shared library.
    ///
    /// # Errors
    /// E0725 if the linker cannot be run or fails; E0726 if there is no runtime for the target; E0801 if it cannot be read;
    /// E0727 if the library cannot be written.
    pub(super) fn link(
        &self,
        name: &str,
        artefact: &Artefact,
        target: &Target,
        path: &Path,
    ) -> Result<(), Error> {
        let (Some(runtime), Some(interface)) = (self.runtime(target)?, &artefact.interface) else {
            let triple = target.triple();
            return Err(Diagnostic::new("E0726", format!("there is no runtime for `{triple}` to link with"))
                .note(format!("this command carries the one for `{}`", env!("BESSEMER_RUNTIME_TRIPLE")))
                .help("name one with `--runtime`, or emit `obj`, `staticlib` and `header` only")
                .into());
        };
        let work = WorkFolder::new(path)?;
        let files = [
            ("code.o", &artefact.object.bytes[..]),
            ("interface.o", &interface.bytes),
            // A linker looks at what it is, not at its name.
            ("runtime.o", &runtime),
            ("exports", format!("{{ global: {name}_*; local: *; }};\n").as_bytes()),
        ]
        .map(|(file, content)| (work.path.join(file), content.to_vec()));
        for (file, content) in &files {
            write(file, content)?;
        }
        let [code, interface, runtime, exports] = files.map(|(file, _)| file);
        let linked = work.path.join("linked");
        let soname = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(&self.program);
        command
            .args(["-shared", "-nostartfiles", "-static-libgcc", "-o"])
            .arg(&linked)
            .args([&code, &interface, &runtime])
            .args([format!("-Wl,-soname,{soname}"), format!("-Wl,--version-script,{}", exports.display())])
            .args(["-Wl,-z,relro,-z,now,-z,noexecstack,-z,text,-z,defs", "-Wl,--gc-sections"])
            .args(["-Wl,--build-id=none", "-Wl,--hash-style=gnu", "-Wl,--as-needed"])
            // Threads are in a library of their own before version 2.34 of glibc.
            .args(["-lc", "-lpthread"]);
        self.run(command)?;
        std::fs::rename(&linked, path).map_err(|e| unwritable(path, &e))
    }

    fn run(&self, mut command: Command) -> Result<(), Error> {
        let program = self.program.to_string_lossy();
        let output = command.output().map_err(|error| {
            let failed = Diagnostic::new("E0725", format!("cannot run the linker `{program}`"));
            let failed = match error.kind() {
                ErrorKind::NotFound => failed.note("there is no such program"),
                _ => failed.note(error.to_string()),
            };
            Error::from(
                failed.help("install a C compiler, name one with `--linker`, or leave `so` out of `--emit`"),
            )
        })?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let failed = Diagnostic::new("E0725", format!("the linker `{program}` failed: {}", output.status));
        let failed = text.lines().take(12).fold(failed, |failed, line| failed.note(line));
        Err(failed.help("for another target than this machine's, name its C compiler with `--linker`").into())
    }

    /// A static library.
    ///
    /// # Errors
    /// E0801 if the runtime cannot be read; E0727 if it is too large.
    pub(super) fn archive(&self, name: &str, artefact: &Artefact, target: &Target) -> Result<Vec<u8>, Error> {
        let runtime = self.runtime(target)?;
        // An archive in an archive is none: what links the library has to name both.
        let runtime = runtime.filter(|runtime| !runtime.starts_with(b"!<arch>"));
        let mut members = vec![(format!("{name}.o"), &artefact.object.bytes[..])];
        members.extend(
            artefact.interface.iter().map(|object| (format!("{name}_interface.o"), &object.bytes[..])),
        );
        members.extend(runtime.iter().map(|content| ("bessemer_runtime.o".to_owned(), &content[..])));
        archive(&members, target).map_err(|e| {
            Diagnostic::new("E0727", "cannot make the static library").note(e.to_string()).into()
        })
    }

    /// The runtime for a target; `None` if there is none.
    fn runtime(&self, target: &Target) -> Result<Option<Vec<u8>>, Error> {
        if let Some(path) = &self.runtime {
            let read = std::fs::read(path).map_err(|e| {
                Diagnostic::new("E0801", format!("cannot read `{}`", path.display())).note(e.to_string())
            });
            return Ok(Some(read?));
        }
        let host = Target::host().map(|host| host.triple().clone());
        let is_host = host.is_ok_and(|host| {
            let triple = target.triple();
            (host.architecture, host.operating_system, host.environment)
                == (triple.architecture, triple.operating_system, triple.environment)
        });
        Ok(is_host.then(|| RUNTIME.to_vec()))
    }
}

/// A folder for files that are needed while linking, beside the output, so that it can be renamed. Removed when dropped.
struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    fn new(output: &Path) -> Result<WorkFolder, Error> {
        let mut path = output.to_owned().into_os_string();
        path.push(format!(".{}.partial", std::process::id()));
        let path = PathBuf::from(path);
        std::fs::create_dir(&path).map_err(|e| unwritable(output, &e))?;
        Ok(WorkFolder { path })
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What could not be removed is in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
