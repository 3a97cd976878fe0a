//! For each rule, functions that break it, and the nearest ones that do not.

use super::super::{Access, BinaryOp, Buffer, CompareOp, InstKind, UnaryOp, parse};
use super::*;
use crate::tensor::{Scalar, Tensor};

fn codes(text: &str) -> Vec<&'static str> {
    let function = parse("t", text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&function).err().map_or(Vec::new(), |e| e.errors.iter().map(|e| e.code).collect())
}

#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = codes(text);
    assert_eq!(found, expected, "{text}");
}

/// A function with buffers of many kinds, a check `0 <= y < 3` and the kernels that are given.
fn function(kernels: &str) -> String {
    format!(
        r#"kernels @f {{
  buffer buf0 "x" : f32[4,3] param 0
  buffer buf1 "w" : f32[3,5] variable 0
  buffer buf2 "y" : i32[4] param 1
  buffer buf3 "t" : f32[4,5] temp
  buffer buf4 "m" : f32[4] local
  buffer buf5 "t" : f32[20] alias buf3
  buffer buf6 "mask" : bool[2] constant [true, false]
  buffer buf7 "flag" : bool[4] temp
  check 0 "y" [4] < 3
  {kernels}
}}"#
    )
}

/// One stage of a kernel over `(i0 < 4, i1 < 5)` that stores nothing.
fn stage(lines: &str) -> String {
    function(&format!("kernel k0 (i0 < 4, i1 < 5) {{ stage (i2 < 2) {{ {lines} }} }}"))
}

/// A kernel over `axes` with these lines in its only stage.
fn kernel(name: &str, axes: &str, lines: &str) -> String {
    format!("kernel {name} {axes} {{ stage {{ {lines} }} }}\n")
}

/// Stores 1 at every point.
fn ones(name: &str, axes: &str, store: &str) -> String {
    kernel(name, axes, &format!("s0 = const 1 : f32\nstore s0, {store}"))
}

#[test]
fn a_function_that_keeps_every_rule() {
    let text = function(
        "kernel k0 (i0 < 4) {
          stage {
            fold reduce lanes 4 (i1 < 3) {
              s0 = load buf0[i0, i1] : f32
              acc0 = max s0 : f32
            }
            s0 = acc0 : f32
            store s0, buf4[i0]
          }
          stage (i1 < 5) {
            fold reduce (i2 < 3) {
              s0 = load buf0[i0, i2] : f32
              s1 = load buf1[i2, i1] : f32
              acc0 = dot s0, s1 : f32
            }
            s0 = acc0 : f32
            s1 = load buf4[i0] : f32
            s2 = add s0, s1 : f32
            store s2, buf3[i0, i1]
          }
          schedule { chunks i0 by 3 threads stage 0 strip i1 lanes 4 stage 1 tile rows i0 by 4 cols i1 by 8 lanes 4 broadcast 0 pack }
        }
        kernel k1 (i0 < 5) {
          stage {
            fold scan (i1 < 4) {
              s0 = load buf2[i1] : i32
              s1 = check s0 site 0 at i1 : i32
              s2 = load buf1[s1, i0] : f32
              acc0 = sum s2 : f32
            }
            s0 = acc0 before : f32
            s1 = load buf2[i1] : i32
            s2 = check s1 site 0 at i1 : i32
            store_add s0, buf3[s2, i0]
          }
        }",
    );
    expect(&text, &[]);
}

#[test]
fn k0101_names() {
    let mut f = parse("t", &function("kernel k0 {} kernel k0 {}")).unwrap();
    assert_eq!(verify(&f).unwrap_err().code(), "K0101");
    f.kernels[1].name = "k/1".into();
    assert_eq!(verify(&f).unwrap_err().code(), "K0101");
    f.kernels[1].name = "k1".into();
    assert!(verify(&f).is_ok());
    f.name = "a//b".into();
    assert_eq!(verify(&f).unwrap_err().code(), "K0101");
}

#[test]
fn k0102_and_k0104_buffers() {
    let buffers = |lines: &str| format!("kernels @f {{\n{lines}\n}}");
    expect(&buffers("buffer buf0 \"x\" : bf16[2] param 0"), &["K0102"]);
    expect(&buffers("buffer buf0 \"x\" : f32[2] param 0\nbuffer buf1 \"y\" : f32[2] param 0"), &["K0104"]);
    expect(&buffers("buffer buf0 \"x\" : f32[2] param 0\nbuffer buf1 \"y\" : f32[2] variable 0"), &[]);
    expect(&buffers("buffer buf0 \"r\" : i64[3] random_state"), &["K0104"]);
    expect(&buffers("buffer buf0 \"r\" : i32[2] random_state"), &["K0104"]);
    let alias = |ty: &str, kind: &str, of: &str| {
        buffers(&format!("buffer buf0 \"x\" : f32[2,3] {kind}\nbuffer buf1 \"y\" : {ty} alias {of}"))
    };
    expect(&alias("f32[6]", "temp", "buf0"), &[]);
    expect(&alias("f32[5]", "temp", "buf0"), &["K0104"]);
    expect(&alias("i32[6]", "temp", "buf0"), &["K0104"]);
    expect(&alias("f32[6]", "local", "buf0"), &["K0104"]);
    expect(&alias("f32[6]", "temp", "buf1"), &["K0104"]);
    expect(&alias("f32[6]", "temp", "buf2"), &["K0104"]);
    let pitched =
        |shape: &str, kind: &str| buffers(&format!("buffer buf0 \"x\" : f32{shape} pitch 4 {kind}"));
    for kind in ["variable 0", "temp"] {
        expect(&pitched("[2,3]", kind), &[]);
        expect(&pitched("[2,4]", kind), &[]);
        expect(&pitched("[2,5]", kind), &["K0104"]);
        expect(&pitched("[3]", kind), &["K0104"]);
        expect(&pitched("[]", kind), &["K0104"]);
        expect(&pitched("[1099511627776,1]", kind), &["K0104"]);
    }
    expect(&pitched("[2,3]", "constant [1, 2, 3, 4, 5, 6]"), &[]);
    for kind in ["param 0", "result 0", "local"] {
        assert!(verify(&parse("t", &pitched("[2,3]", kind)).unwrap()).is_err(), "{kind}");
    }
    let two = |first: &str, second: &str| {
        buffers(&format!("buffer buf0 \"x\" : f32[2,3] {first}\nbuffer buf1 \"x\" : f32{second}"))
    };
    expect(&two("pitch 4 temp", "[1,2,3] pitch 4 alias buf0"), &[]);
    expect(&two("pitch 4 temp", "[1,2,3] alias buf0"), &["K0104"]);
    expect(&two("pitch 4 temp", "[3,2] pitch 4 alias buf0"), &["K0104"]);
    expect(&two("pitch 4 variable 0", "[2,3] next 0"), &["K0104"]);
    let mut f = KernelFunction { name: "f".into(), ..KernelFunction::default() };
    let kind = BufferKind::Constant(Tensor::zeros(DType::F32, &[3]));
    f.buffers.push(Buffer { name: "c".into(), dtype: DType::F32, shape: vec![2.into()], pitch: None, kind });
    assert_eq!(verify(&f).unwrap_err().code(), "K0104");
}

#[test]
fn k0103_sizes_and_k0105_bounds() {
    let huge = "1099511627776";
    expect(&format!("kernels @f {{ buffer buf0 \"x\" : f32[{huge}] param 0 }}"), &[]);
    expect(&format!("kernels @f {{ buffer buf0 \"x\" : f32[{huge},2] param 0 }}"), &["K0103"]);
    expect(&format!("kernels @f {{ buffer buf0 \"x\" : f32[{huge},{huge},0] param 0 }}"), &["K0103"]);
    expect(&format!("kernels @f {{ check 0 \"x\" [{huge},{huge},{huge}] < 1 }}"), &["K0103"]);
    expect("kernels @f { check 0 \"x\" [3] < 0 }", &["K0105"]);
    expect(&format!("kernels @f {{ kernel k (i0 < {huge}) {{ stage (i1 < 2) {{}} }} }}"), &["K0103"]);
    expect(&format!("kernels @f {{ kernel k (i0 < {huge}, i1 < 2) {{}} }}"), &["K0103"]);
    let mut f = parse("t", "kernels @f { kernel k { stage {} } }").unwrap();
    f.kernels[0].axes = vec![1.into(); MAX_AXES];
    assert!(verify(&f).is_ok());
    f.kernels[0].stages[0].axes = vec![1.into()];
    assert_eq!(verify(&f).unwrap_err().code(), "K0103");
}

#[test]
fn k0106_order_of_definitions() {
    expect(&stage("s0 = const 1 : f32 s1 = neg s0 : f32"), &[]);
    expect(&stage("s0 = neg s0 : f32"), &["K0106"]);
    expect(&stage("s0 = neg s1 : f32 s1 = const 1 : f32"), &["K0106"]);
    expect(&stage("fold reduce { acc0 = sum s0 : f32 }"), &["K0106"]);
    expect(&stage("fold reduce { s0 = const 1 : f32 acc0 = dot s0, s1 : f32 }"), &["K0106"]);
    expect(&stage("store s0, buf3[i0, i1]"), &["K0106"]);
    expect(&stage("fold scan { } s0 = const 1 : f32 store s0, buf3[i0, s1]"), &["K0106"]);
}

/// The table of types, tried for every operator and every pair of types.
#[test]
fn k0107_types() {
    let held = [DType::F16, DType::BF16];
    let dtypes = || DType::ALL.into_iter().filter(move |d| !held.contains(d));
    let tried = |dtype: DType, result: DType, line: &str| {
        let one = if dtype == DType::Bool { "true" } else { "1" };
        let text = stage(&format!("s0 = const {one} : {dtype} s1 = {line} : {result}"));
        match codes(&text)[..] {
            [] => true,
            ["K0107"] => false,
            ref other => panic!("{other:?}: {text}"),
        }
    };
    for dtype in dtypes() {
        for result in dtypes() {
            let same = dtype == result;
            let number = dtype != DType::Bool;
            for op in UnaryOp::ALL {
                let allowed = match op {
                    UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign => number,
                    UnaryOp::Not => !dtype.is_float(),
                    _ => dtype.is_float(),
                };
                assert_eq!(
                    tried(dtype, result, &format!("{} s0", op.name())),
                    same && allowed,
                    "{op:?} {dtype}"
                );
            }
            for op in BinaryOp::ALL {
                let allowed = match op {
                    BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => !dtype.is_float(),
                    BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith => {
                        matches!(dtype, DType::I32 | DType::I64)
                    }
                    _ => number,
                };
                assert_eq!(
                    tried(dtype, result, &format!("{} s0, s0", op.name())),
                    same && allowed,
                    "{op:?} {dtype}"
                );
            }
            for op in CompareOp::ALL {
                assert_eq!(tried(dtype, result, &format!("{} s0, s0", op.name())), result == DType::Bool);
            }
            assert_eq!(tried(dtype, result, "fma s0, s0, s0"), same && dtype.is_float());
            assert_eq!(tried(dtype, result, "select s0, s0, s0"), same && dtype == DType::Bool);
            assert!(tried(dtype, result, "convert s0"));
            let bits = number && result != DType::Bool && dtype.bytes() == result.bytes();
            assert_eq!(tried(dtype, result, "bitcast s0"), bits);
            assert_eq!(tried(dtype, result, "in_bounds"), result == DType::Bool);
            assert_eq!(tried(dtype, result, "index i0"), matches!(result, DType::I32 | DType::I64));
            assert_eq!(
                tried(dtype, result, "check s0 site 0 at i0"),
                same && matches!(dtype, DType::I32 | DType::I64)
            );
            assert_eq!(
                tried(dtype, result, "philox key 0 seed s0 step s0 element s0 word 3"),
                same && dtype == DType::I64
            );
        }
    }
    expect(
        &stage("s0 = const 1 : i64 s1 = philox key 0 seed s0 step s0 element s0 word 4 : i64"),
        &["K0107"],
    );
    expect(&stage("s0 = const 1 : i64 s1 = const 1 : i32 s2 = add s0, s1 : i64"), &["K0107"]);
    expect(&stage("s0 = const 1 : i64 s1 = const 1 : i32 s2 = eq s0, s1 : bool"), &["K0107"]);
}

#[test]
fn k0108_axes_in_scope() {
    expect(&stage("s0 = index i0 + i1 + i2 : i64"), &[]);
    expect(&stage("s0 = index i3 : i64"), &["K0108"]);
    expect(&stage("fold reduce (i3 < 9) { s0 = index i3 : i64 }"), &[]);
    expect(&stage("fold reduce (i3 < 9) { } s0 = index i3 : i64"), &["K0108"]);
    expect(&stage("fold scan (i3 < 9) { } s0 = index i3 : i64"), &[]);
    expect(&stage("s0 = in_bounds 0 <= i3 < 2 : bool"), &["K0108"]);
    expect(&stage("s0 = load buf6[0] where 0 <= i3 < 2 else false : bool"), &["K0108"]);
    expect(&stage("s0 = index 1152921504606846976*i1 : i64"), &[]);
    expect(&stage("s0 = index 1152921504606846976*i1 + 1 : i64"), &["K0108"]);
    expect(&stage("s0 = index -9223372036854775808*i0 - 9223372036854775808 : i64"), &["K0108"]);
    expect(&function("kernel k (i0 < 1) { stage { s0 = index 9223372036854775807*i0 : i64 } }"), &["K0108"]);
}

#[test]
fn k0109_index_fits_its_type() {
    expect(&stage("s0 = index 536870911*i1 : i32"), &[]);
    expect(&stage("s0 = index 536870912*i1 : i32"), &["K0109"]);
    expect(&stage("s0 = index -2147483648 : i32"), &[]);
    expect(&stage("s0 = index -2147483649 : i32"), &["K0109"]);
}

#[test]
fn k0110_accumulators() {
    let with = |fold: &str, line: &str| {
        stage(&format!("fold {fold} (i3 < 9) {{ s0 = const 1 : f32 acc0 = sum s0 : f32 }} {line}"))
    };
    expect(&with("reduce", "s0 = acc0 : f32"), &[]);
    expect(&with("scan", "s0 = acc0 before : f32"), &[]);
    expect(&with("reduce", "s0 = acc0 before : f32"), &["K0110"]);
    expect(&with("reduce", "s0 = acc1 : f32"), &["K0110"]);
    expect(&with("reduce", "s0 = acc0 : f64"), &["K0110"]);
    expect(&stage("s0 = acc0 : f32"), &["K0110"]);
    expect(&stage("fold scan { s0 = const 1 : f32 s1 = acc0 : f32 acc0 = sum s0 : f32 }"), &["K0110"]);
}

#[test]
fn k0111_folds() {
    let fold = |how: &str, of: &str, acc: &str| {
        let one = if of == "bool" { "true" } else { "1" };
        stage(&format!("fold {how} (i3 < 9) {{ s0 = const {one} : {of} acc0 = {acc} }}"))
    };
    expect(&fold("reduce lanes 8", "f32", "sum s0 : f32"), &[]);
    expect(&fold("reduce lanes 0", "f32", "sum s0 : f32"), &["K0111"]);
    expect(&fold("reduce lanes 6", "f32", "sum s0 : f32"), &["K0111"]);
    expect(&fold("scan lanes 2", "f32", "sum s0 : f32"), &["K0111"]);
    for of in ["f32", "f64", "i32", "i64", "u8", "bool"] {
        let expected = |holds: bool| if holds { &[][..] } else { &["K0111"] };
        for op in ["sum", "prod"] {
            expect(&fold("reduce", of, &format!("{op} s0 : {of}")), &[]);
        }
        for op in ["max", "min"] {
            expect(&fold("reduce", of, &format!("{op} s0 : {of}")), expected(of != "bool"));
        }
        for op in ["argmax", "argmin"] {
            expect(&fold("reduce", of, &format!("{op} s0 : i32")), expected(of != "bool"));
            expect(&fold("reduce", of, &format!("{op} s0 : u8")), &["K0111"]);
        }
        expect(&fold("reduce", of, &format!("dot s0, s0 : {of}")), expected(of.starts_with('f')));
    }
    expect(&fold("reduce", "f32", "sum s0 : f64"), &["K0111"]);
    let far = |dtype: &str| {
        stage(&format!("fold reduce (i3 < 3000000000) {{ s0 = const 1 : f32 acc0 = argmax s0 : {dtype} }}"))
    };
    expect(&far("i32"), &["K0111"]);
    expect(&far("i64"), &[]);
}

#[test]
fn k0112_checks() {
    let check = |line: &str| stage(&format!("s0 = const 1 : i32 s1 = check s0 {line} : i32"));
    expect(&check("site 0 at i0"), &[]);
    expect(&check("site 1 at i0"), &["K0112"]);
    expect(&check("site 0 at i1"), &["K0112"]);
    expect(&check("site 0 at i0 - 1"), &["K0112"]);
    let bound = |bound: u64, dtype: &str| {
        format!(
            "kernels @f {{ check 0 \"y\" [] < {bound}\n kernel k {{ stage {{ s0 = const 1 : {dtype} s1 = check s0 site 0 at 0 : {dtype} }} }} }}"
        )
    };
    expect(&bound(1 << 31, "i32"), &[]);
    expect(&bound((1 << 31) + 1, "i32"), &["K0112"]);
    expect(&bound((1 << 31) + 1, "i64"), &[]);
}

#[test]
fn k0113_and_k0114_accesses() {
    let load = |access: &str| stage(&format!("s0 = load {access} : f32"));
    expect(&load("buf9[i0]"), &["K0113"]);
    expect(&load("buf2[i0]"), &["K0113"]);
    expect(&load("buf0[i0]"), &["K0113"]);
    expect(&load("buf0[i0, i2]"), &[]);
    expect(&load("buf0[i0, i1]"), &["K0114"]);
    expect(&load("buf0[i0, i1 - 1]"), &["K0114"]);
    expect(&load("buf0[i0, i1] where 0 <= i1 < 3 else 0"), &[]);
    expect(&load("buf0[i0, i1] where 0 <= i1 < 4 else 0"), &["K0114"]);
    expect(&load("buf0[i0, i1 - 2] where 0 <= i1 - 2 < 3 else 0"), &[]);
    expect(&load("buf0[i0, i1 - 2] where 0 <= -i1 + 4 < 3 else 0"), &[]);
    expect(&load("buf0[i0, 2*i1 - 4] where 0 <= 2*i1 - 3 < 4 else 0"), &[]);
    expect(&load("buf0[i0, i1 + i2 - 1] where 0 <= i1 + i2 - 1 < 3 else 0"), &[]);
    expect(&load("buf0[i0, i1 + i2 - 1] where 0 <= i1 + 2*i2 - 1 < 3 else 0"), &["K0114"]);
    expect(&load("buf0[i0, i1 + 100] where 0 <= i1 < 0 else 0"), &[]);
    expect(&load("buf0[i0, 100] where 0 <= 5 < 3 else 0"), &[]);
    expect(&load("buf0[i0, 576460752303423488*i1] where 0 <= i1 < 1 else 0"), &[]);
    expect(&load("buf0[1152921504606846976*i1, 0] where 0 <= i1 < 1 else 0"), &["K0113"]);
    // Where there is no point, nothing is out of bounds.
    expect(&function("kernel k (i0 < 0) { stage { s0 = load buf0[i0 + 9, 9] : f32 } }"), &[]);
    let mut f = parse("t", &load("buf0[i0, i2]")).unwrap();
    let body = &mut f.kernels[0].stages[0].body;
    let inst = body.insts.values_mut().next().unwrap();
    if let InstKind::Load(access) = &mut inst.kind {
        access.fill = Scalar::F64(0.0);
    }
    assert_eq!(verify(&f).unwrap_err().code(), "K0113");
}

#[test]
fn k0115_indirect_coordinates() {
    let gather = |load: &str| {
        stage(&format!("s0 = load buf2[i0] : i32 s1 = check s0 site 0 at i0 : i32 s2 = load {load} : f32"))
    };
    expect(&gather("buf1[s1, i1]"), &[]);
    expect(&gather("buf1[i2 + s1, i1]"), &["K0115"]);
    expect(&gather("buf1[i2 + s1, i1] where 0 <= i2 < 1 else 0"), &[]);
    expect(&gather("buf1[s1 - 1, i1]"), &["K0115"]);
    expect(&gather("buf1[s0, i1]"), &["K0115"]);
    expect(&gather("buf1[s2, i1]"), &["K0106"]);
    let clamped = |index: &str| {
        stage(&format!(
            "s0 = load buf2[i0] : i32 s1 = const 2 : i32 s2 = const 0 : i32 s3 = const -1 : i32 {index} s6 = load buf1[s5, i1] : f32"
        ))
    };
    expect(&clamped("s4 = min s0, s1 : i32 s5 = max s4, s2 : i32"), &[]);
    expect(&clamped("s4 = min s0, s3 : i32 s5 = max s4, s2 : i32"), &[]);
    expect(&clamped("s4 = min s0, s1 : i32 s5 = max s4, s3 : i32"), &["K0115"]);
    expect(&clamped("s4 = max s0, s2 : i32 s5 = min s4, s1 : i32"), &["K0115"]);
    expect(&clamped("s4 = min s0, s0 : i32 s5 = max s4, s2 : i32"), &["K0115"]);
    expect(&clamped("s4 = const 3 : i32 s5 = max s4, s2 : i32"), &["K0115"]);
    let large = clamped("s4 = min s0, s1 : i32 s5 = max s4, s2 : i32").replace("const 2", "const 3");
    expect(&large, &["K0115"]);
    let mut f = parse("t", &gather("buf1[s1, i1]")).unwrap();
    for inst in f.kernels[0].stages[0].body.insts.values_mut() {
        if let InstKind::Load(Access { indirect: Some(indirect), .. }) = &mut inst.kind {
            indirect.axis = 2;
        }
    }
    assert_eq!(verify(&f).unwrap_err().code(), "K0115");
}

#[test]
fn k0116_and_k0117_stores() {
    let all = |axes: &str, store: &str| function(&ones("k0", axes, store));
    expect(&all("(i0 < 4, i1 < 5)", "buf3[i0, i1]"), &[]);
    expect(&all("(i0 < 5, i1 < 4)", "buf3[i1, i0]"), &[]);
    expect(&all("(i0 < 4, i1 < 5)", "buf3[-i0 + 3, -i1 + 4]"), &[]);
    expect(&all("(i0 < 4, i1 < 2, i2 < 2)", "buf3[i0, i1 + 2*i2]"), &["K0118"]);
    expect(&all("(i0 < 4, i1 < 5, i2 < 2)", "buf3[i0, i1]"), &["K0117"]);
    expect(&all("(i0 < 4, i1 < 5, i2 < 1)", "buf3[i0, i1]"), &[]);
    expect(&all("(i0 < 4, i1 < 2, i2 < 2)", "buf3[i0, i1 + i2]"), &["K0117"]);
    expect(&all("(i0 < 4)", "buf0[i0, 0]"), &["K0116"]);
    expect(&all("(i0 < 5)", "buf1[0, i0]"), &["K0116"]);
    expect(&all("(i0 < 20)", "buf5[i0]"), &["K0116"]);
    let update = |stage: &str| {
        let defined = ones("k0", "(i0 < 4, i1 < 5)", "buf3[i0, i1]");
        let index = "s0 = const 1 : f32 s1 = const 2 : i32 s2 = check s1 site 0 at 0 : i32";
        function(&format!("{defined} kernel k1 (i0 < 5) {{ stage {} }} }}", stage.replace("INDEX", index)))
    };
    expect(&update("{ fold scan (i1 < 9) { } INDEX store_add s0, buf3[s2, i0]"), &[]);
    expect(&update("{ fold scan (i1 < 9) { } INDEX store s0, buf3[s2, i0]"), &[]);
    expect(&update("{ fold scan (i1 < 3) { } INDEX store_add s0, buf3[i1, i0]"), &[]);
    expect(&update("{ fold reduce (i1 < 9) { } INDEX store_add s0, buf3[s2, i0]"), &["K0116"]);
    expect(&update("{ INDEX store s0, buf3[s2, i0]"), &["K0116"]);
    expect(&update("{ fold scan (i1 < 5) { } INDEX store_add s0, buf3[s2, i1]"), &["K0117"]);
    expect(&update("(i1 < 2) { fold scan (i2 < 9) { } INDEX store_add s0, buf3[s2, i0]"), &["K0117"]);
    let flag = "kernel k0 (i0 < 4) { stage { fold scan { } s0 = const true : bool store_add s0, buf7[i0] } }";
    expect(&function(flag), &["K0116"]);
}

#[test]
fn k0118_definitions() {
    let result = |lines: &str| format!("kernels @f {{ buffer buf0 \"r\" : f32[6] result 0\n{lines} }}");
    expect(&result(""), &["K0118"]);
    expect(&result(&ones("k0", "(i0 < 6)", "buf0[i0]")), &[]);
    expect(&result(&ones("k0", "(i0 < 5)", "buf0[i0]")), &["K0118"]);
    let two = |a: (&str, &str), b: (&str, &str)| result(&(ones("k0", a.0, a.1) + &ones("k1", b.0, b.1)));
    expect(&two(("(i0 < 4)", "buf0[i0]"), ("(i0 < 2)", "buf0[i0 + 4]")), &[]);
    expect(&two(("(i0 < 4)", "buf0[i0]"), ("(i0 < 2)", "buf0[i0 + 3]")), &["K0118"]);
    expect(&two(("(i0 < 3)", "buf0[2*i0]"), ("(i0 < 3)", "buf0[-2*i0 + 5]")), &[]);
    expect(&two(("(i0 < 3)", "buf0[2*i0]"), ("(i0 < 3)", "buf0[2*i0]")), &["K0118"]);
    expect(&two(("(i0 < 6)", "buf0[i0]"), ("(i0 < 0)", "buf0[i0]")), &[]);
    expect(&function(&kernel("k0", "", "s0 = load buf3[0, 0] : f32")), &["K0118"]);
    let empty = "kernels @f { buffer buf0 \"r\" : f32[0] result 0\n kernel k (i0 < 0) { stage { s0 = const 1 : f32 store s0, buf0[i0] } } }";
    expect(empty, &[]);
}

#[test]
fn k0118_limits_the_stores_of_a_buffer() {
    let many = |n: usize| {
        let stores: String = (0..n).map(|i| format!("store s0, buf0[{i}]\n")).collect();
        format!(
            "kernels @f {{ buffer buf0 \"r\" : f32[{n}] result 0\n kernel k {{ stage {{ s0 = const 1 : f32\n{stores} }} }} }}"
        )
    };
    expect(&many(MAX_STORES), &[]);
    expect(&many(MAX_STORES + 1), &["K0118"]);
}

#[test]
fn k0119_order() {
    let define = ones("k0", "(i0 < 4, i1 < 5)", "buf3[i0, i1]");
    let load = kernel("k1", "(i0 < 4)", "s0 = load buf3[i0, 0] : f32");
    expect(&function(&format!("{define}{load}")), &[]);
    expect(&function(&format!("{load}{define}")), &["K0119"]);
    let aliased = kernel("k1", "(i0 < 20)", "s0 = load buf5[i0] : f32");
    expect(&function(&format!("{define}{aliased}")), &[]);
    expect(&function(&format!("{aliased}{define}")), &["K0119"]);
    let update = kernel("k2", "(i0 < 4)", "fold scan { } s0 = const 1 : f32 store_add s0, buf3[i0, 0]");
    expect(&function(&format!("{define}{update}{load}")), &[]);
    expect(&function(&format!("{update}{define}")), &["K0119"]);
    let same_stage = kernel("k0", "(i0 < 4, i1 < 5)", "s0 = load buf3[i0, i1] : f32 store s0, buf3[i0, i1]");
    expect(&function(&same_stage), &["K0119"]);
    let own_update =
        kernel("k1", "(i0 < 4)", "fold scan { } s0 = load buf3[i0, 0] : f32 store_add s0, buf3[i0, 0]");
    expect(&function(&format!("{define}{own_update}")), &["K0119"]);
}

#[test]
fn k0120_points_touch_what_is_their_own() {
    let shared = |load: &str| {
        function(&format!(
            "kernel k0 (i0 < 4) {{
              stage (i1 < 5) {{ s0 = const 1 : f32 store s0, buf3[i0, i1] }}
              stage (i1 < 5) {{ s0 = load {load} : f32 }}
            }}"
        ))
    };
    expect(&shared("buf3[i0, i1]"), &[]);
    expect(&shared("buf3[i0, -i1 + 4]"), &[]);
    expect(&shared("buf3[-i0 + 3, i1]"), &["K0120"]);
    expect(&shared("buf3[0, i1]"), &["K0120"]);
    expect(&shared("buf5[i1]"), &["K0120"]);
    let one_point = "kernel k0 {
          stage (i0 < 4, i1 < 5) { s0 = const 1 : f32 store s0, buf3[i0, i1] }
          stage (i0 < 20) { s0 = load buf5[i0] : f32 }
        }";
    expect(&function(one_point), &[]);
    // The index as a digit of a coordinate.
    let digit = |load: &str| {
        function(&format!(
            "kernel k0 (i0 < 2) {{
              stage (i1 < 2, i2 < 5) {{ s0 = const 1 : f32 store s0, buf3[i0 + 2*i1, i2] }}
              stage (i1 < 2, i2 < 5) {{ s0 = load {load} : f32 }}
            }}"
        ))
    };
    for load in ["buf3[i0 + 2*i1, i2]", "buf3[i0, i2]", "buf3[i0 - 2*i1 + 2, i2]"] {
        let errors: &[&str] = if load.contains("+ 2,") { &["K0120"] } else { &[] };
        expect(&digit(load), errors);
    }
    for load in ["buf3[2*i0 + i1, i2]", "buf3[i0 + i1, i2]", "buf3[i0 + 1, i2]", "buf3[i1, i2]"] {
        expect(&digit(load), &["K0120"]);
    }
}

#[test]
fn k0121_locals_stay_in_their_kernel() {
    let define = ones("k0", "(i0 < 4)", "buf4[i0]");
    expect(&function(&define), &[]);
    expect(&function(&(define + &kernel("k1", "(i0 < 4)", "s0 = load buf4[i0] : f32"))), &["K0121"]);
}

#[test]
fn k0122_to_k0124_schedules() {
    let scheduled = |lanes: usize, how: &str| {
        function(&format!(
            "kernel k0 (i0 < 4, i1 < 5) {{
              stage {{
                fold reduce lanes {lanes} (i2 < 1, i3 < 3) {{
                  s0 = load buf0[i0, i3] : f32
                  s1 = load buf1[i3, i1] : f32
                  acc0 = dot s0, s1 : f32
                }}
                s0 = acc0 : f32
                store s0, buf3[i0, i1]
              }}
              schedule {{ {how} }}
            }}"
        ))
    };
    expect(&scheduled(1, "chunks i1 by 1 stage 0 scalar"), &[]);
    expect(&scheduled(1, "chunks i2 by 1"), &["K0122"]);
    expect(&scheduled(1, "chunks i0 by 0"), &["K0122"]);
    expect(&scheduled(1, "chunks i0 by 2 each i1 stage 0 scalar"), &[]);
    expect(&scheduled(1, "chunks i0 by 2 each i0"), &["K0122"]);
    expect(&scheduled(1, "each i1 each i1"), &["K0122"]);
    expect(&scheduled(1, "each i2"), &["K0122"]);
    expect(&scheduled(1, "stage 0 scalar stage 1 scalar"), &["K0122"]);
    expect(&scheduled(1, "stage 0 strip i1 lanes 8"), &[]);
    expect(&scheduled(8, "stage 0 strip i3 lanes 4"), &[]);
    expect(&scheduled(4, "stage 0 strip i3 lanes 8"), &["K0123"]);
    expect(&scheduled(8, "stage 0 strip i2 lanes 8"), &["K0123"]);
    expect(&scheduled(8, "stage 0 strip i4 lanes 8"), &["K0123"]);
    expect(&scheduled(8, "stage 0 strip i1 lanes 6"), &["K0123"]);
    let tile = |lanes: usize, rows: &str, cols: &str, rest: &str| {
        scheduled(lanes, &format!("stage 0 tile rows {rows} cols {cols} lanes {rest}"))
    };
    expect(&tile(1, "i0 by 3", "i1 by 8", "4 broadcast 0"), &[]);
    expect(&tile(1, "i1 by 3", "i0 by 8", "4 broadcast 1 pack"), &[]);
    for broken in [
        tile(4, "i0 by 3", "i1 by 8", "4 broadcast 0"),
        tile(1, "i0 by 3", "i1 by 8", "4 broadcast 1"),
        tile(1, "i0 by 3", "i1 by 8", "4 broadcast 2"),
        tile(1, "i0 by 3", "i0 by 8", "4 broadcast 0"),
        tile(1, "i0 by 3", "i3 by 8", "4 broadcast 0"),
        tile(1, "i0 by 0", "i1 by 8", "4 broadcast 0"),
        tile(1, "i0 by 3", "i1 by 0", "4 broadcast 0"),
        tile(1, "i0 by 3", "i1 by 6", "4 broadcast 0"),
        tile(1, "i0 by 3", "i1 by 6", "3 broadcast 0"),
        scheduled(1, "stage 0 tile rows i0 by 3 cols i1 by 8 lanes 4 broadcast 0")
            .replace("dot s0, s1", "sum s0"),
        scheduled(1, "stage 0 tile rows i0 by 3 cols i1 by 8 lanes 4 broadcast 0")
            .replace("load buf1[i3, i1]", "const 1"),
    ] {
        expect(&broken, &["K0124"]);
    }
}

#[test]
fn errors_name_the_line_and_are_limited() {
    let rendered = verify(&parse("t", &stage("s0 = neg s3 : f32")).unwrap()).unwrap_err().to_string();
    assert!(rendered.contains("in stage 0 of kernel `k0`: `s0 = neg s3 : f32`"), "{rendered}");
    let lines: String = (0..MAX_ERRORS * 2).map(|n| format!("s{n} = neg s{} : f32\n", n + 1)).collect();
    assert_eq!(codes(&stage(&lines)).len(), MAX_ERRORS);
}

/// Copies `x` to `y`, both of `[2*n,3]`, with these texts in place of others.
fn range(changes: &[(&str, &str)]) -> String {
    let text = r#"kernels @f (n <= 8) {
  buffer buf0 "x" : f32[2*n,3] param 0
  buffer buf1 "t" : f32[3,2*n] temp
  buffer buf2 "y" : f32[2*n,3] result 0
  buffer buf3 "s" : f32[] result 1
  buffer buf4 "t" : f32[6*n] alias buf0
  kernel k0 (i0 < 2*n, i1 < 3) {
    stage {
      s0 = load buf0[i0, i1] : f32
      store s0, buf1[i1, i0]
    }
  }
  kernel k1 (i0 < 2*n, i1 < 3) {
    stage {
      s0 = load buf1[i1, i0] : f32
      store s0, buf2[i0, i1]
    }
  }
  kernel k2 {
    stage {
      fold reduce (i0 < 2*n, i1 < 3) {
        s0 = load buf0[i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf3[]
    }
  }
}"#;
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn k0125_extents_that_depend_on_the_batch_size() {
    expect(&range(&[]), &[]);
    expect(&range(&[("fold reduce", "fold reduce lanes 4")]), &[]);
    for changes in [
        // Elements of parameters, results and aliases lie as the caller has them.
        &[("\"x\" : f32[2*n,3]", "\"x\" : f32[3,2*n]"), ("buf0[i0, i1]", "buf0[i1, i0]")][..],
        &[("\"y\" : f32[2*n,3]", "\"y\" : f32[3,2*n]"), ("buf2[i0, i1]", "buf2[i1, i0]")],
        &[("f32[6*n] alias buf0", "f32[3,2*n] alias buf0")],
        &[("f32[6*n] alias buf0", "f32[6*n] alias buf1")],
        &[("\"x\" : f32[2*n,3] param 0", "\"x\" : f32[2*n,3] variable 0")],
        &[
            ("fold reduce (i0 < 2*n, i1 < 3)", "fold reduce lanes 4 (i0 < 3, i1 < 2*n)"),
            ("buf0[i0, i1] : f32\n        acc", "buf0[i1, i0] : f32\n        acc"),
        ],
        &[
            ("fold reduce (i0 < 2*n, i1 < 3)", "fold reduce (i0 < 3, i1 < 2*n)"),
            ("buf0[i0, i1] : f32\n        acc0 = sum s0", "buf0[i1, i0] : f32\n        acc0 = argmax s0"),
        ],
        &[("n <= 8", "n <= 0")],
    ] {
        expect(&range(changes), &["K0125"]);
    }
    // What holds for the largest batch size must hold for every one.
    expect(&range(&[("kernel k1 (i0 < 2*n", "kernel k1 (i0 < 16")]), &["K0114", "K0114"]);
    expect(&range(&[("kernel k0 (i0 < 2*n", "kernel k0 (i0 < 16")]), &["K0114", "K0114"]);
    let mut f = parse("t", &range(&[])).unwrap();
    f.largest = Some(9);
    assert_eq!(verify(&f).unwrap_err().code(), "K0125");
}
