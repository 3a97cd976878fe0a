"""Dense networks: what they are, and the text that Bessemer reads."""

from dataclasses import dataclass

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")
UPDATES = ("sgd", "adam", "predict")


@dataclass(frozen=True)
class Network:
    """A classifier of dense layers, with softmax cross-entropy; `update` is an optimizer or `predict`."""

    extents: tuple
    activation: str
    update: str
    batch: int

    @staticmethod
    def parse(text):
        """`784-128-10,relu,sgd,100`."""
        extents, activation, update, batch = text.split(",")
        extents = tuple(int(extent) for extent in extents.split("-"))
        if len(extents) < 2 or activation not in ACTIVATIONS or update not in UPDATES:
            raise SystemExit(f"`{text}` is no network: expected EXTENT-…-EXTENT,ACTIVATION,UPDATE,BATCH")
        return Network(extents, activation, update, int(batch))

    def __str__(self):
        extents = "-".join(str(extent) for extent in self.extents)
        return f"{extents},{self.activation},{self.update},{self.batch}"

    @property
    def trains(self):
        return self.update != "predict"

    @property
    def flops(self):
        """Multiplications and additions of the matrix products of a step; the first layer has no input gradient."""
        pairs = list(zip(self.extents, self.extents[1:]))
        forward = sum(a * b for a, b in pairs)
        backward = sum(a * b for a, b in pairs[1:]) + forward if self.trains else 0
        return 2 * self.batch * (forward + backward)

    def text(self):
        """The network as a module, with the entry point `predict` or `train_step`."""
        writer = _Writer()
        writer.variables(self.extents)
        first, last = self.extents[0], self.extents[-1]
        if not self.trains:
            writer.line(f"func @predict(%x: f32[N,{first}]) -> (probabilities: f32[N,{last}]) {{")
            shifted = writer.shifted(writer.logits(self))
            exp = writer.node(f"exp {shifted}", f"f32[N,{last}]")
            total = writer.over_row(f"reduce_sum {exp}", last)
            writer.line(f"  return {writer.node(f'div {exp}, {total}', f'f32[N,{last}]')}")
            writer.line("}")
            return writer.module()
        writer.line(f"func @loss(%x: f32[N,{first}], %y: i32[N]) -> (loss: f32[]) {{")
        shifted = writer.shifted(writer.logits(self))
        exp = writer.node(f"exp {shifted}", f"f32[N,{last}]")
        total = writer.node(f"reduce_sum {exp} {{axes=[1], keep=true}}", "f32[N,1]")
        total = writer.node(f"log {total}", "f32[N,1]")
        total = writer.node(f"broadcast {total} {{shape=[N,{last}]}}", f"f32[N,{last}]")
        log = writer.node(f"sub {shifted}, {total}", f"f32[N,{last}]")
        labels = writer.node(f"check_index %y {{bound={last}}}", "i32[N]")
        hot = writer.node(f"one_hot {labels} {{depth={last}, dtype=f32}}", f"f32[N,{last}]")
        taken = writer.node(f"mul {log}, {hot}", f"f32[N,{last}]")
        taken = writer.node(f"reduce_sum {taken} {{axes=[0,1]}}", "f32[]")
        count = writer.node("extent {of=N}", "i64[]")
        count = writer.node(f"cast {count} {{to=f32}}", "f32[]")
        mean = writer.node(f"div {taken}, {count}", "f32[]")
        writer.line(f"  return {writer.node(f'neg {mean}', 'f32[]')}")
        writer.line("}")
        rate = {"sgd": "0.01", "adam": "0.001"}[self.update]
        writer.line(f"train @train_step() = minimize @loss with {self.update}(lr = {rate})")
        return writer.module()


class _Writer:
    """Writes nodes in order, with numbers for names."""

    def __init__(self):
        self.lines = ["module @peer"]
        self.count = 0

    def line(self, text):
        self.lines.append(text)

    def module(self):
        return "\n".join(self.lines) + "\n"

    def node(self, what, ty):
        name = f"%{self.count}"
        self.count += 1
        self.line(f"  {name} = {what} : {ty}")
        return name

    def number(self, value, ty):
        scalar = self.node(f"constant {{dtype=f32, shape=[], value={value}}}", "f32[]")
        return self.node(f"broadcast {scalar} {{shape={ty.removeprefix('f32')}}}", ty)

    def variables(self, extents):
        for n, (a, b) in enumerate(zip(extents, extents[1:])):
            self.line(f"var @w{n} : f32[{a},{b}] = glorot_uniform")
            self.line(f"var @b{n} : f32[{b}] = zeros")

    def logits(self, network):
        value, extents = "%x", network.extents
        for n, (a, b) in enumerate(zip(extents, extents[1:])):
            ty = f"f32[N,{b}]"
            weight = self.node(f"read @w{n}", f"f32[{a},{b}]")
            bias = self.node(f"read @b{n}", f"f32[{b}]")
            value = self.node(f"matmul {value}, {weight}", ty)
            bias = self.node(f"broadcast {bias} {{shape=[N,{b}]}}", ty)
            value = self.node(f"add {value}, {bias}", ty)
            if n + 2 < len(extents):
                value = self.activation(network.activation, value, ty)
        return value

    def activation(self, name, value, ty):
        if name == "relu":
            return self.node(f"max {value}, {self.number('0.0', ty)}", ty)
        if name != "gelu":
            return self.node(f"{name} {value}", ty)
        # The exact form: x / 2 · (1 + erf(x / √2)).
        scaled = self.node(f"mul {value}, {self.number('0.70710678', ty)}", ty)
        erf = self.node(f"erf {scaled}", ty)
        one = self.node(f"add {erf}, {self.number('1.0', ty)}", ty)
        half = self.node(f"mul {value}, {self.number('0.5', ty)}", ty)
        return self.node(f"mul {half}, {one}", ty)

    def shifted(self, logits):
        """The logits less the largest of their row."""
        last = self.lines[-1].rsplit(",", 1)[1].rstrip("]")
        stopped = self.node(f"stop_gradient {logits}", f"f32[N,{last}]")
        largest = self.over_row(f"reduce_max {stopped}", last)
        return self.node(f"sub {logits}, {largest}", f"f32[N,{last}]")

    def over_row(self, reduction, last):
        reduced = self.node(f"{reduction} {{axes=[1], keep=true}}", "f32[N,1]")
        return self.node(f"broadcast {reduced} {{shape=[N,{last}]}}", f"f32[N,{last}]")
