"""Cases of TimeDistributed around each layer, and of nested models."""
from golden import L, MAJOR, case, chain, graph, keras, sequential

H5 = (".keras", ".h5")


def time_distributed():
    td = lambda make: lambda: L.TimeDistributed(make())
    def on(name, shape, *layers, files=(".keras",)):
        case("time_distributed_" + name, sequential(shape, *layers), lambda n: n(2, *shape), files)

    on("dense", (4, 3), td(lambda: L.Dense(2, activation="relu")), lambda: L.LSTM(2), files=H5)
    on("conv1d", (3, 6, 2), td(lambda: L.Conv1D(3, 2, activation="relu")), td(lambda: L.MaxPooling1D(2)), td(lambda: L.Flatten()), lambda: L.LSTM(3), files=H5 + (".weights.h5",))
    on("conv1d_pooling", (3, 6, 2), td(lambda: L.Conv1D(3, 3, padding="causal")), td(lambda: L.GlobalAveragePooling1D()), lambda: L.GRU(2))
    on("conv2d", (3, 4, 4, 1), td(lambda: L.Conv2D(2, 2)), td(lambda: L.Flatten()), lambda: L.LSTM(2), files=H5)
    on("flatten", (3, 4, 2), td(lambda: L.Flatten()), lambda: L.LSTM(2))
    on("reshape", (3, 4), td(lambda: L.Reshape((2, 2))), td(lambda: L.Permute((2, 1))), td(lambda: L.Flatten()))
    on("dropout", (3, 4), td(lambda: L.Dropout(0.3)), td(lambda: L.Activation("tanh")))
    on("normalization", (3, 4), td(lambda: L.BatchNormalization()), td(lambda: L.LayerNormalization()), lambda: L.LSTM(2))
    on("batch_normalization_images", (3, 2, 2, 4), td(lambda: L.BatchNormalization()))
    on("lstm", (3, 5, 2), td(lambda: L.LSTM(3)), lambda: L.LSTM(2), files=H5)
    on("lstm_sequences", (3, 5, 2), td(lambda: L.LSTM(3, return_sequences=True)), td(lambda: L.GRU(2)))
    on("bidirectional", (3, 5, 2), td(lambda: L.Bidirectional(L.GRU(3))), lambda: L.LSTM(2), files=H5)
    on("time_distributed", (2, 3, 4, 2), td(lambda: L.TimeDistributed(L.Dense(3))))
    on("embedding", (3, 4), td(lambda: L.Dense(2)), td(lambda: L.RepeatVector(2)), td(lambda: L.LSTM(2)))
    cnn = lambda: keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(2, 2, activation="relu"), L.MaxPooling2D(2), L.Flatten(), L.Dense(3)])
    on("sequential", (3, 4, 4, 1), td(cnn), lambda: L.LSTM(2), lambda: L.Dense(1), files=H5 + (".weights.h5",))
    on("functional", (3, 5), td(graph(lambda v: L.Concatenate()([v, L.Dense(2)(v)]), v=(5,))), lambda: L.GRU(2), files=H5)
    on("functional_rnn", (3, 4, 2), td(graph(lambda v: L.Dense(2)(L.Concatenate()([L.LSTM(2)(v), L.GlobalMaxPooling1D()(v)])), v=(4, 2))), lambda: L.LSTM(2))
    case("time_distributed_words", sequential((3, 5), lambda: L.TimeDistributed(L.Embedding(9, 3)), lambda: L.TimeDistributed(L.LSTM(3)),
         lambda: L.LSTM(2), dtype="int32"), lambda n: n.ids(2, 3, 5))
    case("time_distributed_open_length", sequential((None, 4, 2), lambda: L.TimeDistributed(L.Conv1D(2, 2)), lambda: L.TimeDistributed(L.Flatten()),
         lambda: L.LSTM(2, return_sequences=True)), lambda n: [n(3, 4, 2), n(5, 4, 2)])


def models():
    inner = lambda: keras.Sequential([keras.Input((5, 3)), L.LSTM(4, return_sequences=True), L.Dense(3)])
    case("nested_sequential", sequential((5, 3), inner, lambda: L.LSTM(2)), lambda n: n(2, 5, 3), H5 + (".weights.h5",))
    case("nested_sequential_three", sequential((5, 3), lambda: keras.Sequential([keras.Input((5, 3)), inner(), L.Dense(3)]), inner, lambda: L.GRU(2)),
         lambda n: n(2, 5, 3), H5 + (".weights.h5",))
    case("nested_sequential_twice", graph(lambda a, b: (lambda m: L.Subtract()([m(a), m(b)]))(inner()), a=(5, 3), b=(5, 3)),
         lambda n: {"a": n(2, 5, 3), "b": n(2, 5, 3)}, H5)
    branch = graph(lambda u: L.Concatenate()([L.LSTM(2)(u), L.GRU(2)(u)]), u=(5, 3))
    case("nested_functional", graph(lambda x: L.Dense(2)(branch()(x)), x=(5, 3)), lambda n: n(2, 5, 3), H5 + (".weights.h5",))
    case("nested_functional_deep", graph(lambda x: L.Dense(1)(graph(lambda v: L.Dense(3)(branch()(v)), v=(5, 3))()(x)), x=(5, 3)), lambda n: n(2, 5, 3), H5)
    two = graph(lambda p, q: L.Concatenate()([L.LSTM(2)(p), L.Dense(2)(q)]), p=(5, 3), q=(4,))
    case("nested_two_inputs", graph(lambda a, b: L.Dense(2)(two()([a, b])), a=(5, 3), b=(4,)), lambda n: {"a": n(2, 5, 3), "b": n(2, 4)}, H5)
    out2 = graph(lambda u: [L.LSTM(3)(u), L.GlobalMaxPooling1D()(u)], u=(5, 3))
    case("nested_two_outputs", graph(lambda x: (lambda y: L.Concatenate()([y[0], y[1]]))(out2()(x)), x=(5, 3)), lambda n: n(2, 5, 3), H5)
    case("nested_output_of_model", graph(lambda x: [branch()(x), L.LSTM(1, name="z")(x)], x=(5, 3)), lambda n: n(2, 5, 3))
    case("nested_masked", sequential((6,), lambda: keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(9, 3, mask_zero=True),
         L.LSTM(4, return_sequences=True)]), lambda: L.LSTM(2), dtype="int32"), lambda n: n.ids(3, 6), H5)
    case("nested_masked_functional", graph(lambda x: L.GRU(2)(graph(lambda v: L.LSTM(3, return_sequences=True)(L.Masking()(v)), v=(5, 3))()(x)), x=(5, 3)),
         lambda n: n.masked(3, 5, 3))
    case("nested_mask_from_outside", graph(lambda x: graph(lambda v: L.LSTM(2)(L.Dense(3)(v)), v=(5, 3))()(L.Masking()(x)), x=(5, 3)),
         lambda n: n.masked(3, 5, 3), H5)
    case("nested_dense_head", graph(lambda x: keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu"), L.Dense(2)], name="head")(L.LSTM(4)(x)),
         x=(5, 3)), lambda n: n(2, 5, 3), H5)
    case("nested_autoencoder", graph(lambda x: keras.Sequential([keras.Input((4,)), L.RepeatVector(5), L.LSTM(3, return_sequences=True), L.TimeDistributed(L.Dense(3))],
         name="decoder")(keras.Sequential([keras.Input((5, 3)), L.LSTM(4)], name="encoder")(x)), x=(5, 3)), lambda n: n(2, 5, 3), H5)


def cases():
    time_distributed()
    models()
