/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to the few facts that everything else asks for. */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include "maps.h"

/* Let the next filter on the hook, or the stack, have the packet. */
#define PASS TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

#define IP_FRAGMENT_OFFSET 0x1fff
#define IP_MORE_FRAGMENTS 0x2000

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* RFC 792; linux/icmp.h pulls in headers of the C library that a BPF build has not. */
enum icmp_type {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP_TIMESTAMP = 13,
	ICMP_TIMESTAMPREPLY = 14,
};

struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

/* One packet, or the packet that an ICMP error quotes. */
struct packet {
	struct weir_address source;
	struct weir_address destination;
	__be16 source_port;
	/* What policy entries call the port; for ICMP requests the type. */
	__be16 destination_port;
	__u16 ip_id;
	__u16 l4_offset;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 later_fragment;
	__u8 first_fragment;
	/* An ICMP error: the flow fields are those of the quoted packet. */
	__u8 quoted;
	/* … and the quoted packet's destination is who sent the error, not a router on the way. */
	__u8 quoted_by_destination;
	/* An ICMP message that only answers. */
	__u8 icmp_reply;
};

enum parsed { PARSED = 0, PARSED_ARP, PARSED_OTHER_FAMILY, PARSED_BAD };

static __always_inline void map_address(struct weir_address *to, __be32 from)
{
	to->words[0] = 0;
	to->words[1] = 0;
	to->words[2] = bpf_htonl(0xffff);
	to->words[3] = from;
}

static __always_inline int same_address(const struct weir_address *a, const struct weir_address *b)
{
	return a->words[3] == b->words[3] && a->words[2] == b->words[2] && a->words[1] == b->words[1] &&
	       a->words[0] == b->words[0];
}

/* ICMP as ports: a request goes from its id to its type, the reply comes back from there. */
static __always_inline void icmp_ports(struct packet *packet, __u8 type, __be16 id)
{
	int reply = type == ICMP_ECHOREPLY || type == ICMP_TIMESTAMPREPLY;
	__be16 request = type == ICMP_ECHOREPLY      ? bpf_htons(ICMP_ECHO)
			 : type == ICMP_TIMESTAMPREPLY ? bpf_htons(ICMP_TIMESTAMP)
						       : bpf_htons(type);
	packet->icmp_reply = reply;
	packet->source_port = reply ? request : id;
	packet->destination_port = reply ? id : request;
}

/* Ports of the header at `at`, which holds 8 bytes at least: all that an ICMP error must quote. */
static __always_inline void parse_ports(struct packet *packet, const __be16 *at)
{
	const struct icmp *icmp = (const void *)at;

	switch (packet->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		packet->source_port = at[0];
		packet->destination_port = at[1];
		break;
	case IPPROTO_ICMP:
		icmp_ports(packet, icmp->type, icmp->id);
		break;
	}
}

static __always_inline int is_icmp_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* Fills `packet`. Anything shorter than its own headers say is PARSED_BAD. */
static __always_inline enum parsed parse(struct __sk_buff *skb, struct packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip;
	__be16 *l4;
	__u32 header, fragment;

	if (skb->vlan_present)
		return PARSED_OTHER_FAMILY;
	if ((void *)(eth + 1) + sizeof(*ip) + sizeof(struct tcphdr) > end && skb->len > end - data) {
		/* Headers may sit in fragments of the buffer: they are pulled in. */
		if (bpf_skb_pull_data(skb, skb->len < 114 ? skb->len : 114))
			return PARSED_BAD;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
		eth = data;
	}
	if ((void *)(eth + 1) > end)
		return PARSED_BAD;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return PARSED_ARP;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return PARSED_OTHER_FAMILY;
	ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return PARSED_BAD;

	header = ip->ihl * 4;
	fragment = bpf_ntohs(ip->frag_off);
	map_address(&packet->source, ip->saddr);
	map_address(&packet->destination, ip->daddr);
	packet->protocol = ip->protocol;
	packet->ip_id = ip->id;
	packet->l4_offset = sizeof(*eth) + header;
	packet->later_fragment = (fragment & IP_FRAGMENT_OFFSET) != 0;
	packet->first_fragment = !packet->later_fragment && (fragment & IP_MORE_FRAGMENTS);
	if (packet->later_fragment)
		return PARSED;

	l4 = (void *)ip + header;
	if ((void *)l4 + 8 > end) {
		/* A protocol without ports may be shorter than 8 bytes. */
		switch (packet->protocol) {
		case IPPROTO_TCP:
		case IPPROTO_UDP:
		case IPPROTO_SCTP:
		case IPPROTO_ICMP:
			return PARSED_BAD;
		}
		return PARSED;
	}
	parse_ports(packet, l4);

	if (packet->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)l4;

		if ((void *)(tcp + 1) > end)
			return PARSED_BAD;
		packet->tcp_flags = ((__u8 *)tcp)[13];
	} else if (packet->protocol == IPPROTO_ICMP && is_icmp_error(*(__u8 *)l4)) {
		struct iphdr *quoted = (void *)l4 + 8;

		if ((void *)(quoted + 1) > end)
			return PARSED_BAD;
		header = quoted->ihl * 4;
		l4 = (void *)quoted + header;
		/* An error goes to the source of what it quotes; others belong to no flow. */
		if (quoted->ihl < 5 || quoted->saddr != ip->daddr || (void *)l4 + 8 > end ||
		    (quoted->frag_off & bpf_htons(IP_FRAGMENT_OFFSET)))
			return PARSED_BAD;
		packet->quoted = 1;
		packet->quoted_by_destination = quoted->daddr == ip->saddr;
		packet->protocol = quoted->protocol;
		map_address(&packet->source, quoted->saddr);
		map_address(&packet->destination, quoted->daddr);
		parse_ports(packet, l4);
	}
	return PARSED;
}
