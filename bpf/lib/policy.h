/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who the two ends are, and what their policies say of each other. */
#pragma once
#include "stranger.h"

/* How often a verdict is looked up again because the version it stood under was replaced meanwhile. */
#define JUDGE_TRIES 4

/* The version of a subject's policy in one direction that is in force. */
static __always_inline __u32 generation_of(__u32 subject, __u32 direction)
{
	volatile struct weir_subject *in_force = bpf_map_lookup_elem(&subjects, &subject);

	if (!in_force)
		return WEIR_GENERATION_NONE;
	return direction == WEIR_INGRESS ? in_force->ingress : in_force->egress;
}

static __always_inline __u32 ipcache_epoch(void)
{
	__u32 zero = 0;
	struct weir_state *now = bpf_map_lookup_elem(&state, &zero);

	return now ? now->ipcache_epoch : 0;
}

/* Everything known of an address: an endpoint of this node, else an ipcache prefix, else `unknown`; with the version
 * of its policy that is in force in `direction`. */
static __always_inline void resolve(const struct weir_address *address, struct weir_flow_end *end, __u32 unknown,
				    __u32 direction)
{
	struct weir_local_address *local = bpf_map_lookup_elem(&local_addresses, address);
	struct weir_prefix prefix = { .prefix_length = 128, .address = *address };
	__u32 *identity;

	if (local) {
		end->ifindex = local->ifindex;
		end->identity = local->identity;
		end->subject = local->subject;
		end->generation = generation_of(local->subject, direction);
		return;
	}
	end->ifindex = 0;
	end->subject = 0;
	end->generation = 0;
	identity = bpf_map_lookup_elem(&ipcache, &prefix);
	end->identity = identity ? *identity : unknown;
}

/* What one version of a direction policy says of a peer, protocol and port: the set in the upper 32 bits, an enum
 * weir_verdict in the lower, or 0 where it says nothing. In this order:
 *   1. the peer's own table counts, for it holds all that is said of the peer; without one that of any peer; without
 *      either: nothing;
 *   2. in the table the longest prefix that covers protocol and port: one look-up for each length that the table has,
 *      the longest first, then the entry for every protocol and port.
 * Not static: the verifier looks at it once by itself, not on each path that leads here, which were too many for it. */
__noinline __u64 look_up(__u32 generation, __u32 identity, __u8 protocol, __u16 port)
{
	struct weir_peer_key peer = { .generation = generation, .identity = identity };
	struct weir_policy_value *found = 0;
	struct weir_table_key key = {};
	struct weir_table *table;

	table = bpf_map_lookup_elem(&policy_peers, &peer);
	if (!table) {
		peer.identity = IDENTITY_ANY;
		table = bpf_map_lookup_elem(&policy_peers, &peer);
	}
	if (!table)
		return 0;
	key.table = table->table;
	key.protocol = protocol;
	/* The mask is never changed: the verifier would follow each way in which its bits can fall. */
#pragma clang loop unroll(disable)
	for (int length = WEIR_PORT_BITS; length >= 0 && !found; length--) {
		if (!(table->lengths & ((2u << length) - 1)))
			break;
		if (!(table->lengths & (1u << length)))
			continue;
		key.length = length;
		key.port = port & (__u16)(0xffff << (WEIR_PORT_BITS - length));
		found = bpf_map_lookup_elem(&policy_tables, &key);
	}
	if (!found && (table->lengths & WEIR_ANY_PROTOCOL)) {
		key.length = 0;
		key.port = 0;
		key.protocol = 0;
		found = bpf_map_lookup_elem(&policy_tables, &key);
	}
	return found ? (__u64)found->set << 32 | found->verdict : 0;
}

/* One direction, as the subject of `self` sees it. In this order:
 *   1. no version of its policy is known: deny;
 *   2. the direction is not enforced: allow;
 *   3. entries go after the version they stand under is replaced: a verdict counts only if that version is still in
 *      force after the look-up, else it is looked up again under the new one;
 *   4. an entry allows: allow; it asks for L7: its set;
 *   5. an entry denies, or there is none: deny.
 * Fills decision->reason and ->direction when it denies, self->set when it asks for L7, and self->generation. */
static __noinline enum weir_verdict judge_side(struct weir_flow_end *self, const struct weir_flow_end *peer,
					       const struct packet *packet, struct decision *decision,
					       __u32 direction)
{
	__u16 port = bpf_ntohs(packet->destination_port);
	__u64 said = 0;
	int settled = 0;

	self->set = 0;
	decision->direction = direction;
#pragma clang loop unroll(disable)
	for (int tries = 0; tries < JUDGE_TRIES && !settled; tries++) {
		self->generation = generation_of(self->subject, direction);
		if (self->generation == WEIR_GENERATION_NONE)
			break;
		if (self->generation == WEIR_GENERATION_OPEN)
			return WEIR_ALLOW;
		said = look_up(self->generation, peer->identity, packet->protocol, port);
		settled = generation_of(self->subject, direction) == self->generation;
	}
	if (!settled) {
		decision->reason = WEIR_ENDPOINT_UNKNOWN;
		return WEIR_DENY;
	}
	switch ((__u32)said) {
	case WEIR_ALLOW:
		return WEIR_ALLOW;
	case WEIR_L7:
		self->set = said >> 32;
		return WEIR_L7;
	default:
		decision->reason = said ? WEIR_POLICY_DENY : WEIR_POLICY_DEFAULT_DENY;
		return WEIR_DENY;
	}
}

/* Both directions of a new connection; `packet` goes from its source to its destination, flow->flags say
 * what is to be judged, and flow->source.identity who the source is if its address is unknown. Resolves both ends into
 * `flow`. In this order:
 *   1. an end is a workload that nobody has announced: deny, for nobody knows what it may;
 *   2. the source's egress, when it is a workload here and this flow includes it; denied: done;
 *   3. the destination's ingress, when it is a workload here; denied: done;
 *   4. neither end is a workload here: deny, for nobody has judged it;
 *   5. neither asks for L7: allow;
 *   6. L7 of what is not TCP, or of a pair without a proxy port: deny;
 *   7. L7, at the pair's proxy port. */
static __noinline enum weir_verdict judge(const struct packet *packet, struct weir_flow *flow,
					  struct decision *decision)
{
	struct weir_pair pair;
	struct weir_pair_value *proxy;
	int egress;

	resolve(&packet->source, &flow->source, flow->source.identity, WEIR_EGRESS);
	resolve(&packet->destination, &flow->destination, IDENTITY_WORLD, WEIR_INGRESS);
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

	if ((!flow->destination.ifindex && is_stranger(&packet->destination)) ||
	    (!flow->source.ifindex && is_stranger(&packet->source))) {
		decision->direction = flow->destination.ifindex ? WEIR_INGRESS : WEIR_EGRESS;
		decision->reason = WEIR_WORKLOAD_UNKNOWN;
		return WEIR_DENY;
	}
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
