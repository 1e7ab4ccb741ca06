/* Recognizes the format of a file by its first and last bytes. The order of the table matters: a file has the first
   format that fits. */
#include "formats.h"

#include "config/files/onnx_file.h"
#include "config/files/sorted_table.h"
#include "config/files/torch_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- tests ---- */

static const char *text_of(const struct file_head *head)
{
    const char *text = (const char *)head->bytes;
    if (!strncmp(text, "\xef\xbb\xbf", 3))
        text += 3;
    return text + strspn(text, " \t\r\n");
}

static bool begins(const struct file_head *head, const char *word)
{
    return !strncasecmp(text_of(head), word, strlen(word));
}

/* Whether the bytes have no control characters except white space. */
static bool is_text(const struct file_head *head)
{
    for (size_t i = 0; i < head->n; i++)
        if (head->bytes[i] < 0x20 && !strchr("\t\r\n\f\b\x1b", head->bytes[i]))
            return false;
        else if (!head->bytes[i])
            return false;
    return true;
}

static bool is_empty(const struct file_head *head)
{
    return !head->size;
}

static bool is_safetensors(const struct file_head *head)
{
    return head->n >= 9 && head->bytes[8] == '{' && !head->bytes[7] && !head->bytes[6];
}

static bool is_pickle(const struct file_head *head)
{
    return torch_stream_is(head->bytes, head->n);
}

static bool is_checkpoint(const struct file_head *head)
{
    unsigned char end[48] = {0};
    memcpy(end + 40, head->tail, 8);
    return head->size >= 48 && sorted_table_is(end, sizeof end);
}

/* The name of a zip archive's first entry. */
static bool first_entry(const struct file_head *head, char *out, size_t size)
{
    size_t n = head->n > 30 ? (size_t)head->bytes[26] | (size_t)head->bytes[27] << 8 : 0;
    if (!n || n >= size || 30 + n > head->n)
        return false;
    snprintf(out, size, "%.*s", (int)n, (const char *)head->bytes + 30);
    return true;
}

static bool is_keras_zip(const struct file_head *head)
{
    char name[256];
    return first_entry(head, name, sizeof name) && (!strcmp(name, "metadata.json") || !strcmp(name, "config.json"));
}

static bool is_office(const struct file_head *head)
{
    char name[256];
    return first_entry(head, name, sizeof name) && (!strcmp(name, "[Content_Types].xml") || !strcmp(name, "mimetype"));
}

static bool is_html(const struct file_head *head)
{
    return begins(head, "<!doctype html") || begins(head, "<html") || begins(head, "<head") || begins(head, "<body");
}

static bool is_pmml(const struct file_head *head)
{
    return (begins(head, "<?xml") && strstr((const char *)head->bytes, "<PMML")) || begins(head, "<PMML");
}

static bool is_xml(const struct file_head *head)
{
    return begins(head, "<?xml") || (begins(head, "<") && is_text(head));
}

static bool is_json(const struct file_head *head)
{
    const char *text = text_of(head);
    return *text == '{' || *text == '[';
}

/* Core ML: a protobuf message. Field 1 is a small number, the version. Field 2 is a message that begins with its own
   field 1, a message. (In ONNX, field 2 is a text.) */
static bool has_version(const struct file_head *head, unsigned char least, unsigned char most)
{
    size_t at = 3;
    while (at < 8 && head->bytes[at] >= 0x80)
        at++;
    return head->n > 9 && head->bytes[0] == 0x08 && head->bytes[1] >= least && head->bytes[1] <= most &&
           head->bytes[2] == 0x12 && head->bytes[at + 1] == 0x0a;
}

static bool is_saved_model_file(const struct file_head *head)
{
    return has_version(head, 1, 1);
}

static bool is_core_ml(const struct file_head *head)
{
    return has_version(head, 2, 12);
}

static bool is_onnx(const struct file_head *head)
{
    return onnx_is(head->bytes, head->n);
}

static bool is_frozen_graph(const struct file_head *head)
{
    static const char *const ops[] = {"\x12\x0bPlaceholder", "\x12\x05"
                                                             "Const"};
    bool found = false;
    for (size_t i = 0; i < 2; i++)
        found |= memmem(head->bytes, head->n, ops[i], strlen(ops[i])) != NULL;
    return found && head->bytes[0] == 0x0a;
}

/* CSV: the first line has at least two columns, and the second line has as many. */
static bool is_table(const struct file_head *head)
{
    const char *line = text_of(head);
    size_t columns[2] = {0, 0};
    if (!is_text(head))
        return false;
    for (size_t i = 0; i < 2; i++) {
        size_t n = strcspn(line, "\r\n");
        for (size_t k = 0; k < n; k++)
            columns[i] += line[k] == ',' || line[k] == ';' || line[k] == '\t';
        line += n + strspn(line + n, "\r\n");
    }
    return columns[0] && columns[0] == columns[1];
}

/* Whether a line begins with the word. */
static bool has_line(const struct file_head *head, const char *word)
{
    const char *line = text_of(head);
    for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, word, strlen(word)))
            return true;
    return false;
}

static bool is_python(const struct file_head *head)
{
    static const char *const words[] = {"import ", "from ", "def ", "#!/usr/bin/env python", "# -*- coding"};
    bool found = false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        found |= has_line(head, words[i]);
    return found && is_text(head);
}

static bool is_keras_yaml(const struct file_head *head)
{
    return is_text(head) && (has_line(head, "class_name:") || has_line(head, "backend:"));
}

/* ---- sentences with numbers ---- */

static void describe_lfs(const struct file_head *head, char *out, size_t size)
{
    const char *found = strstr((const char *)head->bytes, "\nsize ");
    double bytes = found ? strtod(found + 6, NULL) : 0;
    static const char *const units[] = {"bytes", "kB", "MB", "GB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit < 3; unit++)
        bytes /= 1000;
    snprintf(out, size, "this is a Git LFS pointer of %.*f %s; run git lfs pull", unit ? 1 : 0, bytes, units[unit]);
}

static void describe_unknown(const struct file_head *head, char *out, size_t size)
{
    snprintf(out, size,
             "no format that is known (it begins with %02x %02x %02x %02x): expected a file of Keras, TensorFlow, "
             "PyTorch or safetensors; copy it again, it may be damaged",
             head->bytes[0], head->bytes[1], head->bytes[2], head->bytes[3]);
}

/* ---- the table ---- */

#define MAGIC(offset, text) .at = (offset), .magic = (text), .magic_bytes = sizeof(text) - 1
#define TEST(function) .magic = "", .test = (function)
#define FOREIGN(text) .reader = READ_NOTHING, .sentence = (text)

const struct format formats[] = {
    {"an empty file", TEST(is_empty), FOREIGN("the file is empty: it was not written, or not copied, to its end")},
    {"HDF5", MAGIC(0, "\x89HDF\r\n\x1a\n"), .reader = READ_ARCHIVE},
    {"a MATLAB file", MAGIC(0, "MATLAB "),
     FOREIGN("a MATLAB file; export the network from MATLAB with exportONNXNetwork")},
    {"an office document", MAGIC(0, "PK\3\4"), .test = is_office,
     FOREIGN("an office document, no model; give the model file")},
    {"a .keras file", MAGIC(0, "PK\3\4"), .test = is_keras_zip, .reader = READ_ARCHIVE, .whole = true},
    {"a zip archive", MAGIC(0, "PK\3\4"), .reader = READ_ARCHIVE, .vague = true},
    {"a TensorFlow Lite model", MAGIC(4, "TFL3"),
     FOREIGN(
         "a TensorFlow Lite model, whose layers have become operators; give the Keras model that it was made from")},
    {"a Git LFS pointer", MAGIC(0, "version https://git-lfs.github.com/spec/"), FOREIGN(NULL),
     .describe = describe_lfs},
    {"a PyTorch file before 1.6", MAGIC(0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),
     .reader = READ_ARCHIVE, .weights = true},
    {"a pickle", TEST(is_pickle), .reader = READ_ARCHIVE, .weights = true, .vague = true},
    {"a PNG image", MAGIC(0, "\x89PNG\r\n"), FOREIGN("a PNG image, no model; give the model file")},
    {"a JPEG image", MAGIC(0, "\xff\xd8\xff"), FOREIGN("a JPEG image, no model; give the model file")},
    {"a GIF image", MAGIC(0, "GIF8"), FOREIGN("a GIF image, no model; give the model file")},
    {"a sound or video file", MAGIC(0, "RIFF"), FOREIGN("a sound, image or video file, no model; give the model file")},
    {"gzip", MAGIC(0, "\x1f\x8b"), FOREIGN("packed by gzip; unpack it first (gunzip, or tar -xzf for a .tar.gz)")},
    {"bzip2", MAGIC(0, "BZh"), FOREIGN("packed by bzip2; unpack it first (bunzip2, or tar -xjf for a .tar.bz2)")},
    {"xz",
     MAGIC(0, "\xfd"
              "7zXZ"),
     FOREIGN("packed by xz; unpack it first (unxz, or tar -xJf for a .tar.xz)")},
    {"Zstandard", MAGIC(0, "\x28\xb5\x2f\xfd"), FOREIGN("packed by Zstandard; unpack it first (unzstd)")},
    {"zlib", MAGIC(0, "\x78\x9c"),
     FOREIGN("packed by zlib, as joblib.dump does with compress=True; a pickle can run "
             "code when it is loaded: save the model by Keras (model.save(\"m.keras\"))")},
    {"7z", MAGIC(0, "7z\xbc\xaf\x27\x1c"), FOREIGN("a 7z archive; unpack it first (7z x)")},
    {"RAR", MAGIC(0, "Rar!"), FOREIGN("a RAR archive; unpack it first (unrar x)")},
    {"tar", MAGIC(257, "ustar"), FOREIGN("a tar archive; unpack it first (tar -xf), and give the folder")},
    {"PDF", MAGIC(0, "%PDF"), FOREIGN("a PDF document, no model; give the model file")},
    {"NumPy array", MAGIC(0, "\x93NUMPY"),
     FOREIGN("a single NumPy array; put all weights in one file, numpy.savez(\"weights.npz\", *model.get_weights()), "
             "beside a model.json (model.to_json())")},
    {"a program",
     MAGIC(0, "\x7f"
              "ELF"),
     FOREIGN("a program or library, no model; give the model file")},
    {"a program", MAGIC(0, "MZ"), FOREIGN("a program or library of Windows, no model; give the model file")},
    {"UTF-16 text", MAGIC(0, "\xff\xfe"), FOREIGN("a text in UTF-16, as PowerShell writes; save it as UTF-8")},
    {"safetensors", TEST(is_safetensors), .reader = READ_SAFETENSORS, .weights = true},
    {"a TensorFlow checkpoint", TEST(is_checkpoint), .reader = READ_CHECKPOINT, .weights = true},
    {"saved_model.pb", TEST(is_saved_model_file), FOREIGN("a part of a SavedModel; give the folder that it lies in")},
    {"a Core ML model", TEST(is_core_ml),
     FOREIGN("a Core ML model; give the Keras or PyTorch model that it was made from")},
    {"an ONNX model", TEST(is_onnx), .reader = READ_ARCHIVE, .whole = true},
    {"a frozen graph", TEST(is_frozen_graph),
     FOREIGN("a frozen graph of TensorFlow 1, which holds operators, not layers; give the Keras model that it was made "
             "from (.h5, .keras or a SavedModel)")},
    {"a web page", TEST(is_html),
     FOREIGN("a web page, not the file itself: the address leads to a page about the file, or to a login; download the "
             "file itself (\"raw\")")},
    {"PMML", TEST(is_pmml), FOREIGN("a PMML model; give the Keras or PyTorch model that it was made from")},
    {"XML", TEST(is_xml), FOREIGN("an XML document, no model; give the model file")},
    {"JSON", TEST(is_json), .reader = READ_JSON},
    {"a model in YAML", TEST(is_keras_yaml),
     FOREIGN("a model in YAML (model.to_yaml()), which is not read: Keras itself dropped it in 2.6, since loading YAML "
             "can run code; write it as JSON: model_from_yaml(text).to_json()")},
    {"a Python program", TEST(is_python),
     FOREIGN("a Python program, which builds a model but does not hold one; run it, then save the model: "
             "model.save(\"m.keras\")")},
    {"a table", TEST(is_table),
     FOREIGN("a table of values (CSV), no model; send it as input, and give the model file")},
    {"a text", TEST(is_text),
     FOREIGN("a text that is no JSON: expected a model file, or a configuration in JSON "
             "(model.to_json())")},
    {"an unknown format", TEST(NULL), FOREIGN(NULL), .describe = describe_unknown},
    {.name = NULL},
};

/* ---- looking it up ---- */

static bool read_head(int fd, struct file_head *head)
{
    struct stat info;
    *head = (struct file_head){.n = 0};
    if (fstat(fd, &info))
        return false;
    head->size = info.st_size;
    ssize_t n = pread(fd, head->bytes, sizeof head->bytes - 1, 0);
    head->n = n > 0 ? (size_t)n : 0;
    if (info.st_size >= (off_t)sizeof head->tail &&
        pread(fd, head->tail, sizeof head->tail, info.st_size - (off_t)sizeof head->tail) < 0)
        return false;
    return n >= 0;
}

static bool fits(const struct format *format, const struct file_head *head)
{
    return head->n >= format->at + format->magic_bytes &&
           !memcmp(head->bytes + format->at, format->magic, format->magic_bytes) &&
           (!format->test || format->test(head));
}

const struct format *format_of(int fd)
{
    struct file_head head;
    const struct format *format = formats;
    read_head(fd, &head); /* bytes that cannot be read count as empty here; the format's reader reports the error */
    while (!fits(format, &head))
        format++;
    return format;
}

void format_sentence(const struct format *format, int fd, char *out, size_t size)
{
    struct file_head head;
    read_head(fd, &head);
    if (format->describe)
        format->describe(&head, out, size);
    else
        snprintf(out, size, "%s", format->sentence ? format->sentence : "");
}

void format_refuse(const struct format *format, int fd, const char *path, struct problems *problems)
{
    char sentence[400];
    format_sentence(format, fd, sentence, sizeof sentence);
    problem_reason(problems, format->sentence ? format->sentence : "its file is of a kind that is not served");
    problem_error(problems, (struct place){path, NULL}, "%s", sentence);
}
