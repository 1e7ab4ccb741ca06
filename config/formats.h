/* The table of file formats: what a file is by its content, who reads it, or what to do with it. */
#ifndef CONFIG_FORMATS_H
#define CONFIG_FORMATS_H

#include "problems.h"

#include <sys/types.h>

enum format_reader {
    READ_JSON,        /* an architecture */
    READ_SAFETENSORS, /* in this process */
    READ_ARCHIVE,     /* HDF5, zip and pickles, by the confined helper */
    READ_CHECKPOINT,  /* the index of a TensorFlow checkpoint, by the confined helper */
    READ_NOTHING,     /* a foreign file: the sentence says what to do */
};

/* The first and last bytes of a file. */
struct file_head {
    unsigned char bytes[1025], tail[8]; /* NUL after the first ones */
    size_t n;
    off_t size;
};

/* A row of the table. A file has the first format that fits: its magic bytes stand at the offset, and the test, if there
   is one, says so. */
struct format {
    const char *name;
    enum format_reader reader;
    bool whole;        /* of files that are read: it holds a configuration as well */
    bool weights;      /* it holds weights alone */
    bool vague;        /* it may hold anything: among other files it counts by its name alone */
    size_t at;         /* the offset of the magic bytes */
    const char *magic; /* "" for any file */
    size_t magic_bytes;
    bool (*test)(const struct file_head *head);
    const char *sentence; /* of READ_NOTHING: what the file is, and what to do */
    void (*describe)(const struct file_head *head, char *out,
                     size_t size); /* a sentence with numbers in place of that */
};

/* The format of an open file. The table ends with a row that fits every file. */
const struct format *format_of(int fd);

/* The table, for tests; ends with a NULL name. */
extern const struct format formats[];

/* Add an error with the sentence of a foreign file. */
void format_refuse(const struct format *format, int fd, const char *path, struct problems *problems);

/* The sentence of a foreign file. */
void format_sentence(const struct format *format, int fd, char *out, size_t size);

#endif
