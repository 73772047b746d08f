/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Handing new connections to the proxy's listeners. */
#pragma once
#include "proxy-socket.h"

#define LOOPBACK 0x7f000001

/* The socket that listens on the loopback address of the packet's family. An IPv4 socket cannot take IPv6 segments, so
 * each listener has one of either. */
static __always_inline struct bpf_sock *find_listener(struct __sk_buff *skb, const struct packet *packet, __u32 port)
{
	struct bpf_sock_tuple tuple = {};

	if (tuple_of(packet, &tuple) == sizeof(tuple.ipv4)) {
		tuple.ipv4.daddr = bpf_htonl(LOOPBACK);
		tuple.ipv4.dport = bpf_htons(port);
		return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	tuple.ipv6.daddr[0] = 0;
	tuple.ipv6.daddr[1] = 0;
	tuple.ipv6.daddr[2] = 0;
	tuple.ipv6.daddr[3] = bpf_htonl(1);
	tuple.ipv6.dport = bpf_htons(port);
	return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* Hands an opening segment to the listener of a class. In this order:
 *   1. the stack already knows this connection (a repeated SYN, or a port used again while the proxy's end is in
 *      TIME_WAIT): it is delivered, and the stack answers from what it knows;
 *   2. nobody listens on the port: refused;
 *   3. whoever listens does not carry the proxy's mark: refused;
 *   4. assigned and delivered.
 * Gives 0 or the reason. Works at ingress only (bpf_sk_assign). */
static __noinline __u32 to_listener(struct __sk_buff *skb, const struct packet *packet, __u32 port)
{
	struct bpf_sock *socket;
	int listening, ours;
	long failed;

	if (has_socket(skb, packet)) {
		set_mark(skb, mark_deliver);
		return 0;
	}
	socket = find_listener(skb, packet, port);
	if (!socket)
		return WEIR_PROXY_MISSING;
	listening = socket->state == BPF_TCP_LISTEN;
	ours = (socket->mark & mark_mask) == mark_proxy;
	failed = listening && ours && !dry_run ? bpf_sk_assign(skb, socket, 0) : 0;
	bpf_sk_release(socket);
	if (!listening)
		return WEIR_PROXY_MISSING;
	if (!ours)
		return WEIR_PROXY_FOREIGN;
	if (failed)
		return WEIR_PROXY_MISSING;
	set_mark(skb, mark_deliver);
	return 0;
}
