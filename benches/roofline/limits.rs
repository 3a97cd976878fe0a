//! What one thread of this machine can do at most.

use std::hint::black_box;
use std::time::Duration;

use crate::call::times;

/// Two blocks of memory, one to be copied to the other.
pub struct Copy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copy {
    /// Blocks that have `bytes` bytes together, of which a copy reads one half and writes the other.
    pub fn new(bytes: usize) -> Copy {
        Copy { from: vec![1; bytes / 2], to: vec![0; bytes / 2] }
    }

    /// Copies once.
    pub fn run(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&self.to);
    }
}

/// Measured rates of fused multiply-adds by vector width in bits, the narrowest first: two operations an element.
/// Empty on machines without the instruction, and on architectures that this does not know.
pub fn fma_peaks() -> Vec<(usize, f64)> {
    #[cfg(target_arch = "x86_64")]
    return x86::peaks();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::*;

    /// Independent sums: at least the latency (4 cycles) times the instructions started a cycle (2).
    const SUMS: usize = 12;

    /// How often every sum is added to in a run.
    const ADDITIONS: usize = 10_000;

    macro_rules! multiply_add {
        ($name:ident, $feature:literal, $splat:ident, $fma:ident) => {
            #[target_feature(enable = $feature)]
            fn $name() {
                let (a, b) = (black_box($splat(0.5)), black_box($splat(1.0)));
                let mut sums = [$splat(0.0); SUMS];
                for _ in 0..ADDITIONS {
                    for sum in &mut sums {
                        *sum = $fma(*sum, a, b);
                    }
                }
                black_box(sums);
            }
        };
    }

    multiply_add!(of_128, "fma", _mm_set1_ps, _mm_fmadd_ps);
    multiply_add!(of_256, "fma", _mm256_set1_ps, _mm256_fmadd_ps);
    multiply_add!(of_512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);

    pub fn peaks() -> Vec<(usize, f64)> {
        let mut runs: Vec<(usize, fn())> = Vec::new();
        if is_x86_feature_detected!("fma") {
            // SAFETY: the machine has the instructions.
            runs.push((128, || unsafe { of_128() }));
            // SAFETY: the machine has the instructions.
            runs.push((256, || unsafe { of_256() }));
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has the instructions.
            runs.push((512, || unsafe { of_512() }));
        }
        let rate = |(bits, run): (usize, fn())| {
            let [seconds] = times(21, Duration::from_millis(2), [&mut { run }]);
            (bits, (2 * SUMS * ADDITIONS * (bits / 32)) as f64 / seconds[0])
        };
        runs.into_iter().map(rate).collect()
    }
}
