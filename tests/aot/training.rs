//! Training from C.

use bessemer::prelude::*;
use ndarray::{Array1, Array2};

use crate::support::*;

/// What `c/train.c` prints, as the compiler in this process has it.
fn expected(level: &str, steps: usize) -> String {
    let module = load(mnist()).unwrap();
    let session = Session::builder(&module).target_cpu(level).threads(1).build().unwrap();
    session.init(7).unwrap();
    let mut step = session.entry("train_step").unwrap();
    let mut state = 42u64;
    let mut unit = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    };
    let mut text = String::new();
    for _ in 0..steps {
        let x = Array2::from_shape_simple_fn((100, 784), &mut unit);
        let y = Array1::from_shape_simple_fn(100, || (unit() * 10.0) as i32);
        step.run(&[("x", (&x).into()), ("y", (&y).into())]).unwrap();
        text += &format!("{:08x}\n", step.scalar::<f32>("loss").unwrap().to_bits());
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for name in ["hidden1/kernel", "hidden1/bias", "logits/kernel", "logits/bias"] {
        for byte in session.variable(name).unwrap().to_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    text + &format!("{hash:016x}\n")
}

#[test]
fn losses_from_c_have_the_bits_of_the_compiler_in_this_process() {
    for level in ["x86-64-v2", "x86-64-v3", "native"] {
        let folder = folder(&format!("training-{level}"));
        let prefix = folder.join("mnist");
        compile(&mnist(), &["-o", prefix.to_str().unwrap(), "--batch", "100", "--target-cpu", level, "-q"]);
        let program = build(&folder, "mnist", "train");
        assert_eq!(run(program, [""; 0]), expected(level, 12), "{level}");
    }
}
