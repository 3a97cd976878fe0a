//! Constants of training steps that whoever uses a library may change.

use bessemer_compiler::graph::{Argument, Call, Module, Variable};
use bessemer_compiler::initializers::constant;
use bessemer_compiler::types::{DType, TensorType};

/// A constant that may be kept in a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// The optimizer's `lr`.
    LearningRate,
    /// The optimizer's `decay`, and the `rate` of `weight_decay`.
    WeightDecay,
}

impl Constant {
    /// Last part of the names of its variables.
    pub fn name(self) -> &'static str {
        match self {
            Constant::LearningRate => "learning_rate",
            Constant::WeightDecay => "weight_decay",
        }
    }

    /// Where the constant is in a call, by name; the first argument may stand without one.
    fn argument(self, call: &Call) -> Option<(&'static str, usize)> {
        match (self, call.name.as_str()) {
            (Constant::LearningRate, name) if !is_modifier(name) => Some(("lr", 0)),
            (Constant::WeightDecay, "weight_decay") => Some(("rate", 0)),
            (Constant::WeightDecay, name) if !is_modifier(name) => Some(("decay", usize::MAX)),
            _ => None,
        }
    }
}

fn is_modifier(name: &str) -> bool {
    bessemer_compiler::train::MODIFIERS.contains(&name)
}

/// The module with constants of its training steps in variables: those that are written as numbers. A training step `t` has
/// its learning rate in `t/learning_rate`, whose first value is the number. So a library has them in its state, and saves
/// them.
pub fn with_constants_in_variables(module: &Module, constants: &[Constant]) -> Module {
    let mut changed = module.clone();
    let mut trains = std::mem::take(&mut changed.trains);
    for train in &mut trains {
        let loss = module.function(&train.loss).map(|id| &module.functions[id]);
        let dtype = loss.and_then(|f| Some(f.ty(f.results.first()?.value).dtype)).unwrap_or(DType::F32);
        for &constant in constants {
            let name = format!("{}/{}", train.name, constant.name());
            if module.variable(&name).is_some() {
                continue;
            }
            for call in &mut train.with {
                let Some((argument, position)) = constant.argument(call) else { continue };
                let mut args = call.args.iter_mut().enumerate();
                let found = args.find(|(at, (name, _))| match name {
                    Some(name) => name == argument,
                    None => *at == position,
                });
                if let Some((_, (_, value))) = found
                    && let Argument::Number(number) = *value
                {
                    *value = Argument::Variables(vec![name.clone()]);
                    declare(&mut changed, &name, number, dtype);
                    // Two of one kind would share a variable, and have one first value.
                    break;
                }
            }
        }
    }
    changed.trains = trains;
    changed
}

fn declare(module: &mut Module, name: &str, number: f64, dtype: DType) {
    module.variables.push(Variable {
        name: name.to_owned(),
        ty: TensorType::scalar(dtype),
        init: constant(number),
        trainable: false,
        place: Default::default(),
    });
}
