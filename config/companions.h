/* Files beside a model that are not models: transforms, and the scalers and vocabularies that transforms name. */
#ifndef CONFIG_COMPANIONS_H
#define CONFIG_COMPANIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a file of a folder is transform.json or NAME.transform.json, or is named in one of these. */
bool companion_is(const char *folder, const char *name);

/* A number that changes when a companion in the folder is changed, added or removed. It is 0 without companions. */
uint64_t companions_stamp(const char *folder);

#endif
