//! How much of its architecture's instruction set a CPU has: levels, and for x86-64 the features that make them up.
//!
//! Reference: the levels of the x86-64 psABI, version 1.0, table 3.1; Intel SDM, volume 2A, CPUID.

use std::fmt;
use std::str::FromStr;

use super::CodegenError;

/// How much of an architecture's instruction set code may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuLevel {
    /// Everything that this machine has, or the level that [`CpuLevel::NATIVE`] names.
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

    /// The environment variable that names the level that `native` is on this machine, so that a lesser machine can be tried on
    /// it. Tests for machines of a level are run with it.
    pub const NATIVE: &str = "BESSEMER_NATIVE_CPU";

    /// What `native` is: the level that [`CpuLevel::NATIVE`] names, else everything that this machine has.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if there is no such level, or this machine cannot run its code.
    pub(super) fn native() -> Result<CpuLevel, CodegenError> {
        let named = std::env::var_os(CpuLevel::NATIVE).filter(|name| !name.is_empty());
        let name = named.as_deref().map_or("native".into(), |name| name.to_string_lossy());
        CpuLevel::native_named(&name, Features::of_this_machine())
    }

    /// The level of this name for a machine with some features.
    fn native_named(name: &str, machine: Features) -> Result<CpuLevel, CodegenError> {
        let refused = |why: String| CodegenError::Target(format!("{}={name}: {why}", CpuLevel::NATIVE));
        let level = name.parse::<CpuLevel>().map_err(|error| refused(error.to_string()))?;
        let lacks = Features(level.features().0 & !machine.0);
        match lacks.all().next() {
            None => Ok(level),
            Some(at) => Err(refused(format!(
                "this machine has no {} and cannot run such code: name a lower level or unset the variable",
                FEATURES[at].name
            ))),
        }
    }

    /// The levels of x86-64, the lowest first.
    pub(super) const X86: [CpuLevel; 3] = [CpuLevel::X86_64V2, CpuLevel::X86_64V3, CpuLevel::X86_64V4];

    /// What a level has of x86-64, as far as code uses it; nothing for levels of other architectures. Of `Native`, what this
    /// machine has, whatever [`CpuLevel::NATIVE`] names.
    pub fn features(self) -> Features {
        match self {
            CpuLevel::Generic => Features::default(),
            CpuLevel::X86_64V2 => Features::first(6),
            CpuLevel::X86_64V3 => Features::first(12),
            CpuLevel::X86_64V4 => Features::first(17),
            CpuLevel::Native => Features::of_this_machine(),
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

/// Where a CPU tells whether it has a feature: one of the words of [`Features::words`].
const LEAF_1_ECX: usize = 0;
const LEAF_7_EBX: usize = 1;
const LEAF_7_ECX: usize = 2;
const EXTENDED_1_ECX: usize = 3;
const XCR0: usize = 4;

/// The bit of leaf 1 that says that XCR0 can be read.
const OSXSAVE: u32 = 1 << 27;
/// The bits of XCR0 that say that the system saves vectors of 32 bytes, and those of 64 with their masks.
const XCR0_AVX: u32 = 0x06;
const XCR0_AVX512: u32 = 0xe6;

/// A part of the instruction set of x86-64.
struct Feature {
    name: &'static str,
    /// The setting of Cranelift that turns it on, where Cranelift knows it.
    setting: Option<&'static str>,
    /// What no CPU has it without, by name.
    needs: &'static [&'static str],
    /// The word in which the CPU tells of it, and the bit.
    place: (usize, u32),
}

macro_rules! features {
    ($($name:tt $setting:expr, needs $needs:expr, at $word:ident $bit:literal;)*) => {
        /// Everything that code can make use of: first what level x86-64-v2 has, then what v3 adds, then what v4 does.
        const FEATURES: &[Feature] = &[
            $(Feature { name: $name, setting: $setting, needs: &$needs, place: ($word, $bit) },)*
        ];

        /// Whether this machine has each of them, and its system saves the registers.
        #[cfg(target_arch = "x86_64")]
        fn detected() -> impl Iterator<Item = bool> {
            [$(std::arch::is_x86_feature_detected!($name)),*].into_iter()
        }
    };
}

features! {
    "sse3" Some("has_sse3"), needs [], at LEAF_1_ECX 0;
    "ssse3" Some("has_ssse3"), needs ["sse3"], at LEAF_1_ECX 9;
    "cmpxchg16b" Some("has_cmpxchg16b"), needs [], at LEAF_1_ECX 13;
    "sse4.1" Some("has_sse41"), needs ["ssse3"], at LEAF_1_ECX 19;
    "sse4.2" Some("has_sse42"), needs ["sse4.1"], at LEAF_1_ECX 20;
    "popcnt" Some("has_popcnt"), needs [], at LEAF_1_ECX 23;
    "avx" Some("has_avx"), needs ["sse4.2"], at LEAF_1_ECX 28;
    "avx2" Some("has_avx2"), needs ["avx"], at LEAF_7_EBX 5;
    "bmi1" Some("has_bmi1"), needs [], at LEAF_7_EBX 3;
    "bmi2" Some("has_bmi2"), needs [], at LEAF_7_EBX 8;
    "fma" Some("has_fma"), needs ["avx"], at LEAF_1_ECX 12;
    "lzcnt" Some("has_lzcnt"), needs [], at EXTENDED_1_ECX 5;
    "avx512f" Some("has_avx512f"), needs ["avx2", "fma"], at LEAF_7_EBX 16;
    "avx512dq" Some("has_avx512dq"), needs ["avx512f"], at LEAF_7_EBX 17;
    "avx512cd" None, needs ["avx512f"], at LEAF_7_EBX 28;
    "avx512bw" None, needs ["avx512f"], at LEAF_7_EBX 30;
    "avx512vl" Some("has_avx512vl"), needs ["avx512f"], at LEAF_7_EBX 31;
    "avx512vbmi" Some("has_avx512vbmi"), needs ["avx512bw"], at LEAF_7_ECX 1;
    "avx512bitalg" Some("has_avx512bitalg"), needs ["avx512bw"], at LEAF_7_ECX 12;
}

/// Some features of x86-64: with each, all that no CPU has it without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(u32);

impl Features {
    /// How many words a CPU says what it has with.
    pub const WORDS: usize = 5;

    fn first(count: u32) -> Features {
        Features((1 << count) - 1)
    }

    fn of_this_machine() -> Features {
        #[cfg(target_arch = "x86_64")]
        let bits = detected().enumerate().fold(0, |bits, (at, has)| bits | u32::from(has) << at);
        #[cfg(not(target_arch = "x86_64"))]
        let bits = 0;
        // A virtual machine may hide what others need.
        let found = Features(bits);
        let lacks = |at: usize| !found.contains(Features::needed_by(at));
        Features(
            (0..FEATURES.len())
                .filter(|&at| found.has(at) && lacks(at))
                .fold(bits, |bits, at| bits & !(1 << at)),
        )
    }

    fn has(self, at: usize) -> bool {
        self.0 >> at & 1 == 1
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether all of these are among them.
    pub fn contains(self, others: Features) -> bool {
        self.0 & others.0 == others.0
    }

    /// What no CPU has the feature at a position without, itself included.
    fn needed_by(at: usize) -> Features {
        let needs = FEATURES[at].needs.iter().filter_map(|name| position(name));
        needs.fold(Features(1 << at), |all, need| Features(all.0 | Features::needed_by(need).0))
    }

    /// With some features and without others: `+avx2,-fma`. What a feature needs comes with it, and what needs it goes with
    /// it.
    ///
    /// # Errors
    /// [`CodegenError::Target`] if a feature has neither `+` nor `-` before it, or there is none of the name.
    pub fn change(self, changes: &str) -> Result<Features, CodegenError> {
        changes.split(',').map(str::trim).try_fold(self, |features, change| {
            let known = || FEATURES.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
            let refused = |why| CodegenError::Target(format!("{why}: the features are {}", known()));
            let name = change
                .strip_prefix(['+', '-'])
                .ok_or_else(|| refused(format!("write `+` or `-` before the CPU feature `{change}`")))?;
            let at = position(name).ok_or_else(|| refused(format!("there is no CPU feature `{name}`")))?;
            if change.starts_with('+') {
                return Ok(Features(features.0 | Features::needed_by(at).0));
            }
            let needs_it = |other: &usize| Features::needed_by(*other).has(at);
            Ok(Features(
                (0..FEATURES.len()).filter(needs_it).fold(features.0, |bits, other| bits & !(1 << other)),
            ))
        })
    }

    /// The settings of Cranelift that turn them on.
    pub(super) fn settings(self) -> impl Iterator<Item = &'static str> {
        self.all().filter_map(|at| FEATURES[at].setting)
    }

    fn all(self) -> impl Iterator<Item = usize> {
        (0..FEATURES.len()).filter(move |&at| self.has(at))
    }

    /// The bits that must be set in what a CPU says of itself: ECX of leaf 1 of CPUID, EBX and ECX of leaf 7, ECX of leaf
    /// 0x80000001, and the lower half of XCR0.
    pub fn words(self) -> [u32; Features::WORDS] {
        let mut words = [0; Features::WORDS];
        for at in self.all() {
            let (word, bit) = FEATURES[at].place;
            words[word] |= 1 << bit;
            let saved = match FEATURES[at].name {
                "avx" => XCR0_AVX,
                "avx512f" => XCR0_AVX512,
                _ => continue,
            };
            words[XCR0] |= saved;
            words[LEAF_1_ECX] |= OSXSAVE;
        }
        words
    }
}

fn position(name: &str) -> Option<usize> {
    FEATURES.iter().position(|feature| feature.name == name)
}

impl fmt::Display for Features {
    /// The highest level that is among them, and what is beyond it: `x86-64-v3` or `x86-64-v2+avx+fma`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = CpuLevel::X86.into_iter().rfind(|level| self.contains(level.features()));
        let included = level.map_or(Features::default(), CpuLevel::features);
        f.write_str(&level.map_or("x86-64".to_owned(), |level| level.to_string()))?;
        let beyond = Features(self.0 & !included.0);
        beyond.all().try_for_each(|at| write!(f, "+{}", FEATURES[at].name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_names_read_back() {
        for (level, name) in CpuLevel::NAMES {
            assert_eq!(level.to_string(), name);
            assert_eq!(name.parse::<CpuLevel>().unwrap(), level);
        }
    }

    #[test]
    fn levels_are_named_by_their_features_and_contain_the_ones_below() {
        for level in CpuLevel::X86 {
            assert_eq!(level.features().to_string(), level.to_string());
        }
        let of = |level: CpuLevel| level.features();
        assert!(of(CpuLevel::X86_64V4).contains(of(CpuLevel::X86_64V3)));
        assert!(of(CpuLevel::X86_64V3).contains(of(CpuLevel::X86_64V2)));
        assert!(!of(CpuLevel::X86_64V2).contains(of(CpuLevel::X86_64V3)));
        for (level, last) in CpuLevel::X86.into_iter().zip(["popcnt", "lzcnt", "avx512vl"]) {
            assert_eq!(level.features().all().last(), position(last));
        }
    }

    #[test]
    fn native_is_a_level_that_the_machine_can_run() {
        let v3 = CpuLevel::X86_64V3.features();
        for (name, level) in [
            ("native", CpuLevel::Native),
            ("x86-64-v2", CpuLevel::X86_64V2),
            ("x86-64-v3", CpuLevel::X86_64V3),
            ("generic", CpuLevel::Generic),
        ] {
            let machine = if level == CpuLevel::Native { Features::of_this_machine() } else { v3 };
            assert_eq!(CpuLevel::native_named(name, machine).unwrap(), level);
        }
        for (name, says) in
            [("x86-64-v4", "this machine has no avx512f"), ("v3", "there is no CPU level `v3`")]
        {
            let error = CpuLevel::native_named(name, v3).unwrap_err().to_string();
            assert!(
                error.contains(&format!("BESSEMER_NATIVE_CPU={name}: ")) && error.contains(says),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_needed_comes_and_goes_with_a_feature() {
        let v2 = CpuLevel::X86_64V2.features();
        let v3 = CpuLevel::X86_64V3.features();
        for (from, change, to) in [
            (v2, "+avx2", "x86-64-v2+avx+avx2"),
            (v2, "+fma,+avx512f", "x86-64-v2+avx+avx2+fma+avx512f"),
            (v2, "+avx2,+bmi1,+bmi2,+fma,+lzcnt", "x86-64-v3"),
            (v2, "-avx", "x86-64-v2"),
            (v3, "-fma", "x86-64-v2+avx+avx2+bmi1+bmi2+lzcnt"),
            (v3, "-avx, +avx", "x86-64-v2+avx+bmi1+bmi2+lzcnt"),
            (CpuLevel::X86_64V4.features(), "-avx512vl", "x86-64-v3+avx512f+avx512dq+avx512cd+avx512bw"),
            (v3, "-ssse3", "x86-64+sse3+cmpxchg16b+popcnt+bmi1+bmi2+lzcnt"),
        ] {
            assert_eq!(from.change(change).unwrap().to_string(), to, "{change}");
        }
        for (change, says) in
            [("avx2", "write `+` or `-`"), ("+avx3", "no CPU feature `avx3`"), ("", "write")]
        {
            let error = v2.change(change).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("sse3, ssse3"), "{error}");
        }
    }

    /// Reference: Intel SDM, volume 2A, tables of CPUID; volume 1, section 13.3 for XCR0.
    #[test]
    fn words_are_those_of_cpuid() {
        assert_eq!(CpuLevel::X86_64V2.features().words(), [0x0098_2201, 0, 0, 0, 0]);
        assert_eq!(CpuLevel::X86_64V3.features().words(), [0x1898_3201, 0x128, 0, 0x20, 6]);
        assert_eq!(CpuLevel::X86_64V4.features().words(), [0x1898_3201, 0xd003_0128, 0, 0x20, 0xe6]);
        assert_eq!(Features::default().change("+avx512vbmi").unwrap().words()[LEAF_7_ECX], 2);
    }
}
