// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Netfilter's hooks for what the node forwards and for what is for the node itself. It stands on no interface: a workload
 * that comes while nobody is there to put programs on its interface cannot get past it. Here a packet has the addresses of
 * its ends, whatever the node translates: MASQUERADE comes later, a service's address went before. */
#include "../lib/stranger.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* linux/netfilter.h */
enum { NETFILTER_DROP = 0, NETFILTER_ACCEPT = 1, NETFILTER_IPV4 = 2 };
#define LOOPBACK_IFINDEX 1

/* The fields that are read, found in the running kernel by their names (CO-RE). */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct net_device {
	int ifindex;
};
struct nf_hook_state {
	__u8 pf;
	struct net_device *in;
};
struct sk_buff {
	__u16 network_header;
	unsigned char *head;
};
#pragma clang attribute pop

/* include/net/netfilter/nf_bpf_link.h, since 6.4 */
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

/* Fills the addresses. The stack has checked the header. Gives 0, or 1 when it cannot be read. */
static __always_inline int read_ends(const struct bpf_nf_ctx *context, struct packet *packet, __u16 *l4_offset)
{
	const struct sk_buff *skb = context->skb;
	const void *header = skb->head + skb->network_header;

	if (context->state->pf == NETFILTER_IPV4) {
		struct iphdr ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), header))
			return 1;
		map_address(&packet->source, ip.saddr);
		map_address(&packet->destination, ip.daddr);
		packet->protocol = ip.protocol;
		*l4_offset = ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), header))
			return 1;
		copy_address(&packet->source, &ip.saddr);
		copy_address(&packet->destination, &ip.daddr);
		packet->protocol = ip.nexthdr;
		*l4_offset = sizeof(ip);
	}
	return 0;
}

/* The ports, where they follow the header at once: they are told and nothing hangs on them. */
static __always_inline void read_ports(const struct bpf_nf_ctx *context, struct packet *packet, __u16 l4_offset)
{
	const struct sk_buff *skb = context->skb;
	__be16 ports[2];

	if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP && packet->protocol != IPPROTO_SCTP)
		return;
	if (bpf_probe_read_kernel(ports, sizeof(ports), skb->head + skb->network_header + l4_offset))
		return;
	packet->source_port = ports[0];
	packet->destination_port = ports[1];
}

/* In this order:
 *   1. the source is a workload that nobody has announced: dropped;
 *   2. so is the destination: dropped;
 *   3. all else passes: its own hooks judge it. */
SEC("netfilter")
int guard(struct bpf_nf_ctx *context)
{
	struct decision decision = { .source_identity = IDENTITY_WORLD, .destination_identity = IDENTITY_WORLD };
	const struct net_device *in = context->state->in;
	struct packet packet = {};
	__u16 l4_offset = 0;

	if (read_ends(context, &packet, &l4_offset))
		return NETFILTER_DROP;
	if (is_stranger(&packet.source))
		decision.direction = WEIR_EGRESS;
	else if (is_stranger(&packet.destination))
		decision.direction = WEIR_INGRESS;
	else
		return NETFILTER_ACCEPT;
	read_ports(context, &packet, l4_offset);
	decision.reason = WEIR_WORKLOAD_UNKNOWN;
	count(WEIR_WORKLOAD_UNKNOWN);
	/* A run without an interface (BPF_PROG_RUN) is the node's own. */
	tell_of(in ? in->ifindex : LOOPBACK_IFINDEX, &packet, &decision, WEIR_EVENT_DROP << 8 | WEIR_GUARD);
	return NETFILTER_DROP;
}
