/* The page for people at "/": one HTML file, which the build joins from server/api/page/ and embeds. */
#ifndef SERVER_API_PAGE_H
#define SERVER_API_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct request;

/* Whether the target is the page, and the client a browser. */
bool page_is_wanted(const struct request *request, const char *target);

extern const unsigned char page_html[];
extern const size_t page_html_bytes;

/* Its Content-Security-Policy: nothing from outside, one script and one style by their hashes. */
extern const char page_policy[];

#endif
