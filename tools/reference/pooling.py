"""Cases of pooling over time, and of layers that change the length of a sequence."""
from golden import L, case, chain, sequential

H5 = (".keras", ".h5")


def cases():
    for kind, layer in (("max", lambda **k: L.MaxPooling1D(**k)), ("average", lambda **k: L.AveragePooling1D(**k))):
        def pool(name, steps=7, files=(".keras",), **options):
            case(f"{kind}_pooling1d_{name}", chain((steps, 3), lambda: layer(**options)), lambda n: n(2, steps, 3), files)
        pool("2", pool_size=2, files=H5)
        pool("same", pool_size=3, padding="same")
        pool("same_strides_1", pool_size=3, strides=1, padding="same")
        pool("same_strides_2", steps=8, pool_size=4, strides=2, padding="same")
        pool("valid_strides_3", steps=9, pool_size=2, strides=3)
        pool("valid_overlapping", steps=9, pool_size=4, strides=1)
        pool("whole_length", pool_size=7)
        case(f"{kind}_pooling1d_open_length", chain((None, 3), lambda: layer(pool_size=2), lambda: layer(pool_size=3, strides=2, padding="same")),
             lambda n: [n(6, 3), n(9, 3), n(5, 3)])
    for kind, layer in (("max", lambda **k: L.GlobalMaxPooling1D(**k)), ("average", lambda **k: L.GlobalAveragePooling1D(**k))):
        case(f"global_{kind}_pooling1d", sequential((6, 3), lambda: L.Conv1D(4, 2), lambda: layer()), lambda n: n(2, 6, 3), H5)
        case(f"global_{kind}_pooling1d_keepdims", sequential((6, 3), lambda: layer(keepdims=True), lambda: L.LSTM(3)), lambda n: n(2, 6, 3))
        case(f"global_{kind}_pooling1d_masked", sequential((6, 3), lambda: L.Masking(), lambda: L.LSTM(4, return_sequences=True),
             lambda: layer()), lambda n: n.masked(3, 6, 3), H5)
        case(f"global_{kind}_pooling1d_masked_keepdims", sequential((6, 3), lambda: L.Masking(), lambda: layer(keepdims=True)),
             lambda n: n.masked(3, 6, 3, pad="left"))
        case(f"global_{kind}_pooling1d_embedding", sequential((6,), lambda: L.Embedding(9, 4, mask_zero=True), lambda: layer(),
             lambda: L.Dense(2)), lambda n: n.ids(3, 6), H5)
        case(f"global_{kind}_pooling1d_open_length", chain((None, 3), lambda: layer()), lambda n: [n(4, 3), n(7, 3)])
    for name, make in (("up_sampling1d", lambda: L.UpSampling1D(3)), ("zero_padding1d", lambda: L.ZeroPadding1D(2)),
                       ("zero_padding1d_two", lambda: L.ZeroPadding1D((1, 3))), ("zero_padding1d_left", lambda: L.ZeroPadding1D((2, 0))),
                       ("cropping1d", lambda: L.Cropping1D(1)), ("cropping1d_two", lambda: L.Cropping1D((1, 2))),
                       ("cropping1d_left", lambda: L.Cropping1D((2, 0)))):
        case(name, chain((6, 3), make), lambda n: n(2, 6, 3), H5 if name[-1] == "d" else (".keras",))
        case(name + "_lstm", sequential((None, 3), make, lambda: L.LSTM(3, return_sequences=True)), lambda n: [n(5, 3), n(7, 3)])
    case("zero_padding1d_conv1d_cropping1d", sequential((6, 3), lambda: L.ZeroPadding1D((2, 0)), lambda: L.Conv1D(4, 3),
         lambda: L.Cropping1D((1, 0)), lambda: L.UpSampling1D(2), lambda: L.GRU(3)), lambda n: n(2, 6, 3), H5)
    case("autoencoder", sequential((8, 2), lambda: L.Conv1D(4, 3, padding="same", activation="relu"), lambda: L.MaxPooling1D(2, padding="same"),
         lambda: L.Conv1D(3, 3, padding="same", activation="relu"), lambda: L.UpSampling1D(2),
         lambda: L.Conv1D(2, 3, padding="same", activation="sigmoid")), lambda n: n(2, 8, 2), H5)
