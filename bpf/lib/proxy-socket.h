/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking the stack for sockets by the addresses of a packet. */
#pragma once
#include "packet.h"

static __always_inline struct bpf_sock_tuple tuple_of(const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};

	tuple.ipv4.saddr = packet->source.words[3];
	tuple.ipv4.daddr = packet->destination.words[3];
	tuple.ipv4.sport = packet->source_port;
	tuple.ipv4.dport = packet->destination_port;
	return tuple;
}

/* Whether the stack has a socket for a segment of a connection, in whatever state of its life. */
static __always_inline int has_socket(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = tuple_of(packet);
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	int known = 0;

	if (socket) {
		known = socket->state != BPF_TCP_LISTEN;
		bpf_sk_release(socket);
	}
	return known;
}

/* Whether the proxy has a socket for a segment that answers it: one of its own connections to the outside. */
static __always_inline int answers_proxy(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = tuple_of(packet);
	struct bpf_sock *socket, *full;
	int ours = 0;

	socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	full = bpf_sk_fullsock(socket);
	if (full)
		ours = full->state != BPF_TCP_LISTEN && (full->mark & mark_mask) == mark_proxy;
	bpf_sk_release(socket);
	return ours;
}
