/* query.h - the tokens whose attention counts: the query tokens of an attention probe. */
#ifndef FUSION_QUERY_H
#define FUSION_QUERY_H

#include "fusion/reuse/scorer.h"

/* Those among the n tokens of a pass that ends with the question, and the layers that count, into
 * the probe and c->layer; what is counted is left to the caller. Returns where the last of the
 * layers ends. */
int query_probe(const struct scorer *c, int n, struct probe *probe);

#endif
