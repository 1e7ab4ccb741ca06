/* The version of this program. */
#ifndef SERVER_BASE_VERSION_H
#define SERVER_BASE_VERSION_H

#define CELLSERVE_VERSION "0.2.0"

#endif
