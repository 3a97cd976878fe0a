//! Building modules from Rust.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;

use cranelift_entity::packed_option::ReservedValue;

use super::verify::verify;
use super::{Assign, Call, Expr, Function, Module, Output, Train, ValueId, Variable};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::ops::{InferCx, Op};
use crate::types::{DType, Shape, TensorType};

/// Builds a [`Module`]. Mistakes are collected, each with the caller's line, and reported by [`finish`](Builder::finish).
///
/// ```
/// use bessemer_compiler::graph::{Builder, Call};
/// use bessemer_compiler::types::{DType, Extent};
///
/// let builder = Builder::new("double");
/// builder.function("predict", |f| {
///     let x = f.placeholder("x", DType::F32, [Extent::N, 3.into()]);
///     f.result("y", x + x);
/// });
/// let module = builder.finish()?;
/// # Ok::<(), bessemer_compiler::diagnostic::Diagnostics>(())
/// ```
pub struct Builder {
    module: Rc<RefCell<Module>>,
    errors: Rc<RefCell<Vec<Diagnostic>>>,
}

impl Builder {
    /// A builder of an empty module with this name.
    pub fn new(name: &str) -> Builder {
        let module = Module { name: name.to_owned(), ..Module::default() };
        Builder { module: Rc::new(RefCell::new(module)), errors: Rc::default() }
    }

    /// Adds a function, whose nodes `build` adds. The graph is handed back to it as it was given, so values can be
    /// computed by helper functions of one's own.
    #[track_caller]
    pub fn function(&self, name: &str, build: impl FnOnce(&Graph)) {
        let place = Place::Rust(Location::caller());
        if self.module.borrow().function(name).is_some() {
            let error = Diagnostic::new("E0301", format!("the function `@{name}` is defined twice"));
            self.errors.borrow_mut().push(error.at(place.clone(), ""));
        }
        let function = Function { name: name.to_owned(), place, ..Function::default() };
        let graph = Graph::over(self.module.clone(), function, self.errors.clone());
        build(&graph);
        let function = graph.into_function();
        self.module.borrow_mut().functions.push(function);
    }

    /// Declares a training step: `loss` is the function whose first result is minimized, `optimizer` its optimizer.
    /// More can be said of it by the methods of [`Train`].
    #[track_caller]
    pub fn train(&self, train: Train) {
        let place = Place::Rust(Location::caller());
        self.module.borrow_mut().trains.push(Train { place, ..train });
    }

    /// The module.
    ///
    /// # Errors
    /// Everything that was wrong with the calls or, if nothing was, that the [verifier](super::verify) finds, with the
    /// lines that made the calls.
    pub fn finish(self) -> Result<Module, Diagnostics> {
        Diagnostics::check(None, self.errors.take())?;
        let module = self.module.take();
        verify(&module)?;
        Ok(module)
    }
}

impl Train {
    /// A training step that minimizes the first result of function `loss` over all trainable variables that it reads.
    pub fn minimize(name: &str, loss: &str, optimizer: Call) -> Train {
        Train {
            name: name.to_owned(),
            params: Vec::new(),
            loss: loss.to_owned(),
            over: Vec::new(),
            with: vec![optimizer],
            place: Place::Unknown,
        }
    }

    /// Adds a scalar f32 parameter, such as the learning rate, for arguments to refer to by [`Argument::Param`](super::Argument).
    #[must_use]
    pub fn param(mut self, name: &str) -> Train {
        self.params.push((name.to_owned(), TensorType::scalar(DType::F32)));
        self
    }

    /// Trains only these variables.
    #[must_use]
    pub fn over(mut self, variables: &[&str]) -> Train {
        self.over = variables.iter().map(|v| (*v).to_owned()).collect();
        self
    }

    /// Adds a modifier, such as `clip_norm(1.0)`.
    #[must_use]
    pub fn with(mut self, modifier: Call) -> Train {
        self.with.push(modifier);
        self
    }
}

/// A function under construction. Nodes are added through its methods and those of [`Expr`].
///
/// A mistake gives a *poisoned* value: it is reported once, where it was made, and whatever is computed from it is
/// poisoned silently.
pub struct Graph {
    module: Rc<RefCell<Module>>,
    function: RefCell<Function>,
    errors: Rc<RefCell<Vec<Diagnostic>>>,
    scopes: RefCell<Vec<String>>,
    place: RefCell<Option<Place>>,
}

impl Graph {
    /// A graph over an existing function of a module, to extend it. Errors go to `errors`.
    pub fn over(
        module: Rc<RefCell<Module>>,
        function: Function,
        errors: Rc<RefCell<Vec<Diagnostic>>>,
    ) -> Graph {
        Graph {
            module,
            function: RefCell::new(function),
            errors,
            scopes: RefCell::default(),
            place: RefCell::default(),
        }
    }

    /// The function as it stands.
    pub fn into_function(self) -> Function {
        self.function.into_inner()
    }

    /// The function as it stands, to look at.
    pub fn borrow(&self) -> std::cell::Ref<'_, Function> {
        self.function.borrow()
    }

    /// The module of the function, to look at.
    pub fn module(&self) -> std::cell::Ref<'_, Module> {
        self.module.borrow()
    }

    /// The value with this number.
    pub fn expr(&self, value: ValueId) -> Expr<'_> {
        Expr::new(self, value)
    }

    /// Adds a parameter.
    #[track_caller]
    pub fn placeholder(&self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Expr<'_> {
        let place = self.here(Location::caller());
        let taken = self.function.borrow().params.iter().any(|&p| self.borrow().value_name(p) == name);
        if taken {
            let error = Diagnostic::new("E0302", format!("the name `%{name}` is defined twice"));
            return self.poison(error.at(place, ""));
        }
        let value = self.function.borrow_mut().add_param(name, TensorType::new(dtype, shape), place);
        self.expr(value)
    }

    /// The value at entry of the variable `name` in the current scope, which is declared if it is new: with this shape
    /// and initialiser, as f32. Asked for again, in this function or another, it is the same variable.
    #[track_caller]
    pub fn variable(&self, name: &str, shape: impl Into<Shape>, init: Call) -> Expr<'_> {
        let ty = TensorType::new(DType::F32, shape);
        self.declare(name, Variable { name: String::new(), ty, init, trainable: true, place: Place::Unknown })
    }

    /// Like [`variable`](Graph::variable), with everything about the variable given but its name and place.
    #[track_caller]
    pub fn declare(&self, name: &str, variable: Variable) -> Expr<'_> {
        let place = self.here(Location::caller());
        let name = self.scoped_name(name);
        let known = self.module.borrow().variable(&name).map(|id| self.module.borrow().variables[id].clone());
        match known {
            None => {
                self.module.borrow_mut().variables.push(Variable { name: name.clone(), place, ..variable });
            }
            Some(known) if known.ty != variable.ty => {
                let error =
                    Diagnostic::new("E0303", format!("the variable `@{name}` is used with another type"));
                return self.poison(
                    error
                        .at(place, format!("used as {} here", variable.ty))
                        .at(known.place, format!("declared as {} here", known.ty))
                        .help("put the two layers in scopes of different names"),
                );
            }
            Some(_) => {}
        }
        self.read(&name)
    }

    /// The value at entry of a variable that exists, by its full name.
    #[track_caller]
    pub fn read(&self, name: &str) -> Expr<'_> {
        self.add(crate::ops::Read { variable: crate::ops::attributes::Symbol(name.to_owned()) }, &[])
    }

    /// Gives a variable, by its full name, a new value when the function returns.
    #[track_caller]
    pub fn assign(&self, name: &str, value: Expr<'_>) {
        let place = self.here(Location::caller());
        if value.is_poisoned() {
            return;
        }
        self.function.borrow_mut().assigns.push(Assign {
            variable: name.to_owned(),
            value: value.id(),
            place,
        });
    }

    /// Returns a value under a name that is unique among the results.
    #[track_caller]
    pub fn result(&self, name: &str, value: Expr<'_>) {
        let place = self.here(Location::caller());
        if value.is_poisoned() {
            return;
        }
        self.function.borrow_mut().results.push(Output { name: name.to_owned(), value: value.id(), place });
    }

    /// Runs `build` with `name/` before the names that are given in it.
    pub fn scope<T>(&self, name: &str, build: impl FnOnce() -> T) -> T {
        self.scopes.borrow_mut().push(name.to_owned());
        let built = build();
        self.scopes.borrow_mut().pop();
        built
    }

    /// Runs `build` with every node that it adds placed at `place`, instead of at the caller's line.
    pub fn at<T>(&self, place: &Place, build: impl FnOnce() -> T) -> T {
        let before = self.place.replace(Some(place.clone()));
        let built = build();
        self.place.replace(before);
        built
    }

    /// Adds a node of an op with one result.
    #[track_caller]
    pub fn add(&self, op: impl Into<Op>, operands: &[Expr<'_>]) -> Expr<'_> {
        self.add_many(op, operands)[0]
    }

    /// Adds a node of an op with any number of results. If the op refuses the operands, the first result is poisoned.
    #[track_caller]
    pub fn add_many(&self, op: impl Into<Op>, operands: &[Expr<'_>]) -> Vec<Expr<'_>> {
        let (op, place) = (op.into(), self.here(Location::caller()));
        if operands.iter().any(|e| e.is_poisoned()) {
            return vec![self.poisoned()];
        }
        let ids: Vec<ValueId> = operands.iter().map(|e| e.id()).collect();
        let types: Vec<TensorType> = ids.iter().map(|&v| self.function.borrow().ty(v).clone()).collect();
        let inferred = op.infer(&InferCx { module: &self.module.borrow() }, &types);
        match inferred {
            Ok(results) => {
                let node = self.function.borrow_mut().add_node(op, ids, results, place);
                let results = self.function.borrow().nodes[node].results.clone();
                results.into_iter().map(|v| self.expr(v)).collect()
            }
            Err(error) => vec![self.poison(error.or_at(&place))],
        }
    }

    /// Reports an error and gives a value that stands for what could not be computed.
    pub fn poison(&self, error: Diagnostic) -> Expr<'_> {
        self.errors.borrow_mut().push(error);
        self.poisoned()
    }

    /// The place of a node that is added now, by a caller at this line.
    pub fn here(&self, caller: &'static Location<'static>) -> Place {
        self.place.borrow().clone().unwrap_or(Place::Rust(caller))
    }

    /// Names a value, within the current scope; a name that is taken gets a number.
    pub(super) fn name(&self, value: ValueId, name: &str) {
        let base = self.scoped_name(name);
        let mut function = self.function.borrow_mut();
        let taken = |function: &Function, name: &str| {
            function.values.values().any(|v| v.name.as_deref() == Some(name))
        };
        let mut unique = base.clone();
        let mut n = 1;
        while taken(&function, &unique) {
            unique = format!("{base}.{n}");
            n += 1;
        }
        function.values[value].name = Some(unique);
    }

    /// Gives a value without a name one that is unique in the function.
    pub(crate) fn name_exactly(&self, value: ValueId, name: &str) {
        self.function.borrow_mut().values[value].name.get_or_insert_with(|| name.to_owned());
    }

    /// A key that no other random node of the module has.
    pub fn fresh_key(&self) -> usize {
        let count = |f: &Function| f.nodes.values().filter(|n| n.op.traits().random).count();
        let used: usize = self.module.borrow().functions.values().map(count).sum();
        used + count(&self.function.borrow()) + 1
    }

    /// The full name of what is called `name` in the current scope.
    pub fn scoped_name(&self, name: &str) -> String {
        let scopes = self.scopes.borrow();
        scopes.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/")
    }

    fn poisoned(&self) -> Expr<'_> {
        self.expr(ValueId::reserved_value())
    }
}
