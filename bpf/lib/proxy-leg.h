/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections that the proxy opened to the outside: known by their sockets, remembered from their first answer. */
#pragma once
#include "flow.h"
#include "proxy-socket.h"

/* Whether the proxy has a socket for a segment that answers it: one of its own connections to the outside. */
static __noinline int answers_proxy(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = tuple_of(packet, &tuple);
	struct bpf_sock *socket, *full;
	int ours = 0;

	socket = bytes == sizeof(tuple.ipv4)
			 ? bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0)
			 : bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	full = bpf_sk_fullsock(socket);
	if (full)
		ours = full->state != BPF_TCP_LISTEN && (full->mark & mark_mask) == mark_proxy;
	bpf_sk_release(socket);
	return ours;
}

/* An answer from outside to a connection that the proxy opened on behalf of a workload here: its opening segment left
 * the node where no program of ours sits, so it is judged and remembered now. Gives 0 or the reason to drop it. */
static __noinline __u32 adopt_leg(const struct packet *packet, const struct standing *standing,
				  struct decision *decision)
{
	struct weir_flow fresh = { .flags = WEIR_LEG | (standing->sender_is_low ? 0 : WEIR_SOURCE_IS_LOW) };
	struct packet opening = *packet;

	opening.source = packet->destination;
	opening.destination = packet->source;
	opening.source_port = packet->destination_port;
	opening.destination_port = packet->source_port;
	if (judge(&opening, &fresh, decision) == WEIR_DENY)
		return decision->reason;
	if (!fresh.source.ifindex)
		return WEIR_ENDPOINT_UNKNOWN;
	fresh.proxy_port = decision->proxy_port;
	return remember(standing, &fresh) ? WEIR_CONNTRACK_REFUSED : 0;
}
