/* The records of one answer, sent together. */
#ifndef SERVER_HTTP_TLS_OUTPUT_H
#define SERVER_HTTP_TLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* The output of a connection over TLS. Only the sending thread uses it. */
struct tls_output {
    int fd;
    bool head;   /* the next record is the head of an answer */
    size_t body; /* bytes of the body that follow the head */
    char *held;  /* the record of a head that waits for the body; NULL: none */
    size_t held_bytes, held_sent;
};

/* From now on, GnuTLS's session sends to the socket through output, and reads from it as tls_progress.h says. output must
   live as long as the session sends. */
void tls_output_begin(struct tls_output *output, void *session, int fd);

/* Call it before the head of an answer is sent; body is the number of bytes that follow the head. The head waits for the
   body, so the body must follow at once. */
void tls_output_answer(struct tls_output *output, size_t body);

/* Free what is held, when nothing more is sent. */
void tls_output_end(struct tls_output *output);

#endif
