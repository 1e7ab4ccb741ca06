/* Who answers which route; see the table in routes.c. */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "request.h"

/* health.c */
void answer_livez(struct request *request);
void answer_readyz(struct request *request);
void answer_healthz(struct request *request);
void answer_metrics(struct request *request);

/* models.c */
void answer_model_list(struct request *request);
void answer_model_status(struct request *request);
void answer_model_metadata(struct request *request);

#endif
