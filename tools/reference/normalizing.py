"""Normalizations and activation layers."""
import numpy as np
from golden import L, MAJOR, case, chain, graph, keras, sequential

H5 = (".keras", ".h5")


def normalizations():
    def on(name, make, shape=(5, 3), files=(".keras",), **more):
        case(name, chain(shape, make), lambda n: n(2, *shape), files, **more)

    for kind in ("LayerNormalization", "BatchNormalization"):
        make = lambda k=kind, **o: getattr(L, k)(**o)
        name = kind.lower().replace("normalization", "_normalization")
        on(name + "_last", lambda: make(), files=H5 + (".weights.h5",))
        on(name + "_axis_1", lambda: make(axis=1), files=H5)
        on(name + "_axis_negative", lambda: make(axis=-2))
        on(name + "_vector", lambda: make(axis=1), (4,))
        on(name + "_no_scale", lambda: make(scale=False, axis=1))
        on(name + "_no_center", lambda: make(center=False, epsilon=0.01))
        on(name + "_images", lambda: make(), (2, 3, 4), files=H5)
        on(name + "_images_axis_1", lambda: make(axis=1), (2, 3, 4))
        on(name + "_images_axis_2", lambda: make(axis=2), (2, 3, 4))
        case(name + "_lstm", sequential((5, 3), lambda: L.LSTM(4, return_sequences=True), lambda: make(axis=1), lambda: L.LSTM(3)), lambda n: n(2, 5, 3))
    on("layer_normalization_axes", lambda: L.LayerNormalization(axis=[1, 2]), files=H5)
    on("layer_normalization_axes_images", lambda: L.LayerNormalization(axis=[2, 3]), (2, 3, 4))
    on("layer_normalization_axes_1_3", lambda: L.LayerNormalization(axis=[1, 3]), (2, 3, 4))
    if MAJOR == 3:
        on("rms_normalization", lambda: L.RMSNormalization(axis=-1))
    on("unit_normalization", lambda: L.UnitNormalization(), files=H5)
    on("unit_normalization_axis_1", lambda: L.UnitNormalization(axis=1))
    on("unit_normalization_axes", lambda: L.UnitNormalization(axis=[1, 2]))
    on("unit_normalization_vector", lambda: L.UnitNormalization(), (4,))
    on("group_normalization", lambda: L.GroupNormalization(groups=2), (5, 6), files=H5)
    on("group_normalization_instance", lambda: L.GroupNormalization(groups=-1), (5, 4))
    on("group_normalization_one", lambda: L.GroupNormalization(groups=1, epsilon=0.01, scale=False), (5, 4))
    on("group_normalization_images", lambda: L.GroupNormalization(groups=2, center=False), (2, 3, 4))
    on("group_normalization_axis_1", lambda: L.GroupNormalization(groups=2, axis=1), (4, 3))

    on("normalization_adapted", lambda: L.Normalization(), files=H5)
    on("normalization_adapted_vector", lambda: L.Normalization(), (4,), files=H5)
    on("normalization_adapted_time", lambda: L.Normalization(axis=(1, 2)), files=H5)
    on("normalization_adapted_axis_1", lambda: L.Normalization(axis=1))
    on("normalization_adapted_scalar", lambda: L.Normalization(axis=None))
    on("normalization_given", lambda: L.Normalization(mean=[0.5, -1.0, 2.0], variance=[1.5, 0.25, 4.0]), files=H5)
    on("normalization_given_scalar", lambda: L.Normalization(axis=None, mean=0.5, variance=2.0), files=H5)
    on("normalization_invert", lambda: L.Normalization(mean=[0.5, -1.0, 2.0], variance=[1.5, 0.25, 4.0], invert=True), files=H5)
    on("normalization_adapted_invert", lambda: L.Normalization(invert=True))
    on("normalization_adapted_checkpoint", lambda: L.Normalization(), files=("checkpoint",), only=2)
    case("normalization_lstm", sequential((5, 3), lambda: L.Normalization(), lambda: L.LSTM(4), lambda: L.Dense(1)), lambda n: n(2, 5, 3), H5 + (".weights.h5",))
    on("rescaling", lambda: L.Rescaling(1 / 255.0, offset=-0.5), files=H5)
    on("rescaling_no_offset", lambda: L.Rescaling(0.1), (2, 3, 4))
    on("rescaling_lists", lambda: L.Rescaling([0.5, 2.0, 3.0], offset=[1.0, -1.0, 0.25]))


def activations():
    def on(name, make, shape=(5, 3), files=(".keras",), **more):
        case(name, chain(shape, make), lambda n: n(2, *shape) * np.float32(2), files, **more)

    on("prelu", lambda: L.PReLU(), files=H5)
    on("prelu_shared_time", lambda: L.PReLU(shared_axes=[1]), files=H5)
    on("prelu_shared_all", lambda: L.PReLU(shared_axes=[1, 2]))
    on("prelu_vector", lambda: L.PReLU(), (4,))
    on("prelu_images_shared", lambda: L.PReLU(shared_axes=[1, 2]), (2, 3, 4))
    case("prelu_open_length", chain((None, 3), lambda: L.PReLU(shared_axes=[1])), lambda n: [n(4, 3), n(2, 3)])
    on("thresholded_relu", lambda: L.ThresholdedReLU(theta=0.7), files=H5, only=2)
    on("leaky_relu", lambda: L.LeakyReLU(), files=H5)
    on("leaky_relu_slope", lambda: L.LeakyReLU(0.05), (2, 3, 4))
    on("elu", lambda: L.ELU(alpha=0.5), files=H5)
    on("elu_images", lambda: L.ELU(), (2, 3, 4))
    on("relu", lambda: L.ReLU(), files=H5)
    on("relu_options", lambda: L.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2), files=H5)
    on("relu_images", lambda: L.ReLU(max_value=6), (2, 3, 4))
    on("softmax_last", lambda: L.Softmax(), files=H5)
    on("softmax_axis_1", lambda: L.Softmax(axis=1), files=H5)
    on("softmax_axes", lambda: L.Softmax(axis=[1, 2]))
    on("softmax_images", lambda: L.Softmax(axis=2), (2, 3, 4))
    on("softmax_vector", lambda: L.Softmax(), (4,))
    for kind in ("relu", "tanh", "softmax", "gelu", "swish", "hard_sigmoid", "softplus", "mish"):
        on("activation_" + kind, lambda: L.Activation(kind), (2, 3, 4) if kind in ("relu", "softmax") else (5, 3))
    on("activation_sparsemax", lambda: L.Activation("sparsemax"), (5, 3), only=3)
    case("activation_between", sequential((6, 3), lambda: L.Conv1D(4, 3), lambda: L.PReLU(shared_axes=[1]), lambda: L.Conv1D(4, 2, padding="causal"),
         lambda: L.BatchNormalization(), lambda: L.LeakyReLU(), lambda: L.LSTM(3)), lambda n: n(2, 6, 3), H5)


def cases():
    normalizations()
    activations()
