/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connection tracking: one entry for both directions and both hooks. */
#pragma once
#include "policy.h"

/* A source that got no answer, and one that did; TCP ends by itself or falls out of the LRU. */
#define IDLE_UNREPLIED_NS (60 * NANOSECONDS)
#define IDLE_REPLIED_NS (180 * NANOSECONDS)

/* Where a packet stands with regard to its entry. */
struct standing {
	struct weir_flow_key key;
	struct weir_flow *flow;
	/* The sender is the `low` of the key. */
	__u8 sender_is_low;
	/* The sender opened the connection. */
	__u8 forward;
};

static __always_inline int is_low(const struct packet *packet)
{
	/* Word by word in memory order: any total order does. */
	for (int i = 3; i >= 0; i--)
		if (packet->source.words[i] != packet->destination.words[i])
			return packet->source.words[i] < packet->destination.words[i];
	return packet->source_port <= packet->destination_port;
}

/* Finds the entry; flow is 0 when there is none or it has been idle too long. */
static __always_inline void find_flow(const struct packet *packet, struct standing *standing)
{
	struct weir_flow *flow;
	__u64 now, idle;

	standing->sender_is_low = is_low(packet);
	if (standing->sender_is_low) {
		standing->key.low = packet->source;
		standing->key.high = packet->destination;
		standing->key.low_port = packet->source_port;
		standing->key.high_port = packet->destination_port;
	} else {
		standing->key.low = packet->destination;
		standing->key.high = packet->source;
		standing->key.low_port = packet->destination_port;
		standing->key.high_port = packet->source_port;
	}
	standing->key.protocol = packet->protocol;
	flow = bpf_map_lookup_elem(&conntrack, &standing->key);
	standing->flow = flow;
	if (!flow)
		return;
	standing->forward = standing->sender_is_low == !!(flow->flags & WEIR_SOURCE_IS_LOW);
	if (packet->protocol == IPPROTO_TCP)
		return;
	now = bpf_ktime_get_coarse_ns();
	/* What has no handshake opens anew as soon as the policy allows it. */
	if ((flow->flags & WEIR_CUT) && packet->protocol != IPPROTO_SCTP)
		standing->flow = 0;
	idle = now - flow->last_seen_ns;
	if (now > flow->last_seen_ns && idle > (flow->flags & WEIR_REPLIED ? IDLE_REPLIED_NS : IDLE_UNREPLIED_NS))
		standing->flow = 0;
}

/* Judged under what is in force now: the source's egress, the destination's ingress, and the ipcache. */
static __always_inline int is_current(const struct weir_flow *flow)
{
	return generation_of(flow->source.subject, WEIR_EGRESS) == flow->source.generation &&
	       generation_of(flow->destination.subject, WEIR_INGRESS) == flow->destination.generation &&
	       flow->ipcache_epoch == ipcache_epoch();
}

#define BOTH_FINISHED (WEIR_SOURCE_FINISHED | WEIR_DESTINATION_FINISHED)
/* From the flags of the connection that an entry is of to those of the other that shares it. */
#define OTHER_SHIFT 4

/* The whole of a TCP connection is over, as far as seen; where two share an entry, both are. */
static __always_inline int is_finished(const struct weir_flow *flow)
{
	__u16 all = flow->flags & WEIR_SHARED ? BOTH_FINISHED | BOTH_FINISHED << OTHER_SHIFT : BOTH_FINISHED;

	return (flow->flags & all) == all || (flow->flags & WEIR_CUT);
}

/* One of the proxy's two connections. */
static __always_inline int is_proxied(const struct weir_flow *flow)
{
	return flow->proxy_port || (flow->flags & WEIR_LEG);
}

/* Of a refusal: its receiver is the proxy, which poses as the server towards a client and as the client towards a
 * server. An error goes to the sender of what it quotes. */
static __always_inline int is_for_proxy(const struct standing *standing, const struct packet *packet)
{
	const struct weir_flow *flow = standing->flow;
	int forward = (!standing->forward) == !!packet->quoted;

	return is_proxied(flow) && forward == !(flow->flags & WEIR_LEG);
}

/* Notes what a passing packet changes; writes only then, to keep the cache line shared. `own` is 0 for what belongs to
 * the other connection of a shared entry. Gives 1 once in a second or so. */
static __always_inline int touch_for(struct standing *standing, const struct packet *packet, int own)
{
	struct weir_flow *flow = standing->flow;
	__u64 now = bpf_ktime_get_coarse_ns();
	__u16 flags = flow->flags, finished = 0;

	if (packet->part & PART_FINISHES)
		finished |= standing->forward ? WEIR_SOURCE_FINISHED : WEIR_DESTINATION_FINISHED;
	if (packet->part & PART_ABORTS)
		finished |= BOTH_FINISHED;
	if (!own)
		flags |= WEIR_SHARED | finished << OTHER_SHIFT;
	else
		flags |= finished | (standing->forward ? 0 : WEIR_REPLIED);
	if (flags != flow->flags)
		flow->flags = flags;
	if (now - flow->last_seen_ns <= NANOSECONDS)
		return 0;
	flow->last_seen_ns = now;
	return 1;
}

/* What a new entry keeps of the one in whose place it comes, `kind` being WEIR_LEG or 0: what is known of the other
 * connection that has the same addresses and ports. */
static __always_inline __u16 inherited(const struct weir_flow *living, __u16 kind)
{
	if (!living || !is_proxied(living) || is_finished(living))
		return 0;
	if ((living->flags & WEIR_LEG) == kind)
		return living->flags & (WEIR_SHARED | BOTH_FINISHED << OTHER_SHIFT);
	return WEIR_SHARED | (living->flags & BOTH_FINISHED) << OTHER_SHIFT;
}

/* Stores a judged flow. */
static __always_inline int remember(const struct standing *standing, struct weir_flow *flow)
{
	flow->last_seen_ns = bpf_ktime_get_coarse_ns();
	return bpf_map_update_elem(&conntrack, &standing->key, flow, BPF_ANY);
}

/* "`to` permits at least what `from` does." */
static __always_inline int permits(__u32 from, __u32 to)
{
	struct weir_widening widening = { .from = from, .to = to };

	return from == to || (from && bpf_map_lookup_elem(&widenings, &widening));
}

/* A living connection under a newer policy. In this order:
 *   1. the policy denies it now: it has lost its permission;
 *   2. the policy allows it without L7: it goes on as it is, through the proxy if it was (with the permission
 *      of the sets it was judged under);
 *   3. it must go through the proxy and does not: it cannot be moved;
 *   4. its class still has the port it goes to: the class's routes hold what is permitted;
 *   5. both new sets permit at least what the old ones do (none is "everything"): it goes on under the old;
 *   6. else it has lost permission.
 * Gives 0 when it goes on, with the entry brought up to date, else the reason. `owner` is the interface that the
 * end at this hook must live on: an entry is never changed by a packet that has no right to it. */
static __noinline __u32 rejudge(__u32 ifindex, const struct packet *packet, struct standing *standing,
				struct decision *decision, __u32 hook)
{
	struct weir_flow *flow = standing->flow;
	struct weir_flow fresh = {};
	struct packet oriented = *packet;
	enum weir_verdict verdict;
	struct weir_flow_end *here;

	if (!flow)
		return WEIR_NO_CONNECTION;
	if (!standing->forward) {
		oriented.source = packet->destination;
		oriented.destination = packet->source;
		oriented.source_port = packet->destination_port;
		oriented.destination_port = packet->source_port;
	}
	fresh.flags = flow->flags;
	fresh.source.identity = flow->source.identity == IDENTITY_HOST ? IDENTITY_HOST : IDENTITY_WORLD;
	verdict = judge(&oriented, &fresh, decision);

	here = (hook == WEIR_FROM_WORKLOAD) == !!standing->forward ? &fresh.source : &fresh.destination;
	if (hook != WEIR_FROM_NETWORK && here->ifindex != ifindex)
		return hook == WEIR_FROM_WORKLOAD ? WEIR_SOURCE_NOT_OWNED : WEIR_ENDPOINT_UNKNOWN;

	if (verdict == WEIR_DENY)
		return WEIR_PERMISSION_LOST;
	if (verdict == WEIR_L7) {
		if (!is_proxied(flow))
			return WEIR_PROXY_REQUIRED;
		if (flow->proxy_port == decision->proxy_port) {
			flow->source.set = fresh.source.set;
			flow->destination.set = fresh.destination.set;
		} else if (!(permits(flow->source.set, fresh.source.set) || !fresh.source.set) ||
			   !(permits(flow->destination.set, fresh.destination.set) || !fresh.destination.set)) {
			return WEIR_PERMISSION_LOST;
		}
	}
	flow->source.ifindex = fresh.source.ifindex;
	flow->source.identity = fresh.source.identity;
	flow->source.subject = fresh.source.subject;
	flow->source.generation = fresh.source.generation;
	flow->destination.ifindex = fresh.destination.ifindex;
	flow->destination.identity = fresh.destination.identity;
	flow->destination.subject = fresh.destination.subject;
	flow->destination.generation = fresh.destination.generation;
	flow->ipcache_epoch = fresh.ipcache_epoch;
	count(WEIR_REJUDGED);
	return 0;
}
