/* The page for browsers at "/": one HTML file, which the build joins from server/api/page/ and embeds. */
#ifndef SERVER_API_PAGE_H
#define SERVER_API_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct request;

/* Whether the target is the page, and the client a browser. */
bool page_is_wanted(const struct request *request, const char *target);

extern const unsigned char page_html[];
extern const size_t page_html_bytes;

/* The page's Content-Security-Policy: no outside sources, one script and one style by their hashes. */
extern const char page_policy[];

#endif
