/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking the stack for sockets by the addresses of a packet. */
#pragma once
#include "flow.h"

/* Fills a tuple; gives its length, which is how the kernel knows the family. */
static __always_inline __u32 fill_tuple(struct bpf_sock_tuple *tuple, const struct weir_address *source, __be16 source_port,
					const struct weir_address *destination, __be16 destination_port)
{
	if (is_ipv4(source)) {
		tuple->ipv4.saddr = source->words[3];
		tuple->ipv4.daddr = destination->words[3];
		tuple->ipv4.sport = source_port;
		tuple->ipv4.dport = destination_port;
		return sizeof(tuple->ipv4);
	}
	for (int i = 0; i < 4; i++) {
		tuple->ipv6.saddr[i] = source->words[i];
		tuple->ipv6.daddr[i] = destination->words[i];
	}
	tuple->ipv6.sport = source_port;
	tuple->ipv6.dport = destination_port;
	return sizeof(tuple->ipv6);
}

static __always_inline __u32 tuple_of(const struct packet *packet, struct bpf_sock_tuple *tuple)
{
	return fill_tuple(tuple, &packet->source, packet->source_port, &packet->destination, packet->destination_port);
}

/* The stack's socket for a segment with these addresses, in whatever state of its life; to be released. */
static __always_inline struct bpf_sock *find_socket(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 bytes)
{
	/* Two calls: the verifier wants to know the length. */
	return bytes == sizeof(tuple->ipv4)
		       ? bpf_skc_lookup_tcp(skb, tuple, sizeof(tuple->ipv4), BPF_F_CURRENT_NETNS, 0)
		       : bpf_skc_lookup_tcp(skb, tuple, sizeof(tuple->ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* The same socket when it is a connection of the proxy's that is not yet over, else 0. */
static __always_inline struct bpf_sock *as_proxys(struct bpf_sock *socket)
{
	struct bpf_sock *full = bpf_sk_fullsock(socket);

	return full && full->state != BPF_TCP_LISTEN && (full->mark & mark_mask) == mark_proxy ? full : 0;
}

/* Whether the stack has a socket for a segment of a connection. */
static __noinline int has_socket(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket = find_socket(skb, &tuple, tuple_of(packet, &tuple));
	int known = 0;

	if (socket) {
		known = socket->state != BPF_TCP_LISTEN;
		bpf_sk_release(socket);
	}
	return known;
}

/* A segment for the proxy that it has no socket for any more. The stack says nothing to it, for the address is not its own:
 * its sender would repeat it for minutes. Asked once an end has finished; of what is not the entry's own, for where a
 * client and a leg share a 4-tuple the entry is of one of them and may outlive the other; and else once in a second
 * (`due`), for no program sees what the proxy says to the node or the rest of the world. */
static __always_inline int is_lost(struct __sk_buff *skb, const struct packet *packet, const struct standing *standing,
				   int due)
{
	const struct weir_flow *flow = standing->flow;

	if (!is_proxied(flow) || (packet->tcp_flags & TCP_RST))
		return 0;
	if (!due && !(flow->flags & BOTH_FINISHED) && is_for_proxy(standing, packet))
		return 0;
	return !has_socket(skb, packet);
}

/* Notes what a segment for the proxy, or beside it, changes; gives is_lost. */
static __always_inline int touch_and_ask(struct __sk_buff *skb, const struct packet *packet, struct standing *standing)
{
	int own = !is_proxied(standing->flow) || is_for_proxy(standing, packet);

	return is_lost(skb, packet, standing, touch_for(standing, packet, own));
}
