/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Knowing the proxy's own connections by their sockets. */
#pragma once
#include "socket-tuple.h"

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
