//! What code is emitted for: a triple, and how much of its instruction set the CPU has.

use std::fmt;
use std::str::FromStr;

use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};
use target_lexicon::{Architecture, BinaryFormat, OperatingSystem, Triple};

use super::wide::Level;
use super::{CodegenError, Vectors};
use crate::types::DType;

/// How much of an architecture's instruction set code may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuLevel {
    /// Everything that this machine has.
    Native,
    /// SSE4.2; no fused multiply-add.
    X86_64V2,
    /// AVX2 and FMA.
    X86_64V3,
    /// AVX-512 F, BW, CD, DQ and VL.
    X86_64V4,
    /// What every CPU of the architecture has (aarch64, riscv64).
    Generic,
}

impl CpuLevel {
    const NAMES: [(CpuLevel, &'static str); 5] = [
        (CpuLevel::Native, "native"),
        (CpuLevel::X86_64V2, "x86-64-v2"),
        (CpuLevel::X86_64V3, "x86-64-v3"),
        (CpuLevel::X86_64V4, "x86-64-v4"),
        (CpuLevel::Generic, "generic"),
    ];

    /// The settings of Cranelift that a level of x86-64 turns on, those of lower levels first.
    fn x86_settings(self) -> &'static [&'static str] {
        const ALL: [&str; 15] = [
            "has_sse3",
            "has_ssse3",
            "has_cmpxchg16b",
            "has_sse41",
            "has_sse42",
            "has_popcnt",
            "has_avx",
            "has_avx2",
            "has_bmi1",
            "has_bmi2",
            "has_fma",
            "has_lzcnt",
            "has_avx512f",
            "has_avx512dq",
            "has_avx512vl",
        ];
        match self {
            CpuLevel::Native | CpuLevel::Generic => &[],
            CpuLevel::X86_64V2 => &ALL[..6],
            CpuLevel::X86_64V3 => &ALL[..12],
            CpuLevel::X86_64V4 => &ALL,
        }
    }
}

impl fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CpuLevel::NAMES.iter().find(|n| n.0 == *self).map_or("", |n| n.1);
        f.write_str(name)
    }
}

impl FromStr for CpuLevel {
    type Err = CodegenError;

    /// The level that a name such as `x86-64-v3` names.
    fn from_str(name: &str) -> Result<CpuLevel, CodegenError> {
        CpuLevel::NAMES.iter().find(|n| n.1 == name).map(|n| n.0).ok_or_else(|| {
            CodegenError::Target(format!(
                "there is no CPU level `{name}`: use `native`, `generic`, `x86-64-v2`, `x86-64-v3` or `x86-64-v4`"
            ))
        })
    }
}

/// A triple with a CPU level that fits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    triple: Triple,
    level: CpuLevel,
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
    /// [`CodegenError::Target`] if they don't fit together, or no code can be emitted for them.
    pub fn new(triple: Triple, level: CpuLevel) -> Result<Target, CodegenError> {
        let x86 = triple.architecture == Architecture::X86_64;
        let known = x86 || matches!(triple.architecture, Architecture::Aarch64(_) | Architecture::Riscv64(_));
        if !known {
            return Err(CodegenError::Target(format!(
                "no code can be emitted for `{triple}`: the architectures are x86_64, aarch64 and riscv64"
            )));
        }
        match level {
            CpuLevel::Native if triple.architecture != Triple::host().architecture => {
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
        let mut target = Target { triple, level, has_fma: !x86, loads_apart: false, vectors: Vectors::None };
        let isa = target.isa()?;
        let has = |setting: &str| {
            isa.isa_flags().iter().any(|flag| flag.name == setting && flag.as_bool() == Some(true))
        };
        if x86 {
            if !CpuLevel::X86_64V2.x86_settings().iter().all(|s| has(s)) {
                return Err(CodegenError::Target(
                    "this CPU is below level x86-64-v2 (SSE4.2), the least that code can be emitted for"
                        .into(),
                ));
            }
            target.has_fma = has("has_fma") && has("has_avx");
            target.loads_apart = !has("has_avx");
        }
        let has_vectors =
            x86 || matches!(target.triple.architecture, Architecture::Aarch64(_)) || has("has_v");
        if has_vectors {
            target.vectors = Vectors::Cranelift { partial: false };
        }
        // Registers that a function must keep are those of System V.
        if x86
            && target.call_conv() == CallConv::SystemV
            && CpuLevel::X86_64V3.x86_settings().iter().all(|s| has(s))
        {
            let has_avx512 =
                CpuLevel::X86_64V4.x86_settings().iter().all(|s| has(s)) && target.has_bytes_of_avx512();
            target.vectors = Vectors::Wide(if has_avx512 { Level::Avx512 } else { Level::Avx2 });
        }
        Ok(target)
    }

    /// The same triple at the highest level with a name that this target has all instructions of: code that can say what
    /// it needs.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub fn at_named_level(&self) -> Result<Target, CodegenError> {
        if self.level != CpuLevel::Native {
            return Ok(self.clone());
        }
        let isa = self.isa()?;
        let has = |setting: &str| {
            isa.isa_flags().iter().any(|flag| flag.name == setting && flag.as_bool() == Some(true))
        };
        let levels = [CpuLevel::X86_64V4, CpuLevel::X86_64V3, CpuLevel::X86_64V2];
        let is_x86 = self.triple.architecture == Architecture::X86_64;
        let has_all = |level: &CpuLevel| {
            level.x86_settings().iter().all(|s| has(s))
                && (*level != CpuLevel::X86_64V4 || self.has_bytes_of_avx512())
        };
        let level = levels.into_iter().find(|level| is_x86 && has_all(level));
        Target::new(self.triple.clone(), level.unwrap_or(CpuLevel::Generic))
    }

    /// Whether AVX-512 is there with all that level x86-64-v4 has of it, of which Cranelift does not know everything.
    fn has_bytes_of_avx512(&self) -> bool {
        match self.level {
            CpuLevel::X86_64V4 => true,
            #[cfg(target_arch = "x86_64")]
            CpuLevel::Native => {
                std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512cd")
            }
            _ => false,
        }
    }

    /// The triple.
    pub fn triple(&self) -> &Triple {
        &self.triple
    }

    /// The CPU level.
    pub fn level(&self) -> CpuLevel {
        self.level
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
        if self.level == CpuLevel::Native {
            cranelift_native::infer_native_flags(&mut builder).map_err(|e| refused(&e))?;
        }
        for setting in self.level.x86_settings() {
            builder.enable(setting).map_err(|e| refused(&e))?;
        }
        builder.finish(Flags::new(flags)).map_err(|e| refused(&e))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.triple, self.level)
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

    #[test]
    fn level_names_read_back() {
        for (level, name) in CpuLevel::NAMES {
            assert_eq!(level.to_string(), name);
            assert_eq!(name.parse::<CpuLevel>().unwrap(), level);
        }
    }
}
