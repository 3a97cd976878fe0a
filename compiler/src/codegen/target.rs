//! What code is emitted for: a triple, and how much of its instruction set the CPU has.

use std::fmt;

use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};
use target_lexicon::{Architecture, BinaryFormat, OperatingSystem, Triple};

use super::cpu::{CpuLevel, Features};
use super::wide::Level;
use super::{CodegenError, Vectors};
use crate::types::DType;

/// Registers of aarch64, of 32, that tiles fill through Cranelift: tiles of 6×16 f32, whose loop spills nothing.
const AARCH64_TILE_REGISTERS: usize = 30;

/// A triple with a CPU level that fits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    triple: Triple,
    level: CpuLevel,
    /// Of x86-64; else none.
    features: Features,
    has_fma: bool,
    loads_apart: bool,
    vectors: Vectors,
}

impl Target {
    /// This machine, with everything it has.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if no code can be emitted for this machine.
    pub fn host() -> Result<Target, CodegenError> {
        Target::new(Triple::host(), CpuLevel::Native)
    }

    /// The target with a triple such as `aarch64-unknown-linux-gnu` and a CPU level such as `generic`.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if either is unknown, they don't fit together, or no code can be emitted for them.
    pub fn parse(triple: &str, cpu: &str) -> Result<Target, CodegenError> {
        let parsed = triple
            .parse::<Triple>()
            .map_err(|e| CodegenError::Target(format!("there is no target `{triple}`: {e}")))?;
        // Without a system, object files are ELF unless the triple says otherwise.
        let is_bare = parsed.operating_system == OperatingSystem::None_;
        let binary_format = match parsed.binary_format {
            BinaryFormat::Unknown if is_bare => BinaryFormat::Elf,
            known => known,
        };
        Target::new(Triple { binary_format, ..parsed }, cpu.parse()?)
    }

    /// The target with this triple and level.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if they don't fit together, no code can be emitted for them, or [`CpuLevel::NATIVE`] is wrong.
    pub fn new(triple: Triple, level: CpuLevel) -> Result<Target, CodegenError> {
        let is_here = triple.architecture == Triple::host().architecture;
        let level = if level == CpuLevel::Native && is_here { CpuLevel::native()? } else { level };
        let x86 = triple.architecture == Architecture::X86_64;
        let known = x86 || matches!(triple.architecture, Architecture::Aarch64(_) | Architecture::Riscv64(_));
        if !known {
            return Err(CodegenError::Target(format!(
                "no code can be emitted for `{triple}`: the architectures are x86_64, aarch64 and riscv64, all of 64 bits"
            )));
        }
        match level {
            CpuLevel::Native if !is_here => {
                return Err(CodegenError::Target(format!(
                    "CPU level `native` is that of `{}`, but the target is `{triple}`: name a level",
                    Triple::host()
                )));
            }
            CpuLevel::Generic if x86 => {
                return Err(CodegenError::Target(
                    "code for x86-64 needs at least SSE4.2: use CPU level `x86-64-v2` or above".into(),
                ));
            }
            CpuLevel::X86_64V2 | CpuLevel::X86_64V3 | CpuLevel::X86_64V4 if !x86 => {
                return Err(CodegenError::Target(format!(
                    "CPU level `{level}` does not fit `{triple}`: use `generic`"
                )));
            }
            _ => {}
        }
        let features = if x86 { level.features() } else { Features::default() };
        if level == CpuLevel::Native && x86 && !features.contains(CpuLevel::X86_64V2.features()) {
            return Err(CodegenError::Target(
                "this CPU is below level x86-64-v2 (SSE4.2), the least that code can be emitted for".into(),
            ));
        }
        Target::with_features(triple, level, features)
    }

    /// The same target with some features and without others: see [`Features::change`].
    ///
    /// # Errors
    /// [`CodegenError::Target`] as there; if it is not of x86-64; or if less is left than code needs.
    pub fn change_features(self, changes: &str) -> Result<Target, CodegenError> {
        if self.triple.architecture != Architecture::X86_64 {
            return Err(CodegenError::Target(format!(
                "CPU features are those of x86-64, but the target is `{}`: its code uses what every CPU of the architecture has",
                self.triple
            )));
        }
        let features = self.features.change(changes)?;
        if !features.contains(CpuLevel::X86_64V2.features()) {
            return Err(CodegenError::Target(format!(
                "`{changes}` leaves {features}: code for x86-64 needs all features of `x86-64-v2`"
            )));
        }
        Target::with_features(self.triple, self.level, features)
    }

    fn with_features(triple: Triple, level: CpuLevel, features: Features) -> Result<Target, CodegenError> {
        let x86 = triple.architecture == Architecture::X86_64;
        let mut target =
            Target { triple, level, features, has_fma: !x86, loads_apart: false, vectors: Vectors::None };
        let isa = target.isa()?;
        let has = |setting: &str| {
            isa.isa_flags().iter().any(|flag| flag.name == setting && flag.as_bool() == Some(true))
        };
        if x86 {
            target.has_fma = has("has_fma");
            target.loads_apart = !has("has_avx");
        }
        let has_vectors =
            x86 || matches!(target.triple.architecture, Architecture::Aarch64(_)) || has("has_v");
        if has_vectors {
            let is_arm = matches!(target.triple.architecture, Architecture::Aarch64(_));
            let registers = is_arm.then_some(AARCH64_TILE_REGISTERS);
            target.vectors = Vectors::Cranelift { partial: false, registers };
        }
        // Registers that a function must keep are those of System V.
        if target.call_conv() == CallConv::SystemV && features.contains(CpuLevel::X86_64V3.features()) {
            let has_avx512 = features.contains(CpuLevel::X86_64V4.features());
            target.vectors = Vectors::Wide(if has_avx512 { Level::Avx512 } else { Level::Avx2 });
        }
        Ok(target)
    }

    /// The same target without what code cannot ask the CPU for by itself: outside of x86-64, only the system knows.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub fn checkable(self) -> Result<Target, CodegenError> {
        match self.triple.architecture {
            Architecture::X86_64 => Ok(self),
            _ => Target::new(self.triple, CpuLevel::Generic),
        }
    }

    /// The triple.
    pub fn triple(&self) -> &Triple {
        &self.triple
    }

    /// The CPU level that was asked for, or that [`CpuLevel::NATIVE`] names.
    pub fn level(&self) -> CpuLevel {
        self.level
    }

    /// What code may use of x86-64; nothing for other architectures.
    pub fn features(&self) -> Features {
        self.features
    }

    /// What the CPU must have: a level, and features beyond it.
    pub fn cpu(&self) -> String {
        match self.triple.architecture {
            Architecture::X86_64 => self.features.to_string(),
            _ => self.level.to_string(),
        }
    }

    /// Whether a multiplication and an addition can be fused, with one rounding.
    pub fn has_fma(&self) -> bool {
        self.has_fma
    }

    /// Whether vectors must be loaded by instructions of their own: memory operands of SSE instructions must be aligned,
    /// and Cranelift 0.135 makes operands of comparisons of loads that are not.
    pub(super) fn loads_apart(&self) -> bool {
        self.loads_apart
    }

    /// Its vectors.
    pub fn vectors(&self) -> Vectors {
        self.vectors
    }

    /// The same target with other vectors, for tests.
    #[cfg(test)]
    pub(crate) fn with_vectors(self, vectors: Vectors) -> Target {
        Target { vectors, ..self }
    }

    /// How many elements of a dtype its widest vector holds; 1 if there are no vectors.
    pub fn lanes(&self, dtype: DType) -> usize {
        self.vectors.lanes(dtype)
    }

    /// The calling convention of entry points and tasks: C's.
    pub fn call_conv(&self) -> CallConv {
        CallConv::triple_default(&self.triple)
    }

    /// Cranelift's view of the target with nothing but what every CPU of the architecture has, for object files: for code
    /// that runs before the CPU was asked what it has.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if Cranelift refuses it.
    pub fn baseline_isa(&self) -> Result<OwnedTargetIsa, CodegenError> {
        Target { level: CpuLevel::Generic, features: Features::default(), ..self.clone() }.isa()
    }

    /// Cranelift's view of the target, for object files: code may be loaded anywhere.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if Cranelift refuses it.
    pub fn isa(&self) -> Result<OwnedTargetIsa, CodegenError> {
        self.isa_with("true")
    }

    /// Cranelift's view of the target, for code in this process, whose addresses are known when it is linked.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if Cranelift refuses it.
    pub fn jit_isa(&self) -> Result<OwnedTargetIsa, CodegenError> {
        self.isa_with("false")
    }

    fn isa_with(&self, is_pic: &str) -> Result<OwnedTargetIsa, CodegenError> {
        let refused = |e: &dyn fmt::Display| CodegenError::Target(format!("`{}`: {e}", self.triple));
        let tls_model = match self.triple.binary_format {
            BinaryFormat::Macho => "macho",
            BinaryFormat::Coff => "coff",
            _ => "elf_gd",
        };
        let mut flags = settings::builder();
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", "true"),
            ("is_pic", is_pic),
            ("enable_probestack", "false"),
            ("unwind_info", "false"),
            ("tls_model", tls_model),
        ] {
            flags.set(name, value).map_err(|e| refused(&e))?;
        }
        let mut builder = isa::lookup(self.triple.clone()).map_err(|e| refused(&e))?;
        if self.level == CpuLevel::Native && self.triple.architecture != Architecture::X86_64 {
            cranelift_native::infer_native_flags(&mut builder).map_err(|e| refused(&e))?;
        }
        for setting in self.features.settings() {
            builder.enable(setting).map_err(|e| refused(&e))?;
        }
        builder.finish(Flags::new(flags)).map_err(|e| refused(&e))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.triple, self.cpu())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_triples_must_fit() {
        let linux = "x86_64-unknown-linux-gnu";
        assert!(!Target::parse(linux, "x86-64-v2").unwrap().has_fma());
        assert!(Target::parse(linux, "x86-64-v3").unwrap().has_fma());
        assert!(Target::parse(linux, "x86-64-v4").unwrap().has_fma());
        assert!(Target::parse("aarch64-unknown-linux-gnu", "generic").unwrap().has_fma());
        assert_eq!(Target::parse("riscv64gc-unknown-linux-gnu", "generic").unwrap().lanes(DType::F32), 1);
        for (triple, cpu, says) in [
            (linux, "generic", "at least SSE4.2"),
            (linux, "x86-64-v1", "there is no CPU level"),
            ("aarch64-unknown-linux-gnu", "x86-64-v3", "does not fit"),
            ("s390x-unknown-linux-gnu", "generic", "no code can be emitted"),
            ("wasm32-unknown-unknown", "generic", "no code can be emitted"),
            ("nonsense", "generic", "there is no target"),
        ] {
            let error = Target::parse(triple, cpu).unwrap_err().to_string();
            assert!(error.contains(says), "{triple} {cpu}: {error}");
        }
    }
}
