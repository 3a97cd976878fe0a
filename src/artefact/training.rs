//! Training for models that declare none, or another optimizer for those that do.

use std::cell::RefCell;
use std::rc::Rc;

use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
use bessemer_compiler::graph::{Argument, Call, Expr, Function, FunctionId, Graph, Module, Train};
use bessemer_compiler::nn;
use bessemer_compiler::types::DType;

use crate::error::{Error, names};

/// The function that predicts, if there is one of this name; else the first one.
const PREDICT: &str = "predict";
/// The function that is minimized.
const LOSS: &str = "loss";
/// The training step that is added.
const TRAIN_STEP: &str = "train_step";

type LossFunction = for<'g> fn(&'g Graph, Expr<'g>) -> Expr<'g>;

/// Losses by name: each adds the parameter `y`, and gives the mean over the batch of how far a result is from it.
const LOSSES: [(&str, LossFunction); 3] = [
    ("softmax_cross_entropy", |graph, logits| {
        let mut labels = logits.shape();
        labels.0.pop();
        let labels = graph.placeholder("y", DType::I32, labels);
        nn::sparse_softmax_cross_entropy(logits, labels)
    }),
    ("sigmoid_cross_entropy", |graph, logits| {
        nn::sigmoid_cross_entropy(logits, graph.placeholder("y", logits.dtype(), logits.shape()))
    }),
    ("mean_squared_error", |graph, predicted| {
        nn::mean_squared_error(predicted, graph.placeholder("y", predicted.dtype(), predicted.shape()))
    }),
];

/// The module with a training step for `loss`, a function of the module or one of `softmax_cross_entropy` (labels i32, for all axes but the last),
/// `sigmoid_cross_entropy` and `mean_squared_error` of the first result of `predict`, which is taken for logits in the first
/// two. With `optimizer`, such as `adam:lr=1e-3`, all training steps have this one.
///
/// # Errors
/// E0728 if the two are not understood, or do not go with what the module has; what is wrong with the loss.
pub fn with_training(module: &Module, loss: Option<&str>, optimizer: Option<&str>) -> Result<Module, Error> {
    let optimizer = optimizer.map(parse).transpose()?;
    let loss = match loss {
        Some(name) => Some(name),
        None => (optimizer.is_some() && module.trains.is_empty()).then_some(LOSS),
    };
    let mut changed = match loss {
        None => module.clone(),
        Some(name) => {
            let Some(optimizer) = &optimizer else {
                return Err(Diagnostic::new("E0728", "a loss needs an optimizer")
                    .help("add `--optimizer adam:lr=1e-3`")
                    .into());
            };
            add(module, name, optimizer)?
        }
    };
    if let Some(optimizer) = optimizer {
        for train in &mut changed.trains {
            match train.with.first_mut() {
                Some(first) => *first = optimizer.clone(),
                None => train.with.push(optimizer.clone()),
            }
        }
    }
    Ok(changed)
}

/// The module with a training step that minimizes a function or a loss.
fn add(module: &Module, loss: &str, optimizer: &Call) -> Result<Module, Error> {
    if module.function(TRAIN_STEP).is_some() || module.trains.iter().any(|train| train.name == TRAIN_STEP) {
        return Err(Diagnostic::new("E0728", format!("the model has `@{TRAIN_STEP}` already"))
            .help("leave out `--loss`")
            .into());
    }
    let (mut changed, minimized) = match (module.function(loss), LOSSES.iter().find(|l| l.0 == loss)) {
        (Some(_), _) => (module.clone(), loss),
        (None, Some((_, of))) => (add_loss(module, *of)?, LOSS),
        (None, None) => {
            let functions = names(module.functions.values().map(|f| f.name.as_str()));
            return Err(Diagnostic::new("E0728", format!("there is no loss `{loss}`"))
                .note(format!("the functions of the model are: {functions}"))
                .note(format!("the losses are: {}", names(LOSSES.iter().map(|l| l.0))))
                .into());
        }
    };
    changed.trains.push(Train::minimize(TRAIN_STEP, minimized, optimizer.clone()));
    Ok(changed)
}

/// The module with the function `loss`: what predicts, and behind it the loss of its first result.
fn add_loss(module: &Module, loss: LossFunction) -> Result<Module, Error> {
    let predict: Option<FunctionId> = module.function(PREDICT).or_else(|| module.functions.keys().next());
    let predict = predict.map(|id| module.functions[id].clone());
    let Some((predict, result)) =
        predict.and_then(|f| Some((f.results.first()?.value, f))).map(|(v, f)| (f, v))
    else {
        return Err(Diagnostic::new("E0728", "the model has no function with a result to train").into());
    };
    if module.function(LOSS).is_some() {
        return Err(Diagnostic::new("E0728", format!("the model has `@{LOSS}` already"))
            .help(format!("minimize it: `--loss {LOSS}`"))
            .into());
    }
    let shared = Rc::new(RefCell::new(module.clone()));
    let errors = Rc::new(RefCell::new(Vec::new()));
    let function = Function { name: LOSS.to_owned(), results: Vec::new(), ..predict };
    let graph = Graph::over(Rc::clone(&shared), function, Rc::clone(&errors));
    graph.result(LOSS, loss(&graph, graph.expr(result)));
    let function = graph.into_function();
    Diagnostics::check(module.source.clone(), errors.take())?;
    shared.borrow_mut().functions.push(function);
    Ok(shared.take())
}

/// An optimizer as it is written on the command line: `adam:lr=1e-3,beta1=0.9`.
fn parse(text: &str) -> Result<Call, Diagnostic> {
    let refused = |why: String| {
        Diagnostic::new("E0728", format!("`{text}` is no optimizer"))
            .note(why)
            .help("write its name and its numbers, such as `sgd:lr=0.1` or `adam:lr=1e-3,beta1=0.9`")
    };
    let (name, arguments) = text.split_once(':').unwrap_or((text, ""));
    let mut call = Call::word(name.trim());
    for argument in arguments.split(',').filter(|argument| !argument.trim().is_empty()) {
        let Some((key, value)) = argument.split_once('=') else {
            return Err(refused(format!("`{argument}` is not of the form `name=number`")));
        };
        let value = match value.trim() {
            "true" => Argument::Bool(true),
            "false" => Argument::Bool(false),
            number => match number.parse::<f64>() {
                Ok(number) if number.is_finite() => Argument::Number(number),
                _ => return Err(refused(format!("`{number}` is no number"))),
            },
        };
        call.args.push((Some(key.trim().to_owned()), value));
    }
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREDICT_ONLY: &str = "module @m
var @w : f32[4,3] = glorot_uniform
func @predict(%x: f32[N,4]) -> (scores: f32[N,3]) {
  %0 = read @w
  %1 = matmul %x, %0
  return %1
}
";

    fn trained(text: &str, loss: Option<&str>, optimizer: Option<&str>) -> Result<Module, &'static str> {
        let module = Module::parse("m.bsm", text).unwrap();
        let changed = with_training(&module, loss, optimizer).map_err(|e| e.code())?;
        bessemer_compiler::pipeline::prepare(&changed).map_err(|e| e.code())
    }

    #[test]
    fn models_that_only_predict_can_be_trained() {
        for (loss, _) in LOSSES {
            let module = trained(PREDICT_ONLY, Some(loss), Some("adam:lr=1e-3,beta1=0.8")).unwrap();
            let step = &module.functions[module.function(TRAIN_STEP).unwrap()];
            assert_eq!(step.params.len(), 2, "{loss}");
            assert!(module.variable("w/adam/m").is_some());
        }
        assert!(trained(PREDICT_ONLY, None, None).unwrap().function(TRAIN_STEP).is_none());
    }

    #[test]
    fn a_training_step_may_get_another_optimizer() {
        let module = trained(PREDICT_ONLY, Some("mean_squared_error"), Some("sgd:lr=0.5"));
        let text = module.unwrap().to_string();
        assert!(!text.contains("adam"));
        let declared = "module @m
var @w : f32[3] = zeros
func @loss(%x: f32[3]) -> f32[] {
  %0 = read @w
  %1 = mul %0, %x
  %2 = reduce_sum %1 {axes=[0]}
  return %2
}
";
        assert!(trained(declared, None, Some("adam:lr=1")).unwrap().variable("w/adam/m").is_some());
        let step = format!("{declared}train @train_step() = minimize @loss with adam(lr = 1)\n");
        assert!(trained(&step, None, Some("sgd:lr=1")).unwrap().variable("w/adam/m").is_none());
        assert_eq!(trained(&step, Some("loss"), Some("sgd:lr=1")).unwrap_err(), "E0728");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (loss, optimizer) in [
            (Some("mse"), Some("sgd:lr=1")),
            (Some("mean_squared_error"), None),
            (Some("mean_squared_error"), Some("sgd:lr")),
            (Some("mean_squared_error"), Some("sgd:lr=x")),
            (Some("mean_squared_error"), Some("sgd:lr=inf")),
            (None, Some("sgd:lr=1")),
        ] {
            assert_eq!(
                trained(PREDICT_ONLY, loss, optimizer).unwrap_err(),
                "E0728",
                "{loss:?} {optimizer:?}"
            );
        }
        assert_eq!(
            trained(PREDICT_ONLY, Some("mean_squared_error"), Some("sgdd:lr=1")).unwrap_err(),
            "E0503"
        );
    }
}
