/* Targets of requests (RFC 9112, 3.2). */
#ifndef SERVER_CODEC_TARGET_H
#define SERVER_CODEC_TARGET_H

/* The path of a target in origin-form ("/livez") or absolute-form ("http://host/livez"); "" where the URL has no host, or
   has user information. */
const char *target_path(const char *target);

#endif
