/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's socket look-ups take. */
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
