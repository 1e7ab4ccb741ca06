"""Cases of layers on images and frames: Conv2D, DepthwiseConv2D, pooling, ConvLSTM1D and ConvLSTM2D."""
from golden import L, MAJOR, case, chain, graph, sequential

H5 = (".keras", ".h5")


def convolutions():
    def conv(name, shape=(5, 6, 2), files=(".keras",), **options):
        case("conv2d_" + name, chain(shape, lambda: L.Conv2D(**options)), lambda n: n(2, *shape), files)

    conv("valid", filters=3, kernel_size=(2, 3), files=H5 + (".weights.h5",))
    conv("same", filters=3, kernel_size=3, padding="same", activation="relu", files=H5)
    conv("same_even", filters=3, kernel_size=(2, 4), padding="same")
    conv("same_strides", filters=3, kernel_size=3, strides=2, padding="same")
    conv("same_strides_two", filters=3, kernel_size=(3, 2), strides=(1, 3), padding="same")
    conv("valid_strides", filters=3, kernel_size=2, strides=(2, 1), activation="tanh")
    conv("dilated", filters=3, kernel_size=(2, 2), dilation_rate=(2, 3))
    conv("same_dilated", filters=2, kernel_size=(3, 2), dilation_rate=(1, 2), padding="same")
    conv("groups", shape=(4, 4, 4), filters=6, kernel_size=2, groups=2)
    conv("kernel_1_no_bias", filters=4, kernel_size=1, use_bias=False)
    conv("one_channel", shape=(5, 6, 1), filters=3, kernel_size=3, activation="relu")

    def depthwise(name, shape=(5, 6, 2), files=(".keras",), **options):
        case("depthwise_conv2d_" + name, chain(shape, lambda: L.DepthwiseConv2D(**options)), lambda n: n(2, *shape), files)

    depthwise("valid", kernel_size=(2, 3), files=H5)
    depthwise("same", kernel_size=3, strides=2, padding="same", activation="relu")
    depthwise("multiplier", kernel_size=2, depth_multiplier=3)
    depthwise("dilated_no_bias", kernel_size=2, dilation_rate=2, use_bias=False)
    case("separable_conv2d", chain((5, 6, 2), lambda: L.SeparableConv2D(3, 3, depth_multiplier=2, padding="same")), lambda n: n(2, 5, 6, 2))


def pooling():
    for kind, make in (("max", lambda **k: L.MaxPooling2D(**k)), ("average", lambda **k: L.AveragePooling2D(**k))):
        def pool(name, files=(".keras",), **options):
            case(f"{kind}_pooling2d_{name}", chain((5, 7, 2), lambda: make(**options)), lambda n: n(2, 5, 7, 2), files)
        pool("2", pool_size=2, files=H5)
        pool("same", pool_size=(3, 2), padding="same")
        pool("strides", pool_size=(2, 3), strides=(1, 2))
        pool("same_strides_1", pool_size=3, strides=1, padding="same")
    for kind, make in (("max", lambda **k: L.GlobalMaxPooling2D(**k)), ("average", lambda **k: L.GlobalAveragePooling2D(**k))):
        case(f"global_{kind}_pooling2d", chain((4, 5, 3), lambda: make()), lambda n: n(2, 4, 5, 3), H5)
        case(f"global_{kind}_pooling2d_keepdims", chain((4, 5, 3), lambda: make(keepdims=True)), lambda n: n(2, 4, 5, 3))


def frames():
    """CNN-RNN models of frames. The axes after the batch are time, height, width, channels."""
    t = lambda make: lambda: L.TimeDistributed(make())
    x = lambda n: n(2, 3, 6, 6, 1)
    case("frames_cnn_lstm", sequential((3, 6, 6, 1), t(lambda: L.Conv2D(3, 3, activation="relu")), t(lambda: L.MaxPooling2D(2)),
         t(lambda: L.Flatten()), lambda: L.LSTM(4), lambda: L.Dense(2, activation="softmax")), x, H5 + (".weights.h5",))
    case("frames_open_length", sequential((None, 6, 6, 1), t(lambda: L.Conv2D(3, 3, strides=2, padding="same")), t(lambda: L.BatchNormalization()),
         t(lambda: L.Activation("relu")), t(lambda: L.GlobalAveragePooling2D()), lambda: L.GRU(4, return_sequences=True)),
         lambda n: [n(3, 6, 6, 1), n(2, 6, 6, 1)], H5)
    case("frames_depthwise", sequential((3, 6, 6, 1), t(lambda: L.DepthwiseConv2D(3, depth_multiplier=2)), t(lambda: L.AveragePooling2D(2)),
         t(lambda: L.Dropout(0.2)), t(lambda: L.GlobalMaxPooling2D()), lambda: L.LSTM(3)), x)
    case("image_reshape_lstm", sequential((6, 5, 2), lambda: L.Conv2D(3, 3, padding="same", activation="relu"), lambda: L.MaxPooling2D((1, 2)),
         lambda: L.BatchNormalization(), lambda: L.Reshape((6, 6)), lambda: L.Bidirectional(L.LSTM(3, return_sequences=True)), lambda: L.Dense(4, activation="softmax")),
         lambda n: n(2, 6, 5, 2), H5)
    case("sequence_as_image", sequential((8, 3), lambda: L.Reshape((8, 3, 1)), lambda: L.Conv2D(4, (3, 3), activation="relu"), lambda: L.Reshape((6, 4)),
         lambda: L.GRU(3)), lambda n: n(2, 8, 3), H5)
    case("image_permute_reshape", sequential((4, 6, 2), lambda: L.Conv2D(3, 2), lambda: L.Permute((2, 1, 3)), lambda: L.Reshape((5, 9)), lambda: L.LSTM(3)), lambda n: n(2, 4, 6, 2))
    case("image_flatten_dense", sequential((5, 5, 1), lambda: L.Conv2D(3, 3, activation="relu"), lambda: L.Flatten(), lambda: L.Dense(2)), lambda n: n(2, 5, 5, 1))


def conv_lstm():
    def two(name, files=(".keras",), shape=(3, 5, 4, 2), **options):
        case("conv_lstm2d_" + name, chain(shape, lambda: L.ConvLSTM2D(**options)), lambda n: n(2, *shape), files)

    two("last", filters=3, kernel_size=2, files=H5 + (".weights.h5",))
    two("sequences", filters=3, kernel_size=(3, 2), padding="same", return_sequences=True, files=H5)
    two("strides", filters=2, kernel_size=3, strides=(2, 1), padding="same")
    two("dilated", filters=2, kernel_size=2, dilation_rate=(2, 1))
    two("backwards", filters=2, kernel_size=2, go_backwards=True, return_sequences=True)
    two("activations", filters=2, kernel_size=2, activation="relu", recurrent_activation="sigmoid", use_bias=False)
    two("hard_sigmoid", filters=2, kernel_size=2, recurrent_activation="hard_sigmoid")

    def one(name, files=(".keras",), **options):
        case("conv_lstm1d_" + name, chain((4, 6, 2), lambda: L.ConvLSTM1D(**options)), lambda n: n(2, 4, 6, 2), files)

    one("last", filters=3, kernel_size=2, files=H5)
    one("sequences", filters=3, kernel_size=3, padding="same", return_sequences=True)
    one("strides", filters=2, kernel_size=3, strides=2)
    one("dilated", filters=2, kernel_size=2, dilation_rate=2)
    one("backwards", filters=2, kernel_size=2, go_backwards=True)
    states = lambda make: graph(lambda x: list(make(return_state=True, name="c")(x)), x=(3, 5, 4, 2))
    case("conv_lstm2d_state", states(lambda **k: L.ConvLSTM2D(2, 2, **k)), lambda n: n(2, 3, 5, 4, 2), H5)
    case("conv_lstm2d_state_sequences", states(lambda **k: L.ConvLSTM2D(2, 2, padding="same", return_sequences=True, **k)), lambda n: n(2, 3, 5, 4, 2))
    case("conv_lstm1d_state", graph(lambda x: list(L.ConvLSTM1D(2, 2, return_state=True, name="c")(x)), x=(4, 6, 2)), lambda n: n(2, 4, 6, 2))
    rows = [[True, True, True], [True, True, False]]
    holes = [[False, True, True], [True, False, True]]
    for name, mask in (("right", rows), ("holes", holes)):
        case("conv_lstm2d_mask_" + name, chain((3, 5, 4, 2), lambda: L.ConvLSTM2D(2, 2, return_sequences=True)), lambda n: n(2, 3, 5, 4, 2), mask=mask)
    case("conv_lstm2d_mask_last", chain((3, 5, 4, 2), lambda: L.ConvLSTM2D(2, 2)), lambda n: n(2, 3, 5, 4, 2), mask=rows)
    case("conv_lstm1d_checkpoint", graph(lambda x: L.Add()([L.Bidirectional(L.ConvLSTM1D(2, 2), merge_mode="sum")(x), L.ConvLSTM1D(2, 2)(x)]), x=(4, 6, 2)),
         lambda n: n(2, 4, 6, 2), ("checkpoint",), only=2)
    case("conv_lstm1d_mask", chain((3, 6, 2), lambda: L.ConvLSTM1D(2, 2, return_sequences=True)), lambda n: n(2, 3, 6, 2), mask=rows)
    case("conv_lstm2d_stack", sequential((None, 5, 4, 1), lambda: L.ConvLSTM2D(3, 3, padding="same", return_sequences=True), lambda: L.BatchNormalization(),
         lambda: L.ConvLSTM2D(2, 3, padding="same"), lambda: L.Conv2D(1, 3, padding="same", activation="sigmoid")),
         lambda n: [n(3, 5, 4, 1), n(2, 5, 4, 1)], H5)
    case("conv_lstm2d_bidirectional", sequential((3, 5, 4, 1), lambda: L.Bidirectional(L.ConvLSTM2D(2, 2)), lambda: L.Flatten(), lambda: L.Dense(2)),
         lambda n: n(2, 3, 5, 4, 1))
    case("conv_lstm2d_flatten", sequential((3, 5, 4, 1), lambda: L.ConvLSTM2D(3, (1, 3), activation="relu"), lambda: L.Flatten(), lambda: L.RepeatVector(2),
         lambda: L.LSTM(3, return_sequences=True), lambda: L.TimeDistributed(L.Dense(1))), lambda n: n(2, 3, 5, 4, 1), H5)


def encoder_decoder(a, b):
    """The states of one ConvLSTM are the initial states of another."""
    encoded, h, c = L.ConvLSTM2D(2, 2, padding="same", return_state=True)(a)
    decoded = L.ConvLSTM2D(2, 3, padding="same", return_sequences=True)(b, initial_state=[h, c])
    return [decoded, L.Conv2D(1, 2)(h)]


def conv_lstm_states():
    case("conv_lstm2d_seq2seq", graph(encoder_decoder, a=(3, 4, 3, 2), b=(2, 4, 3, 1)), lambda n: {"a": n(2, 3, 4, 3, 2), "b": n(2, 2, 4, 3, 1)}, H5)
    case("conv_lstm1d_initial", graph(lambda x, h, c: L.ConvLSTM1D(2, 2)(x, initial_state=[h, c]), x=(3, 5, 1), h=(4, 2), c=(4, 2)),
         lambda n: {"x": n(2, 3, 5, 1), "h": n(2, 4, 2), "c": n(2, 4, 2)})
    case("conv_lstm1d_state_used", graph(lambda x: (lambda y, h, c: L.Dense(2)(L.Flatten()(c)))(*L.ConvLSTM1D(2, 2, return_state=True, return_sequences=True)(x)),
         x=(3, 5, 1)), lambda n: n(2, 3, 5, 1))
    for merge in ("sum", "mul", "ave", "concat"):
        case("conv_lstm1d_bidirectional_" + merge, graph(lambda x: L.Bidirectional(L.ConvLSTM1D(2, 2, return_sequences=True), merge_mode=merge)(x), x=(3, 5, 1)),
             lambda n: n(2, 3, 5, 1), H5)
    rows = [[True, True, True], [True, True, False]]
    case("conv_lstm2d_bidirectional_mask", graph(lambda x: L.Bidirectional(L.ConvLSTM2D(2, 2, return_sequences=True))(x), x=(3, 4, 3, 1)), lambda n: n(2, 3, 4, 3, 1), mask=rows)
    case("conv_lstm2d_bidirectional_backward", graph(lambda x: L.Bidirectional(L.ConvLSTM2D(2, 2), backward_layer=L.ConvLSTM2D(2, 2, activation="relu",
         go_backwards=True))(x), x=(3, 4, 3, 1)), lambda n: n(2, 3, 4, 3, 1))
    case("conv_lstm2d_stateful_stack", sequential((None, 4, 3, 1), lambda: L.ConvLSTM2D(2, 2, return_sequences=True), lambda: L.TimeDistributed(L.Flatten()),
         lambda: L.LSTM(3, return_sequences=True)), lambda n: [n(4, 4, 3, 1), n(2, 4, 3, 1)])


def cases():
    convolutions()
    pooling()
    frames()
    conv_lstm()
    conv_lstm_states()
