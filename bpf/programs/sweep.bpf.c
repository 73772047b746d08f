// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Stands on no hook: the agent runs it (BPF_PROG_RUN) after a change of what is in force. Connections without packets
 * would otherwise keep what they have until their next one. */
#include "../lib/flow.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* How many connections one run judges: it runs with softirqs off, and the agent runs it again. */
#define JUDGED_PER_RUN 4096

/* Which end of a connection is the proxy's, both where two connections share an entry; and whether it opened the
 * connection itself. src/revocation.ts reads it. */
enum note { PROXY_IS_LOW = 1 << 0, PROXY_IS_HIGH = 1 << 1, PROXY_IS_CLIENT = 1 << 2 };

/* Connections of the proxy that have lost their permission, until the agent has closed their sockets. */
WEIR_MAP(revoked, BPF_MAP_TYPE_HASH, struct weir_flow_key, __u8, 65536, BPF_F_NO_PREALLOC);

/* In memory that the verifier does not know: counting in a register or on the stack would make each round of the loop
 * another state to it ("the sequence of 8193 jumps is too complex"). */
static volatile __u32 judged;
/* Not all were looked at. */
static volatile __u32 stopped;

/* The proxy is the server towards a client, and the client towards a server. */
static __always_inline __u8 note_of(const struct weir_flow *flow)
{
	__u8 client = flow->flags & WEIR_LEG ? PROXY_IS_CLIENT : 0;

	if (flow->flags & WEIR_SHARED)
		return PROXY_IS_LOW | PROXY_IS_HIGH;
	return client | (!client == !(flow->flags & WEIR_SOURCE_IS_LOW) ? PROXY_IS_LOW : PROXY_IS_HIGH);
}

/* One connection. In this order:
 *   1. it is not TCP, is over, or was judged under what is in force: nothing;
 *   2. it may go on: it is brought up to date;
 *   3. it has lost its permission: its next packet resets it; what the proxy holds is noted. When there is no more
 *      room for notes it is left as it was, for the next run. */
static long visit(void *map, struct weir_flow_key *key, struct weir_flow *flow, void *context)
{
	struct standing standing = { .key = *key, .flow = flow, .forward = 1 };
	struct packet packet = { .protocol = key->protocol };
	struct decision decision = {};
	__u8 note = note_of(flow);

	(void)map;
	(void)context;
	if (key->protocol != IPPROTO_TCP || is_finished(flow) || is_current(flow))
		return 0;
	if (flow->flags & WEIR_SOURCE_IS_LOW) {
		packet.source = key->low;
		packet.destination = key->high;
		packet.source_port = key->low_port;
		packet.destination_port = key->high_port;
	} else {
		packet.source = key->high;
		packet.destination = key->low;
		packet.source_port = key->high_port;
		packet.destination_port = key->low_port;
	}
	if (rejudge(0, &packet, &standing, &decision, WEIR_FROM_NETWORK)) {
		if (is_proxied(flow) && bpf_map_update_elem(&revoked, key, &note, BPF_ANY)) {
			stopped = 1;
			return 1;
		}
		flow->flags |= WEIR_CUT;
	}
	judged += 1;
	if (judged < JUDGED_PER_RUN)
		return 0;
	stopped = 1;
	return 1;
}

/* Gives 1 when there may be more to judge, and the notes must be read before. */
SEC("tc")
int sweep(struct __sk_buff *skb)
{
	(void)skb;
	judged = 0;
	stopped = 0;
	bpf_for_each_map_elem(&conntrack, visit, 0, 0);
	return stopped;
}
