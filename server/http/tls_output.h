/* The records of one answer, sent together. */
#ifndef SERVER_HTTP_TLS_OUTPUT_H
#define SERVER_HTTP_TLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What a connection sends over TLS. Only the thread that sends looks at it. */
struct tls_output {
    int fd;
    bool head;   /* the next record is the head of an answer */
    size_t body; /* bytes of the body that follow the head */
};

/* GnuTLS's session sends to the socket in this way from now on; output must live as long as the session sends. */
void tls_output_begin(struct tls_output *output, void *session, int fd);

/* The head of an answer is sent next, and so many bytes of a body behind it. The kernel waits for the body before it sends
   a packet: the body must follow at once. */
void tls_output_answer(struct tls_output *output, size_t body);

#endif
