/* Documents that are made from the tables of commands, flags and settings. */
#ifndef SERVER_CLI_MANUAL_H
#define SERVER_CLI_MANUAL_H

#include <stdio.h>

void manual_commands(FILE *out); /* cellserve(1) */
void manual_settings(FILE *out); /* cellserve.json(5) */

void completion_bash(FILE *out);
void completion_zsh(FILE *out);

/* Markdown. */
void reference_settings(FILE *out);
void reference_errors(FILE *out);

#endif
