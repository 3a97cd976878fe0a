// Trains a little, saves, loads and predicts, with an owner for the instance and errors as exceptions.
//
//     bessemer compile examples/models/mnist_softmax.bsm -o build/mnist --batch 1,16
//     c++ -std=c++17 -O2 -Ibuild examples/cpp/predict.cpp build/mnist.so -Wl,-rpath,'$ORIGIN' -o build/predict
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "mnist.h"

namespace {

void check(mnist_status status) {
    if (status != MNIST_OK) throw std::runtime_error(mnist_last_error());
}

class Model {
public:
    Model() {
        mnist *made = nullptr;
        check(mnist_create(&made));
        model_.reset(made);
    }

    void init(std::uint64_t seed) { check(mnist_init(model_.get(), seed)); }
    void save(const std::string &path) const { check(mnist_save(model_.get(), path.c_str())); }
    void load(const std::string &path) { check(mnist_load(model_.get(), path.c_str())); }

    float train(const std::vector<float> &x, const std::vector<std::int32_t> &y) {
        float loss = 0;
        check(mnist_train_step(model_.get(), y.size(), x.data(), y.data(), &loss));
        return loss;
    }

    std::array<float, 10> predict(const float *image) {
        std::array<float, 10> probabilities{};
        check(mnist_predict(model_.get(), 1, image, probabilities.data()));
        return probabilities;
    }

private:
    struct Destroy {
        void operator()(mnist *model) const { mnist_destroy(model); }
    };
    std::unique_ptr<mnist, Destroy> model_;
};

}  // namespace

int main(int argc, char **argv) try {
    const std::string path = argc > 1 ? argv[1] : "mnist.safetensors";
    // Image i has every tenth pixel set, from its label on.
    std::vector<float> x(16 * 784, 0.0f);
    std::vector<std::int32_t> y(16);
    for (std::size_t i = 0; i < y.size(); i++) {
        y[i] = static_cast<std::int32_t>(i % 10);
        for (std::size_t p = i % 10; p < 784; p += 10) x[i * 784 + p] = 1.0f;
    }
    Model model;
    model.init(1);
    float loss = 0;
    for (int step = 0; step < 50; step++) loss = model.train(x, y);
    model.save(path);

    Model again;
    again.load(path);
    const auto probabilities = again.predict(&x[7 * 784]);
    const auto best = std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
    std::printf("loss %.4f; image 7 is a %td\n", static_cast<double>(loss), best);
    y[0] = 10;
    try {
        model.train(x, y);
    } catch (const std::runtime_error &error) {
        std::printf("%s\n", error.what());
    }
    return best == 7 ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
