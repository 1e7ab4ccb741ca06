/* The model entries of the settings. Only the readers of settings include this header. */
#ifndef CONFIG_SETTINGS_MODELS_H
#define CONFIG_SETTINGS_MODELS_H

#include "settings.h"

/* Read the list "models" of a configuration file (NULL if the file has none). Every problem is added. No model is
   loaded. */
void settings_read_models(struct settings *settings, json_t *models, struct problems *problems);

/* Report equal names, more than one default model, and the absence of models. */
void settings_check_models(const struct settings *settings, struct problems *problems);

void settings_close_models(struct settings *settings);

#endif
