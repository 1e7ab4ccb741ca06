/* What settings of access (tls, auth, admin, cors) have to be together. */
#ifndef CONFIG_SETTINGS_ACCESS_H
#define CONFIG_SETTINGS_ACCESS_H

#include "settings.h"

/* Add a problem for each contradiction, and a warning where keys would go over a network in the clear. */
void settings_check_access(const struct settings *settings, struct problems *problems);

/* Whether a host of the settings is an address of this machine alone: 127.0.0.0/8, ::1, localhost, or a UNIX socket. */
bool settings_host_is_local(const char *host);

#endif
