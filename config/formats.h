/* The table of file formats: how a format is recognized by a file's content, which reader reads it, or what the user
   can do with the file. */
#ifndef CONFIG_FORMATS_H
#define CONFIG_FORMATS_H

#include "problems.h"

#include <sys/types.h>

enum format_reader {
    READ_JSON,        /* an architecture */
    READ_SAFETENSORS, /* in this process */
    READ_ARCHIVE,     /* HDF5, zip and pickles, by the confined helper */
    READ_CHECKPOINT,  /* the index of a TensorFlow checkpoint, by the confined helper */
    READ_NOTHING,     /* a format that cellserve does not read: the sentence says what to do */
};

/* The first and last bytes of a file. */
struct file_head {
    unsigned char bytes[1025], tail[8]; /* followed by NUL */
    size_t n;
    off_t size;
};

/* A row of the table. A file has the first format that fits: it has the magic bytes at the offset, and passes the test
   (if the row has one). */
struct format {
    const char *name;
    enum format_reader reader;
    bool whole;        /* of formats that are read: the file also has a configuration */
    bool weights;      /* the file has only weights */
    bool vague;        /* the container may hold anything: in a folder, such a file counts by its name */
    size_t at;         /* the offset of the magic bytes */
    const char *magic; /* "" for any file */
    size_t magic_bytes;
    bool (*test)(const struct file_head *head);
    const char *sentence; /* of READ_NOTHING: says what the file is, and what to do */
    void (*describe)(const struct file_head *head, char *out,
                     size_t size); /* writes the sentence instead, if it has numbers */
};

/* The format of an open file. The last row of the table fits every file. */
const struct format *format_of(int fd);

/* The table, for tests; ends with a NULL name. */
extern const struct format formats[];

/* Add an error with the sentence of a format that cellserve does not read. */
void format_refuse(const struct format *format, int fd, const char *path, struct problems *problems);

/* The sentence of such a format. */
void format_sentence(const struct format *format, int fd, char *out, size_t size);

#endif
