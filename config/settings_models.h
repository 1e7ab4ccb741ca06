/* The model entries of the settings, for the readers of settings alone. */
#ifndef CONFIG_SETTINGS_MODELS_H
#define CONFIG_SETTINGS_MODELS_H

#include "settings.h"

/* Read the list "models" of a configuration file; NULL is none. Every problem is added; no model is loaded. */
void settings_read_models(struct settings *settings, json_t *models, struct problems *problems);

/* Names that two models have, more than one default model, no model at all. */
void settings_check_models(const struct settings *settings, struct problems *problems);

void settings_close_models(struct settings *settings);

#endif
