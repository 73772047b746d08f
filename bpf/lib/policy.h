/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who the two ends are, and what their policies say of each other. */
#pragma once
#include "report.h"

/* Bits of a policy key before its protocol, and of a complete one. */
#define POLICY_PREFIX_FULL (8 * (sizeof(struct weir_policy_key) - sizeof(__u32)))

#define IDENTITY_ANY 0
#define IDENTITY_HOST 1
#define IDENTITY_WORLD 2

static __always_inline struct weir_subject *subject_of(__u32 subject)
{
	return bpf_map_lookup_elem(&subjects, &subject);
}

static __always_inline __u32 ipcache_epoch(void)
{
	__u32 zero = 0;
	struct weir_state *now = bpf_map_lookup_elem(&state, &zero);

	return now ? now->ipcache_epoch : 0;
}

/* Everything known of an address: an endpoint of this node, else an ipcache prefix, else `unknown`. */
static __always_inline void resolve(const struct weir_address *address, struct weir_flow_end *end, __u32 unknown)
{
	struct weir_local_address *local = bpf_map_lookup_elem(&local_addresses, address);
	struct weir_prefix prefix = { .prefix_length = 128, .address = *address };
	struct weir_subject *subject;
	__u32 *identity;

	if (local) {
		end->ifindex = local->ifindex;
		end->identity = local->identity;
		end->subject = local->subject;
		subject = subject_of(local->subject);
		end->generation = subject ? subject->generation : 0;
		return;
	}
	end->ifindex = 0;
	end->subject = 0;
	end->generation = 0;
	identity = bpf_map_lookup_elem(&ipcache, &prefix);
	end->identity = identity ? *identity : unknown;
}

/* One direction, as the subject of `self` sees it. In this order:
 *   1. no version of its policy is known: deny;
 *   2. the direction is not enforced: allow;
 *   3. the longest entry for the peer's identity or the longest entry for any peer denies: deny;
 *   4. either allows: allow;
 *   5. either asks for L7: its set, that of the peer's identity first;
 *   6. neither exists: deny.
 * Fills decision->reason and ->direction when it denies, and self->set when it asks for L7. */
static __noinline enum weir_verdict judge_side(struct weir_flow_end *self, const struct weir_flow_end *peer,
					       const struct packet *packet, struct decision *decision,
					       __u32 direction)
{
	struct weir_policy_key key = {
		.prefix_length = POLICY_PREFIX_FULL,
		.generation = self->generation,
		.identity = peer->identity,
		.direction = direction,
		.protocol = packet->protocol,
		.port = packet->destination_port,
	};
	struct weir_policy_value *theirs, *anyones;
	struct weir_subject *subject = subject_of(self->subject);

	self->set = 0;
	decision->direction = direction;
	if (!subject || !self->generation || subject->generation != self->generation) {
		decision->reason = WEIR_ENDPOINT_UNKNOWN;
		return WEIR_DENY;
	}
	if (!(direction == WEIR_INGRESS ? subject->enforce_ingress : subject->enforce_egress))
		return WEIR_ALLOW;

	theirs = bpf_map_lookup_elem(&policy, &key);
	key.identity = IDENTITY_ANY;
	anyones = bpf_map_lookup_elem(&policy, &key);

	if ((theirs && theirs->verdict == WEIR_DENY) || (anyones && anyones->verdict == WEIR_DENY)) {
		decision->reason = WEIR_POLICY_DENY;
		return WEIR_DENY;
	}
	if ((theirs && theirs->verdict == WEIR_ALLOW) || (anyones && anyones->verdict == WEIR_ALLOW))
		return WEIR_ALLOW;
	if (theirs && theirs->verdict == WEIR_L7) {
		self->set = theirs->set;
		return WEIR_L7;
	}
	if (anyones && anyones->verdict == WEIR_L7) {
		self->set = anyones->set;
		return WEIR_L7;
	}
	decision->reason = WEIR_POLICY_DEFAULT_DENY;
	return WEIR_DENY;
}

/* Both directions of a new connection; `packet` goes from its source to its destination, flow->flags say
 * what is to be judged, and flow->source.identity who the source is if its address is unknown. Resolves both ends into `flow`. In this order:
 *   1. the source's egress, when it is a workload here and this flow includes it; denied: done;
 *   2. the destination's ingress, when it is a workload here; denied: done;
 *   3. neither end is a workload here: deny, for nobody has judged it;
 *   4. neither asks for L7: allow;
 *   5. L7 of what is not TCP, or of a pair without a proxy port: deny;
 *   6. L7, at the pair's proxy port. */
static __noinline enum weir_verdict judge(const struct packet *packet, struct weir_flow *flow,
					  struct decision *decision)
{
	struct weir_pair pair;
	struct weir_pair_value *proxy;
	int egress;

	resolve(&packet->source, &flow->source, flow->source.identity);
	resolve(&packet->destination, &flow->destination, IDENTITY_WORLD);
	flow->source.set = 0;
	flow->destination.set = 0;
	flow->ipcache_epoch = ipcache_epoch();
	decision->source_identity = flow->source.identity;
	decision->destination_identity = flow->destination.identity;
	decision->verdict = WEIR_DENY;
	decision->direction = WEIR_EGRESS;
	decision->egress_set = 0;
	decision->ingress_set = 0;
	decision->proxy_port = 0;
	egress = flow->source.ifindex && !(flow->flags & WEIR_INGRESS_ONLY);

	if (egress && judge_side(&flow->source, &flow->destination, packet, decision, WEIR_EGRESS) == WEIR_DENY)
		return WEIR_DENY;
	if (flow->destination.ifindex &&
	    judge_side(&flow->destination, &flow->source, packet, decision, WEIR_INGRESS) == WEIR_DENY)
		return WEIR_DENY;
	if (!egress && !flow->destination.ifindex) {
		decision->reason = WEIR_ENDPOINT_UNKNOWN;
		return WEIR_DENY;
	}

	pair.egress_set = decision->egress_set = flow->source.set;
	pair.ingress_set = decision->ingress_set = flow->destination.set;
	if (!pair.egress_set && !pair.ingress_set)
		return decision->verdict = WEIR_ALLOW;

	proxy = packet->protocol == IPPROTO_TCP ? bpf_map_lookup_elem(&pairs, &pair) : 0;
	if (!proxy || !proxy->proxy_port) {
		decision->direction = pair.ingress_set ? WEIR_INGRESS : WEIR_EGRESS;
		decision->reason = WEIR_L7_UNAVAILABLE;
		return WEIR_DENY;
	}
	decision->proxy_port = proxy->proxy_port;
	return decision->verdict = WEIR_L7;
}
