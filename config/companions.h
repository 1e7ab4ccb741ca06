/* Files that lie beside a model and are no models: transforms, and the scalers and vocabularies that transforms name. */
#ifndef CONFIG_COMPANIONS_H
#define CONFIG_COMPANIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a file of a folder is transform.json or NAME.transform.json, or one of these names the file. */
bool companion_is(const char *folder, const char *name);

/* A number that changes when one of a folder's companions does, or comes or goes; 0: there are none. */
uint64_t companions_stamp(const char *folder);

#endif
