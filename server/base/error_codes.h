/* The codes of error answers and their meanings, for documents. tests/reference/check.py compares the table with the
   sources. */
#ifndef SERVER_BASE_ERROR_CODES_H
#define SERVER_BASE_ERROR_CODES_H

struct error_code {
    int status;
    const char *code, *meaning;
};

/* In the order of their status; ends with a NULL code. */
extern const struct error_code error_codes[];

#endif
