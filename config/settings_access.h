/* Checks of the settings of access (tls, auth, admin, cors) together. */
#ifndef CONFIG_SETTINGS_ACCESS_H
#define CONFIG_SETTINGS_ACCESS_H

#include "settings.h"

/* Add a problem for each contradiction, and a warning if keys would be sent over a network in plain text. */
void settings_check_access(const struct settings *settings, struct problems *problems);

/* Whether only this machine can reach a host of the settings: 127.0.0.0/8, ::1, localhost, or a UNIX socket. */
bool settings_host_is_local(const char *host);

#endif
