/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Asking the stack for sockets by the addresses of a packet. */
#pragma once
#include "packet.h"

/* Fills the tuple of a packet; gives its length, which is how the kernel knows the family. */
static __always_inline __u32 tuple_of(const struct packet *packet, struct bpf_sock_tuple *tuple)
{
	if (is_ipv4(&packet->source)) {
		tuple->ipv4.saddr = packet->source.words[3];
		tuple->ipv4.daddr = packet->destination.words[3];
		tuple->ipv4.sport = packet->source_port;
		tuple->ipv4.dport = packet->destination_port;
		return sizeof(tuple->ipv4);
	}
	for (int i = 0; i < 4; i++) {
		tuple->ipv6.saddr[i] = packet->source.words[i];
		tuple->ipv6.daddr[i] = packet->destination.words[i];
	}
	tuple->ipv6.sport = packet->source_port;
	tuple->ipv6.dport = packet->destination_port;
	return sizeof(tuple->ipv6);
}
