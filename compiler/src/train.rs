//! Expansion of training steps: `train @t = minimize @loss over (…) with …` becomes an ordinary function.
//!
//! The function is the loss with its parameters and results; behind it come the gradients, what modifies them, the
//! optimizer's update of every variable, and the assignments. Slots of the optimizer become variables of the module.

mod split;

pub use split::split;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::call::{arguments, missing, number, unknown, wrong};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::differentiate::{Sum, cotangents};
use crate::graph::{Argument, Call, Expr, Function, Graph, Module, Train, Variable};
use crate::initializers::constant;
use crate::optimizers::{rule, schedules};
use crate::types::{DType, TensorType};

/// Words that name a modifier.
pub const MODIFIERS: [&str; 4] = ["weight_decay", "clip_value", "clip_norm", "accumulate"];

/// The module with every declared training step as a function and its state as variables.
///
/// # Errors
/// E0401 for a missing gradient, E05xx for declarations that are not understood.
pub fn expand(module: &Module) -> Result<Module, Diagnostics> {
    let mut expanded = module.clone();
    let trains = std::mem::take(&mut expanded.trains);
    let shared = Rc::new(RefCell::new(expanded));
    let mut errors = Vec::new();
    for train in &trains {
        if let Err(more) = step(&shared, train) {
            errors.extend(more.into_iter().map(|e| e.or_at(&train.place)));
        }
    }
    Diagnostics::check(module.source.clone(), errors)?;
    Ok(shared.take())
}

fn step(module: &Rc<RefCell<Module>>, train: &Train) -> Result<(), Vec<Diagnostic>> {
    let loss = loss_function(module, train)?;
    add(module, Function { name: train.name.clone(), ..loss }, train, |graph| {
        placeholders(graph, train);
        let loss = loss_of(graph, train)?;
        let step = Step { graph, train, dtype: loss.dtype() };
        step.apply(step.gradients(loss)?)
    })
}

/// The function that a training step minimizes.
fn loss_function(module: &Rc<RefCell<Module>>, train: &Train) -> Result<Function, Vec<Diagnostic>> {
    let loss = module.borrow().function(&train.loss).map(|id| module.borrow().functions[id].clone());
    loss.ok_or_else(|| vec![Diagnostic::new("E0504", format!("there is no function `@{}`", train.loss))])
}

/// Adds a function to the module: `function`, and what `build` puts behind it.
fn add(
    module: &Rc<RefCell<Module>>,
    function: Function,
    train: &Train,
    build: impl FnOnce(&Graph) -> Result<(), Diagnostic>,
) -> Result<(), Vec<Diagnostic>> {
    let errors = Rc::new(RefCell::new(Vec::new()));
    let function = Function { place: train.place.clone(), ..function };
    let graph = Graph::over(module.clone(), function, errors.clone());
    let built = graph.at(&train.place, || build(&graph));
    let function = graph.into_function();
    if let Err(error) = built {
        errors.borrow_mut().push(error);
    }
    let errors = errors.take();
    if !errors.is_empty() {
        return Err(errors);
    }
    module.borrow_mut().functions.push(function);
    Ok(())
}

/// Adds the parameters of a training step's own.
fn placeholders(graph: &Graph, train: &Train) {
    for (name, ty) in &train.params {
        graph.placeholder(name, ty.dtype, ty.shape.clone());
    }
}

/// The loss, which is the first result of the function that is minimized.
fn loss_of<'g>(graph: &'g Graph, train: &Train) -> Result<Expr<'g>, Diagnostic> {
    let loss = {
        let function = graph.borrow();
        let first = function.results.first().map(|r| r.value);
        first.filter(|&v| function.ty(v).rank() == 0 && function.ty(v).dtype.is_float())
    };
    loss.map(|v| graph.expr(v)).ok_or_else(|| {
        Diagnostic::new("E0505", format!("`@{}` does not begin with a loss", train.loss))
            .note("the first result of the function that is minimized must be a float scalar")
    })
}

/// A training step under construction.
pub struct Step<'a, 'g> {
    graph: &'g Graph,
    train: &'a Train,
    dtype: DType,
}

type Gradients<'g> = Vec<(String, Sum<'g>)>;

impl<'g> Step<'_, 'g> {
    /// Modifies gradients, updates their variables and the slots of the optimizer, and assigns them.
    fn apply(&self, mut trained: Gradients<'g>) -> Result<(), Diagnostic> {
        let (graph, train) = (self.graph, self.train);
        let Some((optimizer, modifiers)) = train.with.split_first() else {
            return Err(Diagnostic::new("E0506", format!("`@{}` names no optimizer", train.name))
                .help("add `with sgd(lr = 0.1)`"));
        };
        let mut accumulated = None;
        for modifier in modifiers {
            match modifier.name.as_str() {
                "weight_decay" => self.weight_decay(modifier, &mut trained)?,
                "clip_value" => self.clip_value(modifier, &mut trained)?,
                "clip_norm" => self.clip_norm(modifier, &mut trained)?,
                "accumulate" => accumulated = Some(self.accumulate(modifier, &mut trained)?),
                _ => return Err(unknown(modifier, "modifier", &MODIFIERS)),
            }
        }
        let rule = rule(optimizer)?;
        let assign = |name: &str, new: Expr<'_>, old: Expr<'_>| {
            graph.assign(
                name,
                accumulated.map_or(new, |ready: Expr<'_>| ready.broadcast_to(new.shape()).select(new, old)),
            );
        };
        for (name, gradient) in &trained {
            let update = Update {
                step: self,
                optimizer: &optimizer.name,
                name,
                slots: RefCell::default(),
                value: graph.read(name),
                sum: gradient,
                gradient: OnceCell::new(),
            };
            let new = rule(&update, optimizer)?;
            assign(name, new, update.value);
            for (slot, new) in update.slots.take() {
                assign(&slot, new, graph.read(&slot));
            }
        }
        let counter = self.counter_name();
        if graph.module().variable(&counter).is_some() {
            let count = graph.read(&counter);
            assign(&counter, count + count.constant_like(1.0), count);
        }
        Ok(())
    }

    /// Names of the variables to train, with their gradients.
    fn gradients(&self, loss: Expr<'g>) -> Result<Gradients<'g>, Diagnostic> {
        let graph = self.graph;
        let reads = graph.borrow().reads();
        let trainable = |name: &String| {
            let module = graph.module();
            module.variable(name).is_some_and(|id| {
                let variable = &module.variables[id];
                variable.trainable && variable.ty.dtype.is_float()
            })
        };
        let names: Vec<String> = match self.train.over.as_slice() {
            [] => reads.iter().filter(|n| trainable(n)).cloned().collect(),
            over => over.to_vec(),
        };
        let reading: Vec<(usize, Expr<'g>)> = {
            let function = graph.borrow();
            let nodes = function.nodes.values().filter(|n| n.op.traits().reads_variable);
            nodes
                .filter_map(|n| {
                    let read = n.op.symbols();
                    Some((names.iter().position(|name| *name == read[0])?, graph.expr(n.results[0])))
                })
                .collect()
        };
        let values: Vec<Expr<'g>> = reading.iter().map(|r| r.1).collect();
        let cotangents = cotangents(graph, &[(loss, loss.constant_like(1.0))], &values)?;
        let mut sums: Vec<Option<Sum<'g>>> = vec![None; names.len()];
        for (&(at, value), cotangent) in reading.iter().zip(cotangents) {
            if let Some(more) = cotangent {
                sums[at].get_or_insert_with(|| Sum::zero(value)).add_all(more);
            }
        }
        let mut gradients = Vec::new();
        for (name, gradient) in names.into_iter().zip(sums) {
            match gradient {
                Some(gradient) => gradients.push((name, gradient)),
                None if self.train.over.is_empty() => {}
                None => {
                    let message = format!("the loss `@{}` does not depend on `@{name}`", self.train.loss);
                    return Err(Diagnostic::new("E0507", message).help("leave it out of `over (..)`"));
                }
            }
        }
        match gradients.is_empty() {
            false => Ok(gradients),
            true => Err(Diagnostic::new(
                "E0507",
                format!("the loss `@{}` depends on no trainable variable", self.train.loss),
            )),
        }
    }

    /// A number, parameter, variable or schedule as a scalar of the loss's dtype.
    fn rate(
        &self,
        call: &Call,
        name: &str,
        argument: Option<&Argument>,
        default: Option<f64>,
    ) -> Result<Expr<'g>, Diagnostic> {
        let graph = self.graph;
        match (argument, default) {
            (Some(&Argument::Number(v)), _) | (None, Some(v)) => Ok(graph.scalar(self.dtype, v)),
            (Some(Argument::Param(param)), _) => {
                let own = |v: &&crate::graph::ValueId| graph.borrow().value_name(**v) == *param;
                let params = graph.borrow().params.clone();
                let Some(value) = params.iter().find(own).map(|&v| graph.expr(v)) else {
                    return Err(Diagnostic::new(
                        "E0508",
                        format!("`@{}` has no parameter `%{param}`", self.train.name),
                    )
                    .or_at(&call.place)
                    .help(format!("declare it: `train @{}(%{param}: f32[]) = ..`", self.train.name)));
                };
                if value.rank() != 0 {
                    return Err(Diagnostic::new(
                        "E0508",
                        format!("`{name}` of `{}` must be a scalar", call.name),
                    )
                    .or_at(&call.place)
                    .note(format!("`%{param}` is {}", value.ty())));
                }
                Ok(value.cast(self.dtype))
            }
            (Some(Argument::Variables(names)), _) if names.len() == 1 => {
                let value = graph.read(&names[0]);
                if value.rank() != 0 {
                    return Err(Diagnostic::new(
                        "E0508",
                        format!("`{name}` of `{}` must be a scalar", call.name),
                    )
                    .or_at(&call.place)
                    .note(format!("`@{}` is {}", names[0], value.ty())));
                }
                Ok(value.cast(self.dtype))
            }
            (Some(Argument::Call(schedule)), _) => {
                schedules::schedule(schedule, self.updates(), &|call, name, argument| {
                    self.rate(call, name, argument, None)
                })
            }
            (Some(other), _) => {
                Err(wrong(call, name, "a number, a parameter, a variable or a schedule", other))
            }
            (None, None) => Err(missing(call, name)),
        }
    }

    fn counter_name(&self) -> String {
        format!("{}/step", self.train.name)
    }

    /// Number of updates made so far, as a scalar of the loss's dtype.
    fn updates(&self) -> Expr<'g> {
        let ty = TensorType::scalar(DType::I64);
        self.state(&self.counter_name(), ty, 0.0).cast(self.dtype)
    }

    /// A variable of the training step, declared when first asked for.
    fn state(&self, name: &str, ty: TensorType, initial: f64) -> Expr<'g> {
        let init = if initial == 0.0 { Call::word("zeros") } else { constant(initial) };
        let variable = Variable { name: String::new(), ty, init, trainable: false, place: Place::Unknown };
        self.graph.declare(name, variable)
    }

    fn weight_decay(&self, call: &Call, gradients: &mut Gradients<'g>) -> Result<(), Diagnostic> {
        let [rate, over] = arguments(call, ["rate", "over"])?;
        let rate = self.rate(call, "rate", rate, None)?;
        for (name, gradient) in gradients {
            let decayed = match over {
                None => true,
                Some(Argument::Variables(names)) => names.contains(name),
                Some(other) => return Err(wrong(call, "over", "a list of variables", other)),
            };
            if decayed {
                gradient.add(rate * self.graph.read(name));
            }
        }
        Ok(())
    }

    fn clip_value(&self, call: &Call, gradients: &mut Gradients<'g>) -> Result<(), Diagnostic> {
        let [limit] = arguments(call, ["limit"])?;
        let limit = self.rate(call, "limit", limit, None)?;
        for (_, gradient) in gradients {
            *gradient = Sum::of(gradient.value().min(limit).max(-limit));
        }
        Ok(())
    }

    fn clip_norm(&self, call: &Call, gradients: &mut Gradients<'g>) -> Result<(), Diagnostic> {
        let [limit] = arguments(call, ["limit"])?;
        let limit = self.rate(call, "limit", limit, None)?;
        let all: Vec<Expr<'g>> = gradients.iter().map(|g| g.1.value()).collect();
        let norm = crate::nn::global_norm(&all);
        // 1 where the norm is within the limit, also where it is 0.
        let scale = limit / norm.max(limit);
        for ((_, gradient), value) in gradients.iter_mut().zip(all) {
            *gradient = Sum::of(value * scale);
        }
        Ok(())
    }

    /// Gradients become their mean over calls; gives whether this call is the last of a group, as bool[].
    fn accumulate(&self, call: &Call, gradients: &mut Gradients<'g>) -> Result<Expr<'g>, Diagnostic> {
        let [calls] = arguments(call, ["calls"])?;
        let calls = number(call, "calls", calls, None)?;
        if calls < 1.0 || calls.fract() != 0.0 {
            return Err(Diagnostic::new(
                "E0502",
                "`calls` of `accumulate` must be a whole number, at least 1",
            )
            .or_at(&call.place));
        }
        let counter = format!("{}/accumulated", self.train.name);
        let count = self.state(&counter, TensorType::scalar(DType::I64), 0.0);
        let now = count + count.constant_like(1.0);
        let ready = now.ge(now.constant_like(calls));
        self.graph.assign(&counter, ready.select(count.constant_like(0.0), now));
        for (name, gradient) in gradients {
            let slot = format!("{name}/accumulated");
            let value = gradient.value();
            let sum = self.state(&slot, value.ty(), 0.0) + value;
            self.graph.assign(&slot, ready.broadcast_to(sum.shape()).select(sum.full_like(0.0), sum));
            *gradient = Sum::of(sum / calls);
        }
        Ok(ready)
    }
}

/// What an optimizer's rule is given: a variable with its gradient, and its slots.
pub struct Update<'a, 'g> {
    step: &'a Step<'a, 'g>,
    optimizer: &'a str,
    name: &'a str,
    slots: RefCell<Vec<(String, Expr<'g>)>>,
    /// The variable's value at entry.
    pub value: Expr<'g>,
    sum: &'a Sum<'g>,
    gradient: OnceCell<Expr<'g>>,
}

impl<'g> Update<'_, 'g> {
    /// A number, parameter, variable or schedule as a scalar.
    ///
    /// # Errors
    /// E0502 if it is something else, or missing without a default; E0508 for a parameter or variable that does not fit.
    pub fn rate(
        &self,
        call: &Call,
        name: &str,
        argument: Option<&Argument>,
        default: Option<f64>,
    ) -> Result<Expr<'g>, Diagnostic> {
        self.step.rate(call, name, argument, default)
    }

    /// The variable's gradient, a tensor of its type.
    pub fn gradient(&self) -> Expr<'g> {
        *self.gradient.get_or_init(|| self.sum.value())
    }

    /// `value - rate · gradient`, which touches only the elements that the gradient adds to, where it only adds to some;
    /// see [`Sum::descend`]. `rate` is a scalar.
    pub fn descend(&self, rate: Expr<'g>) -> Expr<'g> {
        self.sum.descend(self.value, rate)
    }

    /// Number of updates made so far, as a scalar.
    pub fn updates(&self) -> Expr<'g> {
        self.step.updates()
    }

    /// Whether the variable is in a list.
    pub fn is_one_of(&self, names: &[String]) -> bool {
        names.iter().any(|n| n == self.name)
    }

    /// Value at entry of a slot of the variable, such as its momentum; it starts with all elements `initial`.
    pub fn slot(&self, slot: &str, initial: f64) -> Expr<'g> {
        self.step.state(&self.slot_name(slot), self.value.ty(), initial)
    }

    /// Gives a slot its new value.
    pub fn set_slot(&self, slot: &str, value: Expr<'g>) {
        self.slots.borrow_mut().push((self.slot_name(slot), value));
    }

    fn slot_name(&self, slot: &str) -> String {
        format!("{}/{}/{slot}", self.name, self.optimizer)
    }
}
