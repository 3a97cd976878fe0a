"""Trains and predicts from Python with NumPy arrays and no other package: the library is called through ctypes.

    bessemer compile examples/models/mnist_softmax.bsm -o build/mnist --batch 1,16
    python3 examples/python_ctypes.py build/mnist.so
"""

import ctypes
import sys
import tempfile

import numpy as np


class Tensor(ctypes.Structure):
    """`mnist_tensor` of the header."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_uint32),
        ("rank", ctypes.c_uint32),
        ("extents", ctypes.POINTER(ctypes.c_int64)),
        ("bytes", ctypes.c_uint64),
        ("is_parameter", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class Model:
    """An instance. Arguments are arrays of the dtypes and shapes that the header says."""

    def __init__(self, path, name="mnist"):
        self.library = ctypes.CDLL(path)
        self.name = name
        self.function("last_error").restype = ctypes.c_char_p
        self.function("num_variables").restype = ctypes.c_size_t
        self.function("destroy").restype = None
        self.handle = ctypes.c_void_p()
        self.call("create", ctypes.byref(self.handle))

    def function(self, name):
        return getattr(self.library, f"{self.name}_{name}")

    def call(self, name, *arguments):
        if self.function(name)(*arguments) != 0:
            raise RuntimeError(self.function("last_error")().decode())

    def run(self, entry, n, *arrays):
        """Calls an entry point at batch size n."""
        for array in arrays:
            assert array.flags["C_CONTIGUOUS"]
        self.call(entry, self.handle, ctypes.c_size_t(n), *(ctypes.c_void_p(a.ctypes.data) for a in arrays))

    def init(self, seed):
        self.call("init", self.handle, ctypes.c_uint64(seed))

    def save(self, path):
        self.call("save", self.handle, path.encode())

    def load(self, path):
        self.call("load", self.handle, path.encode())

    def variables(self):
        """Names and shapes of all variables."""
        for index in range(self.function("num_variables")()):
            tensor = Tensor()
            self.call("describe_variable", ctypes.c_size_t(index), ctypes.byref(tensor))
            yield tensor.name.decode(), tuple(tensor.extents[: tensor.rank])

    def variable(self, name, shape, dtype=np.float32):
        out = np.empty(shape, dtype)
        self.call("get_variable", self.handle, name.encode(), ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(out.size))
        return out

    def close(self):
        self.function("destroy")(self.handle)
        self.handle = None


def main():
    model = Model(sys.argv[1] if len(sys.argv) > 1 else "build/mnist.so")
    model.init(1)
    y = np.arange(16, dtype=np.int32) % 10
    # Image i has every tenth pixel set, from its label on.
    x = (np.arange(784)[None, :] % 10 == y[:, None]).astype(np.float32)
    loss = np.empty((), np.float32)
    for _ in range(50):
        model.run("train_step", 16, x, y, loss)
    print(f"loss {loss:.4f}")
    for name, shape in model.variables():
        print(name, shape)
    kernel = model.variable("logits/kernel", (784, 10))
    print(f"largest weight {kernel.max():.3f}")

    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/mnist.safetensors")
        again = Model(model.library._name)
        again.load(f"{folder}/mnist.safetensors")
    assert (again.variable("logits/kernel", (784, 10)) == kernel).all()
    probabilities = np.empty((1, 10), np.float32)
    again.run("predict", 1, x[7:8], probabilities)
    print(f"image 7 is a {probabilities.argmax()}")
    y[0] = 10
    try:
        model.run("train_step", 16, x, y, loss)
    except RuntimeError as error:
        print(error)
    model.close()
    again.close()


if __name__ == "__main__":
    main()
