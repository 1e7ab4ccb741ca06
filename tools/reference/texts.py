#!/usr/bin/env python3
"""texts.py FOLDER: write models of real Keras with text inputs (TextVectorization, StringLookup), a request for each,
and Keras's answer. Run it with Keras 2 (tensorflow 2.15) and with Keras 3 on TensorFlow; the layers need TensorFlow."""
import json, os, random, sys, tempfile, zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["KERAS_BACKEND"] = "tensorflow"
import numpy as np
import keras
import tensorflow as tf

L = keras.layers
MAJOR = keras.__version__.split(".")[0]
OUT = sys.argv[1]
TRAIN = ["The cat sat on the mat.", "A dog, a cat! and a mouse", "It's 7 o'clock; WHERE is the mouse-trap?"]
ASK = ["the cat, the dog: UNSEEN words", "Mouse!  mouse\tmouse", "It's 7 o'clock on the mat and A cat and a dog",
       "Äpfel\u00a0und \u201eBirnen\u201c \u2014 CAT's"]


def save(name, model, instances, inputs):
    """instances: the texts of the request. inputs: the same for Keras, one batch for each text, because Keras pads to
    the longest."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_weights:
        variable.assign(rng.normal(size=variable.shape) * 1.5)
    expected = [model.predict(x, verbose=0)[0].tolist() for x in inputs]
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m.keras")
        with zipfile.ZipFile(f"{folder}/m.keras") as old, zipfile.ZipFile(f"{OUT}/keras{MAJOR}_{name}.keras", "w", zipfile.ZIP_DEFLATED) as new:
            for entry in sorted(old.namelist()):
                new.writestr(zipfile.ZipInfo(entry, (2024, 1, 1, 0, 0, 0)), old.read(entry), zipfile.ZIP_DEFLATED, 9)
    with open(f"{OUT}/keras{MAJOR}_{name}.json", "w") as file:
        json.dump({"keras": keras.__version__, "instances": instances, "outputs": expected}, file, ensure_ascii=False)
        file.write("\n")


def texts(name, layer, shape=(1,), asked=ASK, mask=True):
    keras.utils.set_random_seed(1)
    keras.backend.clear_session()
    size = layer.vocabulary_size()
    model = keras.Sequential([keras.Input(shape=shape, dtype="string"), layer, L.Embedding(size, 3, mask_zero=mask), L.LSTM(3),
                              L.Dense(2, activation="softmax")])
    if isinstance(asked[0], str):
        inputs = [tf.constant([[text]] if shape else [text]) for text in asked]
    else:
        inputs = [tf.constant([words]) for words in asked]
    save(name, model, asked, inputs)


def vectorization(vocabulary=None, **options):
    layer = L.TextVectorization(vocabulary=vocabulary, **options)
    if vocabulary is None:
        layer.adapt(TRAIN)
    return layer


def lookup(vocabulary=None, **options):
    layer = L.StringLookup(vocabulary=vocabulary, **options)
    if vocabulary is None:
        layer.adapt(["walk", "run", "run", "Sit"])
    return layer


def functional():
    keras.utils.set_random_seed(1)
    keras.backend.clear_session()
    text, numbers = keras.Input(shape=(1,), dtype="string", name="review"), keras.Input(shape=(2,), name="price")
    layer = vectorization(output_sequence_length=5)
    x = L.LSTM(3)(L.Embedding(layer.vocabulary_size(), 3)(layer(text)))
    model = keras.Model([text, numbers], L.Dense(1, activation="sigmoid")(L.Concatenate()([x, numbers])))
    rows = [{"review": text, "price": [i / 4, -i / 8]} for i, text in enumerate(ASK)]
    save("functional", model, rows, [{"review": tf.constant([[r["review"]]]), "price": np.array([r["price"]])} for r in rows])


texts("vectorization", vectorization(output_sequence_length=6))
texts("open", vectorization(["the", "cat", "dog", "7", "oclock"]), shape=())
texts("characters", vectorization(split="character", standardize="lower", output_sequence_length=20))
texts("as_written", vectorization(["cat,", "Mouse!", "It's", "A", "7"], standardize=None, output_sequence_length=12), mask=False)
texts("strip", vectorization(standardize="strip_punctuation", max_tokens=12))
texts("whole", vectorization(["new york", "rome"], split=None, standardize="lower"), shape=(3,), asked=[["New York", "ROME", "x"], ["rome", "rome", ""]])
WORDS = [["run", "walk", "never"], ["Sit", "sit", "run"]]
texts("lookup", lookup(["walk", "run", "Sit"], mask_token=""), shape=(None,), asked=[*WORDS, ["run", "", "walk", ""]])
texts("adapted_lookup", lookup(oov_token="?"), shape=(3,), asked=WORDS, mask=False)
texts("no_unknown", lookup(["walk", "run", "never", "Sit", "sit"], num_oov_indices=0), shape=(None,), asked=WORDS, mask=False)
functional()
