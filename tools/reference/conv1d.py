"""Conv1D, SeparableConv1D and DepthwiseConv1D."""
from golden import L, case, chain, sequential

H5 = (".keras", ".h5")


def cases():
    def conv(name, steps=7, features=3, rows=2, files=(".keras",), **options):
        case("conv1d_" + name, chain((steps, features), lambda: L.Conv1D(**options)), lambda n: n(rows, steps, features), files)

    conv("valid", filters=4, kernel_size=3, files=H5 + (".weights.h5",))
    conv("same", filters=4, kernel_size=3, padding="same", activation="relu")
    conv("same_even", filters=4, kernel_size=4, padding="same", activation="tanh")
    conv("same_strides", filters=4, kernel_size=3, strides=2, padding="same")
    conv("same_strides_3", steps=8, filters=2, kernel_size=4, strides=3, padding="same")
    conv("same_strides_more_than_kernel", steps=8, filters=2, kernel_size=2, strides=3, padding="same")
    conv("same_dilated", filters=4, kernel_size=3, dilation_rate=2, padding="same")
    conv("same_kernel_more_than_steps", steps=3, filters=2, kernel_size=7, padding="same")
    conv("valid_strides", filters=4, kernel_size=3, strides=2)
    conv("valid_dilated", filters=4, kernel_size=3, dilation_rate=3)
    conv("valid_whole_length", filters=4, kernel_size=7)
    conv("causal", filters=4, kernel_size=3, padding="causal", files=H5)
    conv("causal_dilated", filters=4, kernel_size=2, dilation_rate=4, padding="causal")
    conv("causal_strides", filters=4, kernel_size=3, strides=2, padding="causal")
    conv("causal_kernel_more_than_steps", steps=3, filters=2, kernel_size=5, padding="causal")
    conv("groups", features=6, filters=4, kernel_size=3, groups=2)
    conv("groups_causal", features=4, filters=8, kernel_size=2, groups=4, padding="causal", activation="relu")
    conv("kernel_1", filters=5, kernel_size=1, activation="sigmoid")
    conv("no_bias", filters=4, kernel_size=3, use_bias=False, activation="elu")
    conv("activation_softmax", filters=4, kernel_size=3, activation="softmax")
    conv("wide", steps=12, features=17, filters=19, kernel_size=5, padding="same", activation="relu")
    conv("one_feature", steps=9, features=1, filters=6, kernel_size=3, activation="relu")

    case("conv1d_open_length", chain((None, 3), lambda: L.Conv1D(4, 3, padding="causal", activation="relu"),
         lambda: L.Conv1D(3, 3, strides=2, padding="same"), lambda: L.Conv1D(2, 2)), lambda n: [n(6, 3), n(9, 3), n(4, 3)])
    case("conv1d_open_length_wide", sequential((None, 3), lambda: L.Conv1D(4, 5, activation="relu"), lambda: L.MaxPooling1D(2),
         lambda: L.LSTM(3)), lambda n: [n(7, 3), n(9, 3), n(6, 3)])
    case("conv1d_causal_stack", sequential((None, 2), *[lambda d=d: L.Conv1D(4, 2, dilation_rate=d, padding="causal",
         activation="relu") for d in (1, 2, 4)], lambda: L.LSTM(5, return_sequences=True), lambda: L.Dense(2)),
         lambda n: n(2, 10, 2), H5)
    case("conv1d_lstm", sequential((12, 3), lambda: L.Conv1D(8, 3, activation="relu"), lambda: L.MaxPooling1D(2),
         lambda: L.Dropout(0.2), lambda: L.LSTM(5), lambda: L.Dense(1)), lambda n: n(3, 12, 3), H5)
    case("conv1d_flatten_dense", sequential((8, 2), lambda: L.Conv1D(4, 3, activation="relu"),
         lambda: L.BatchNormalization(), lambda: L.Flatten(), lambda: L.Dense(3, activation="softmax")), lambda n: n(2, 8, 2), H5)
    case("lstm_conv1d", sequential((8, 2), lambda: L.LSTM(4, return_sequences=True), lambda: L.Conv1D(3, 3, padding="same"),
         lambda: L.GlobalMaxPooling1D()), lambda n: n(2, 8, 2))
    case("conv1d_bidirectional", sequential((8, 2), lambda: L.Conv1D(4, 2, padding="causal"),
         lambda: L.Bidirectional(L.GRU(3, return_sequences=True)), lambda: L.TimeDistributed(L.Dense(2))),
         lambda n: n(2, 8, 2))
    case("conv1d_on_rank_4", chain((3, 7, 2), lambda: L.Conv1D(4, 3, activation="relu")), lambda n: n(2, 3, 7, 2))

    def separable(name, files=(".keras",), features=3, **options):
        case("separable_conv1d_" + name, chain((7, features), lambda: L.SeparableConv1D(**options)),
             lambda n: n(2, 7, features), files)

    separable("valid", filters=4, kernel_size=3, files=H5)
    separable("same_strides", filters=4, kernel_size=3, strides=2, padding="same", activation="relu")
    separable("causal", filters=4, kernel_size=3, padding="causal")
    separable("causal_dilated", filters=4, kernel_size=2, dilation_rate=2, padding="causal")
    separable("dilated", filters=4, kernel_size=2, dilation_rate=2, padding="same")
    separable("multiplier", filters=5, kernel_size=3, depth_multiplier=2, activation="tanh")
    separable("no_bias", filters=5, kernel_size=4, use_bias=False, padding="same")

    def depthwise(name, files=(".keras",), features=3, **options):
        case("depthwise_conv1d_" + name, chain((7, features), lambda: L.DepthwiseConv1D(**options)),
             lambda n: n(2, 7, features), files)

    depthwise("valid", kernel_size=3, files=H5)
    depthwise("same_strides", kernel_size=3, strides=2, padding="same", activation="relu")
    depthwise("same_even", kernel_size=4, padding="same")
    depthwise("causal", kernel_size=3, padding="causal")
    depthwise("multiplier", kernel_size=3, depth_multiplier=2, activation="tanh")
    depthwise("dilated", kernel_size=2, dilation_rate=3)
    depthwise("no_bias", kernel_size=3, use_bias=False)
