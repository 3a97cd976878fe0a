//! The rate of fused multiply-adds that one thread of this machine has at most.

/// Multiply-adds of vectors of one width, as fast as they go, in registers.
#[derive(Clone, Copy)]
pub struct MultiplyAdds {
    /// Width of the vectors.
    pub bits: usize,
    /// Operations of a run: two for an element of f32.
    pub flops: f64,
    /// Runs them once.
    pub run: fn(),
}

/// Those that this machine has, the narrowest first; none on architectures that this does not know.
pub fn multiply_adds() -> Vec<MultiplyAdds> {
    #[cfg(target_arch = "x86_64")]
    return x86::multiply_adds();
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::MultiplyAdds;

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

    pub fn multiply_adds() -> Vec<MultiplyAdds> {
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
        let flops = |bits: usize| (2 * SUMS * ADDITIONS * (bits / 32)) as f64;
        runs.into_iter().map(|(bits, run)| MultiplyAdds { bits, flops: flops(bits), run }).collect()
    }
}
