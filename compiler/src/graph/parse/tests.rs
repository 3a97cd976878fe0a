use super::Module;
use crate::diagnostic::Place;
use crate::graph::verify::{verify, verify_function};
use crate::graph::{Argument, Builder, Call, NodeId, Train, ValueDef, ValueId, Variable};
use crate::ops::sample::Sampler;
use crate::ops::{self, Op};
use crate::tensor::Tensor;
use crate::types::{DType, Extent, TensorType};

fn parse(text: &str) -> Module {
    Module::parse("t.bsm", text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn codes(text: &str) -> Vec<&'static str> {
    let errors = Module::parse("t.bsm", text).map(|_| ()).expect_err("the text has an error");
    errors.errors.iter().map(|e| e.code).collect()
}

/// Prints and parses a module; both must agree, and printing must change nothing more.
fn round_trip(module: &Module) -> String {
    let text = module.to_string();
    let parsed = parse(&text);
    assert!(parsed.is_alike(module), "{text}\nwas read as\n{parsed}");
    assert_eq!(parsed.to_string(), text);
    text
}

const MNIST: &str = r#"module @mnist

var @w : f32[784,10] = glorot_uniform(seed = 1)
var @b : f32[10] = zeros
var @emb : f32[1000,64] = file("weights.safetensors", "emb.weight") {trainable = false}

func @loss(%x: f32[N,784], %y: i32[N]) -> (loss: f32[], logits: f32[N,10]) {
  %0 = read @w : f32[784,10]
  %1 = read @b : f32[10]
  %dense/z = matmul %x, %0 : f32[N,10]
  %2 = broadcast %1 {shape=[N,10]} : f32[N,10]
  %3 = add %dense/z, %2 : f32[N,10]
  %4 = reduce_sum %3 {axes=[0,1]} : f32[]
  %5 = matmul %3, %0 {transpose_b=true} : f32[N,784]
  assign @b, %1
  return %4, %3
}

func @nothing() {
  return
}

train @train_step(%lr: f32[]) = minimize @loss over (@w, @b) with adam(lr = %lr, decay_over = (@w)), clip_norm(1)
train @plain() = minimize @loss with sgd(lr = cosine(0.1, steps = 1000), nesterov = true)
"#;

#[test]
fn canonical_text_prints_as_it_is() {
    assert_eq!(parse(MNIST).to_string(), MNIST);
}

#[test]
fn what_may_be_left_out_or_written_otherwise() {
    let module = parse(
        "func @f(%x: f32[4 * N,2,],) -> f32[2] { ; comment\n %7 = add %x,\n  %x // comment\n\
         %a = reduce_sum %7 {keep=false, axes=[0]}\n %03 = constant {dtype=f32, shape=[], value=1}\n return %a}",
    );
    let text = "func @f(%x: f32[4*N,2]) -> f32[2] {\n  %0 = add %x, %x : f32[4*N,2]\n  \
                %a = reduce_sum %0 {axes=[0]} : f32[2]\n  \
                %1 = constant {dtype=f32, shape=[], value=1.0} : f32[]\n  return %a\n}\n";
    assert_eq!(module.to_string(), text);
    let results = parse("func @f(%x: f32[]) -> (f32[], y: f32[]) {\n return %x, %x\n}").to_string();
    assert!(results.contains("-> (out0: f32[], y: f32[]) {"), "{results}");
    assert_eq!(parse("").to_string(), "");
}

#[test]
fn declarations_may_stand_in_any_order() {
    let module = parse(
        "train @t() = minimize @f with sgd\nfunc @f() -> f32[] {\n %0 = read @w\n return %0\n}\nvar @w : f32[] = zeros",
    );
    assert!(module.to_string().starts_with("var @w : f32[] = zeros\n\nfunc @f() -> f32[] {\n"));
}

#[test]
fn everything_has_its_place() {
    let module = parse(MNIST);
    let at = |place: &Place| match place {
        Place::Text(range) => &MNIST[range.clone()],
        other => panic!("{other:?} is no place in the text"),
    };
    for variable in module.variables.values() {
        assert_eq!(at(&variable.place), format!("@{}", variable.name));
        assert_eq!(at(&variable.init.place), variable.init.name);
    }
    for function in module.functions.values() {
        assert_eq!(at(&function.place), format!("@{}", function.name));
        let names = function.value_names();
        for (id, value) in &function.values {
            assert_eq!(at(&value.place), format!("%{}", names[id]));
        }
        for node in function.nodes.values() {
            assert_eq!(at(&node.place), node.op.name());
        }
        for result in &function.results {
            assert_eq!(at(&result.place), format!("%{}", names[result.value]));
        }
        for assign in &function.assigns {
            assert_eq!(at(&assign.place), format!("@{}", assign.variable));
        }
    }
    for train in &module.trains {
        assert_eq!(at(&train.place), format!("@{}", train.name));
        for call in &train.with {
            assert_eq!(at(&call.place), call.name);
        }
    }
}

#[test]
fn built_modules_round_trip() {
    let builder = Builder::new("built");
    builder.function("f", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 3.into()]);
        let sum = f.scope("layer", || (x + x).named("sum"));
        // A placeholder after a node is numbered otherwise once it is parsed.
        let y = f.placeholder("y", DType::F32, [Extent::N, 3.into()]);
        let w = f.declare(
            "w",
            Variable {
                name: String::new(),
                ty: TensorType::new(DType::F64, [2, 0]),
                init: Call::word("file").arg("a \"b\"\n\\é.safetensors").with("x", f64::NAN).with("y", -0.0),
                trainable: false,
                place: Place::Unknown,
            },
        );
        f.assign("w", w + w);
        f.result("out", sum + y);
    });
    let step =
        Train::minimize("t", "loss", Call::word("adam").with("lr", 1e-3).arg(1e300).with("b", f64::INFINITY));
    builder.function("loss", |f| f.result("l", f.scalar(DType::F32, 0.5)));
    builder.train(step.param("lr").with(Call::word("clip").arg(Argument::Variables(Vec::new()))));
    let module = builder.finish().unwrap();
    let text = round_trip(&module);
    assert!(text.contains("%layer/sum = add %x, %x : f32[N,3]"), "{text}");
}

/// Parameters `a0`, `a1`, … of the types of the operands, and one node.
fn module_of(op: &Op, operands: &[Tensor]) -> Module {
    let builder = Builder::new("sample");
    builder.function("f", |f| {
        f.variable("v", [2, 3], Call::word("zeros"));
        let operands: Vec<_> = operands
            .iter()
            .enumerate()
            .map(|(i, t)| f.placeholder(&format!("a{i}"), t.dtype(), t.shape()))
            .collect();
        for (i, value) in f.add_many(op.clone(), &operands).into_iter().enumerate() {
            f.result(&format!("r{i}"), value);
        }
    });
    builder.finish().unwrap_or_else(|e| panic!("{op:?}: {e}"))
}

#[test]
fn every_op_round_trips() {
    for name in Op::NAMES {
        let cases = Op::samples(name, &mut Sampler::new(1));
        assert!(!cases.is_empty(), "`{name}` has no samples");
        for case in cases {
            round_trip(&module_of(&case.op, &case.operands));
        }
    }
}

#[test]
fn numbers_and_names_at_the_limits() {
    let text = "func @f(%x: f32[1099511627776,0]) -> f32[1099511627776,0] {\n  return %x\n}\n";
    assert_eq!(parse(text).to_string(), text);
    let with = |ty: &str| format!("func @f(%x: {ty}) {{\n return\n}}");
    assert_eq!(codes(&with("f32[1099511627777,0]")), ["E0221"]);
    assert_eq!(codes(&with("f32[4294967296,4294967296]")), ["E0221"]);
    assert_eq!(codes(&with("f32[18446744073709551616]")), ["E0102"]);
    assert_eq!(codes(&with(&format!("f32[{}1]", "1,".repeat(32)))), ["E0221"]);
    let seed = |n: &str| format!("var @w : f32[] = u(seed = {n})");
    assert_eq!(parse(&seed("9007199254740992")).to_string(), format!("{}\n", seed("9007199254740992")));
    assert_eq!(codes(&seed("9007199254740993")), ["E0102"]);
    assert_eq!(codes(&seed("18446744073709551615")), ["E0102"]);
}

#[test]
fn one_parse_collects_several_errors() {
    let text = "var @w : f31[2] = zeros\nfunc @f(%x: f32[N]) -> f32[N] {\n  %0 = add %x %x\n  %1 = add %x, %x\n  \
                return %1,\n}\ntrain @t() = maximize @f\n";
    assert_eq!(codes(text), ["E0106", "E0101", "E0101", "E0101"]);
    let text = "func @f(%x: f32[N], %y: i32[N]) -> f32[N] {\n  %0 = ad %x, %x\n  %1 = add %x, %0\n  \
                %2 = add %x, %y\n  %3 = add %2, %nope\n  return %x\n}\nfunc @g() -> f32[] {\n  return %x\n}\n";
    // What is computed from a value that has an error is not a further error.
    assert_eq!(codes(text), ["E0307", "E0203", "E0305", "E0305"]);
}

#[test]
fn malicious_texts_end_soon() {
    let lines = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let n = 20_000;
    let chain = lines(n, &|i| format!("  %v{} = add %v{i}, %v{i}\n", i + 1));
    let module = parse(&format!("func @f(%v0: f32[N]) -> f32[N] {{\n{chain}  return %v{n}\n}}"));
    assert_eq!(module.functions.values().next().map(|f| f.nodes.len()), Some(n));
    let operands = format!("func @f(%x: f32[]) {{\n  %0 = add {}%x\n  return\n}}", "%x, ".repeat(n));
    assert_eq!(codes(&operands), ["E0201"]);
    let unknown = lines(n, &|i| format!("  %{i} = add %y{i}, %y{i}\n"));
    assert_eq!(
        codes(&format!("func @f(%x: f32[]) {{\n{unknown}  return\n}}")).len(),
        crate::diagnostic::MAX_ERRORS
    );
    assert_eq!(codes(&"func @f(".repeat(n))[0], "E0101");
    assert_eq!(codes(&format!("var @w : f32[] = {}", "f(".repeat(n)))[0], "E0105");
    let nested = format!("func @f() {{\n  %0 = reshape {{shape={}", "[".repeat(n));
    assert_eq!(codes(&nested)[0], "E0105");
    let long = Module::parse("t", &format!("func @f() {{\n  %0 = {} \n  return\n}}", "a".repeat(1 << 20)));
    assert!(long.unwrap_err().errors[0].message.len() < 2000);
    let twice = lines(n, &|_| "var @w : f32[] = zeros\n".to_owned());
    assert!(codes(&twice).iter().all(|c| *c == "E0301"));
}

#[test]
fn every_truncation_and_deletion_is_an_error_or_a_module() {
    for at in (0..=MNIST.len()).filter(|&at| MNIST.is_char_boundary(at)) {
        let texts = [
            MNIST[..at].to_owned(),
            MNIST[at..].to_owned(),
            format!("{}{}", &MNIST[..at], &MNIST[(at + 1).min(MNIST.len())..]),
        ];
        for text in texts {
            if let Ok(module) = Module::parse("t.bsm", &text) {
                round_trip(&module);
            }
        }
    }
}

#[test]
fn broken_functions_do_not_verify() {
    let module = parse(MNIST);
    let function = module.functions.values().next().expect("there is a function");
    verify(&module).unwrap();
    verify_function(&module, function).unwrap();
    let node = |n: u32| NodeId::from_u32(n);
    let value = |n: u32| ValueId::from_u32(n);
    type Break<'a> = &'a dyn Fn(&mut crate::graph::Function);
    let breaks: [(&str, Break<'_>); 9] = [
        ("E0306", &|f| f.nodes[node(2)].operands[0] = f.nodes[node(4)].results[0]),
        ("E0306", &|f| f.nodes[node(2)].operands[0] = f.nodes[node(2)].results[0]),
        ("E0318", &|f| f.nodes[node(2)].operands[0] = value(99)),
        ("E0318", &|f| f.results[0].value = value(99)),
        ("E0318", &|f| f.params.swap(0, 1)),
        ("E0318", &|f| f.values[value(3)].def = ValueDef::Param(7)),
        ("E0220", &|f| f.values[value(3)].ty = TensorType::scalar(DType::F32)),
        ("E0203", &|f| f.nodes[node(4)].operands[0] = f.nodes[node(1)].results[0]),
        ("E0304", &|f| {
            f.nodes[node(0)].op = ops::Read { variable: ops::attributes::Symbol("v".into()) }.into()
        }),
    ];
    for (i, (code, breaks)) in breaks.iter().enumerate() {
        let mut broken = function.clone();
        breaks(&mut broken);
        assert_eq!(verify_function(&module, &broken).map_err(|e| e.code()), Err(*code), "break {i}");
    }
}
