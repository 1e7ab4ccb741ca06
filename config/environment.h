/* Settings from the environment. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "settings.h"

/* Apply CELLSERVE_… from the environment, PORT where CELLSERVE_PORT is not set, and what stands in the file that a
   CELLSERVE_…_FILE names, for texts. A variable that begins with CELLSERVE_ and means nothing is a problem, unless
   Kubernetes has set it for a Service of such a name. */
void settings_read_environment(struct settings *settings, struct problems *problems);

/* The port that the environment says, and the name of the variable; NULL when none does. */
const char *environment_port(const char **name);

#endif
