mod interpreter;
mod programs;
mod words;

use super::Level;

/// The levels that this machine can run.
fn levels() -> Vec<Level> {
    let mut levels = Vec::new();
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        levels.push(Level::Avx2);
    }
    let has_all = std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512cd")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl");
    if has_all {
        levels.push(Level::Avx512);
    }
    levels
}
