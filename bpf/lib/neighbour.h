/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What keeps a link alive and no policy speaks of: ARP, neighbour discovery (RFC 4861) and multicast listening
 * (RFC 3810). It passes unjudged, but only as far as the link goes and only under the sender's own addresses. What a
 * workload may send; to-workload.bpf.c has the few lines about what it may hear. */
#pragma once
#include "fragment.h"

/* RFC 826, for IPv4 on Ethernet. */
struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_hardware[ETH_ALEN];
	__be32 sender;
} __attribute__((packed));

static __always_inline int is_unspecified(const struct weir_address *address)
{
	return !(address->words[0] | address->words[1] | address->words[2] | address->words[3]);
}

static __always_inline int is_link_local(const struct weir_address *address)
{
	return (address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* ff01:: and ff02::, which no router forwards. */
static __always_inline int is_link_multicast(const struct weir_address *address)
{
	__u32 scope = bpf_ntohl(address->words[0]) & 0xff0f0000;

	return scope == 0xff010000 || scope == 0xff020000;
}

/* Why an address that the sender does not own is dropped: nobody knows the sender, or it is another's. */
static __noinline __u32 not_owned(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;

	return bpf_map_lookup_elem(&endpoints, &ifindex) ? WEIR_SOURCE_NOT_OWNED : WEIR_ENDPOINT_UNKNOWN;
}

/* A workload speaks for its own IPv4 addresses only; a probe (RFC 5227) for none. */
static __noinline int is_honest_arp(struct __sk_buff *skb)
{
	struct weir_address sender;
	struct arp arp;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)))
		return 0;
	map_address(&sender, arp.sender);
	return !arp.sender || owns(skb, &sender);
}

/* Whether a packet of this interface's link stays on it: this node is its receiver, or nobody would forward it. */
static __noinline int stays_on_link(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_fib_lookup route = { .family = AF_INET6, .ifindex = skb->ifindex };
	long found;

	if (is_link_multicast(&packet->destination) || is_link_local(&packet->destination))
		return 1;
	for (int i = 0; i < 4; i++)
		route.ipv6_dst[i] = packet->destination.words[i];
	found = bpf_fib_lookup(skb, &route, sizeof(route), BPF_FIB_LOOKUP_SKIP_NEIGH);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* A neighbour message that a workload sends on its link. In this order:
 *   1. a workload is no router: it advertises no routes, redirects nobody and asks for no listeners;
 *   2. another hop limit than the protocol's: it has been, or is to be, forwarded;
 *   3. the source is neither its own nor bound to the link: not owned;
 *   4. it advertises an address that is neither its own nor the link-local one that it speaks from: not owned.
 * Gives 0 or the reason to drop it. */
static __noinline __u32 neighbour_from_workload(struct __sk_buff *skb, const struct packet *packet)
{
	struct weir_address target;
	__u8 type = packet->neighbour;

	if (type == ND_ROUTER_ADVERTISEMENT || type == ND_REDIRECT || type == MLD_QUERY ||
	    packet->hop_limit != due_hop_limit(type))
		return WEIR_NEIGHBOUR_REFUSED;
	if (!is_unspecified(&packet->source) && !is_link_local(&packet->source) && !owns(skb, &packet->source))
		return not_owned(skb);
	if (type != ND_NEIGHBOUR_ADVERTISEMENT)
		return 0;
	if (bpf_skb_load_bytes(skb, packet->l4_offset + sizeof(struct icmp), &target, sizeof(target)))
		return WEIR_MALFORMED;
	if (is_link_local(&target) ? same_address(&target, &packet->source) : owns(skb, &target))
		return 0;
	return not_owned(skb);
}
