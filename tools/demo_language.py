#!/usr/bin/env python3
"""demo_language.py FOLDER: train the demo model "language", which tells in which of ten languages a text is written.

Texts are the names of countries, languages, currencies, months, days and units in the packages Babel (CLDR) and
stop-words of PyPI; each sample is a few of them, joined. Run it with Keras 3 on TensorFlow:
pip install tensorflow-cpu==2.18 babel stop-words
"""
import collections, json, os, random, re, sys, zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["KERAS_BACKEND"] = "tensorflow"
import babel, keras, stop_words
import numpy as np
import tensorflow as tf

L = keras.layers
OUT = sys.argv[1]
LANGUAGES = {"cs": "Czech", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "nl": "Dutch",
             "pl": "Polish", "pt": "Portuguese", "sv": "Swedish"}
LENGTH = 40
random.seed(1)
keras.utils.set_random_seed(1)


def phrases(code):
    """The names of a locale, and the frequent words of its language."""
    locale = babel.Locale(code)
    names = [*locale.territories.values(), *locale.languages.values(), *locale.currencies.values(), *locale.scripts.values()]
    for table in (locale.months, locale.days, locale.quarters):
        names += [name for width in table["format"].values() for name in (width.values() if isinstance(width, dict) else ())]
    names = sorted({name for name in names if len(re.findall(r"[^\W\d_]", name)) > 3})
    return names, sorted({word for word in stop_words.get_stop_words(code) if len(word) > 1})


def own(table):
    """The texts of each language that no other language has."""
    count = collections.Counter(text.lower() for texts in table.values() for text in texts)
    return {code: [text for text in texts if count[text.lower()] == 1] for code, texts in table.items()}


def sample(names, words):
    """A few words, and sometimes a name."""
    parts = [random.choice(words) if random.random() < 0.75 else random.choice(names) for _ in range(random.randint(2, 7))]
    text = " ".join(parts)
    return text if random.random() < 0.7 else text.capitalize()


NAMES = own({code: phrases(code)[0] for code in LANGUAGES})
WORDS = own({code: phrases(code)[1] for code in LANGUAGES})


def samples(part, count):
    texts, labels = [], []
    for i, code in enumerate(LANGUAGES):
        names, words = NAMES[code], WORDS[code]
        kept = [name for k, name in enumerate(names) if (k % 10 == 0) == (part == "test")]  # no name is in both parts
        texts += [sample(kept, words) for _ in range(count)]
        labels += [i] * count
    order = list(range(len(texts)))
    random.shuffle(order)
    return [texts[k] for k in order], np.array([labels[k] for k in order])


train, test = samples("train", 5000), samples("test", 200)
letters = L.TextVectorization(max_tokens=96, standardize="lower", split="character", output_sequence_length=LENGTH)
letters.adapt(tf.constant(train[0]))
model = keras.Sequential([keras.Input(shape=(1,), dtype="string", name="text"), letters,
                          L.Embedding(letters.vocabulary_size(), 16, mask_zero=True, name="letters"),
                          L.Bidirectional(L.GRU(48), name="words"), L.Dense(len(LANGUAGES), activation="softmax", name="language")],
                         name="language")
model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
as_input = lambda texts: tf.constant([[text] for text in texts])
model.fit(as_input(train[0]), train[1], batch_size=128, epochs=int(os.environ.get("EPOCHS", "7")), verbose=2,
          callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: 5e-3 * 0.65**epoch)])
print("accuracy of new names:", model.evaluate(as_input(test[0]), test[1], verbose=0)[1])
sentences = ["Where is the railway station?", "Wo ist der Bahnhof, bitte?", "Où est la gare, s'il vous plaît ?", "¿Dónde está la estación?",
             "Dov'è la stazione?", "Waar is het station?", "Gdzie jest dworzec?", "Onde fica a estação?", "Var ligger stationen?", "Kde je nádraží?"]
for sentence, p in zip(sentences, model.predict(as_input(sentences), verbose=0)):
    print(f"{sentence:40} {list(LANGUAGES.values())[p.argmax()]:12} {p.max():.2f}")
os.makedirs(OUT, exist_ok=True)
served = keras.Sequential(model.layers, name="language")  # without the optimizer's state
served.build((None, 1))
served.save(f"{OUT}/whole.keras")
with zipfile.ZipFile(f"{OUT}/whole.keras") as old, zipfile.ZipFile(f"{OUT}/language.keras", "w", zipfile.ZIP_DEFLATED) as new:
    for entry in sorted(old.namelist()):
        new.writestr(zipfile.ZipInfo(entry, (2024, 1, 1, 0, 0, 0)), old.read(entry), zipfile.ZIP_DEFLATED, 9)
os.remove(f"{OUT}/whole.keras")
with open(f"{OUT}/language.transform.json", "w") as file:
    json.dump({"labels": list(LANGUAGES.values())}, file)
    file.write("\n")
rows = test[0][:100]
with open(f"{OUT}/test.json", "w") as file:
    json.dump({"instances": rows, "outputs": [[round(float(x), 6) for x in p] for p in model.predict(as_input(rows), verbose=0)]}, file,
              ensure_ascii=False)
    file.write("\n")
