/* Settings from the environment. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "settings.h"

/* Apply the variables CELLSERVE_… of the environment, and PORT if CELLSERVE_PORT is not set. A text setting may also be
   in a file that CELLSERVE_…_FILE names. An unknown variable with the prefix CELLSERVE_ is a problem, unless Kubernetes
   has set it for a Service with such a name. Passwords in the variables are overwritten: see environment_hide_password. */
void settings_read_environment(struct settings *settings, struct problems *problems);

/* Overwrite user and password of an address, "redis://user:password@host", in place. /proc/PID/environ and
   /proc/PID/cmdline show the bytes of variables and arguments as they are in memory. */
void environment_hide_password(char *address);

/* The port in the environment, and the name of its variable; NULL if no variable is set. */
const char *environment_port(const char **name);

#endif
