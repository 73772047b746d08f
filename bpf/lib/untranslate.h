/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Giving a packet that was sent round its first destination back. Netfilter has seen it once, under the destination that
 * its sender chose, and translated it. It will see it again on its way to the proxy: under the new destination it would
 * take it for another connection, and give it another source port because the answers of both would look the same. */
#pragma once
#include "translation.h"

static __noinline void write_destination(struct __sk_buff *skb, const struct packet *packet,
					 const struct packet *original)
{
	__u32 checksum = packet->l4_offset + __builtin_offsetof(struct tcphdr, check);
	__u32 port = packet->l4_offset + __builtin_offsetof(struct tcphdr, dest);
	struct weir_address from = packet->destination, to = original->destination;
	__be16 to_port = original->destination_port;

	if (is_ipv4(&packet->source)) {
		__u32 header = packet->l3_offset + __builtin_offsetof(struct iphdr, check);

		bpf_l4_csum_replace(skb, checksum, from.words[3], to.words[3], BPF_F_PSEUDO_HDR | sizeof(__be32));
		bpf_l3_csum_replace(skb, header, from.words[3], to.words[3], sizeof(__be32));
		bpf_skb_store_bytes(skb, packet->l3_offset + __builtin_offsetof(struct iphdr, daddr), &to.words[3],
				    sizeof(__be32), 0);
	} else {
		bpf_l4_csum_replace(skb, checksum, 0, bpf_csum_diff(from.words, sizeof(from), to.words, sizeof(to), 0),
				    BPF_F_PSEUDO_HDR);
		bpf_skb_store_bytes(skb, packet->l3_offset + __builtin_offsetof(struct ipv6hdr, daddr), &to, sizeof(to),
				    0);
	}
	bpf_l4_csum_replace(skb, checksum, packet->destination_port, to_port, sizeof(__be16));
	bpf_skb_store_bytes(skb, port, &to_port, sizeof(to_port), 0);
}

/* A source that was translated too (a workload that came back to itself through a service) is not brought back: the
 * connection does not come about. */
static __noinline void untranslate(struct __sk_buff *skb, const struct packet *packet)
{
	struct packet answer = {}, original = {};

	turn(&answer, packet);
	if (packet->protocol != IPPROTO_TCP || packet->quoted || !find_original(skb, &answer, &original) ||
	    !same_address(&original.source, &packet->source) || original.source_port != packet->source_port)
		return;
	if (!same_address(&original.destination, &packet->destination) ||
	    original.destination_port != packet->destination_port)
		write_destination(skb, packet, &original);
}
