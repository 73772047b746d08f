/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes to the few facts that everything else asks for. */
#pragma once
#include "headers.h"

/* Let the next filter on the hook, or the stack, have the packet. */
#define PASS TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

/* More headers than anybody sends: what carries more is malformed. */
#define MAX_HEADER_BYTES 512

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* What a packet is to its connection, whatever the protocol. */
enum part {
	/* Asks for a new connection: always judged. */
	PART_OPENS = 1 << 0,
	/* Can only answer: without a connection it is nobody's. */
	PART_ANSWERS = 1 << 1,
	/* The last word of one side, or of both. */
	PART_FINISHES = 1 << 2,
	PART_ABORTS = 1 << 3,
};

/* One packet, or the packet that an ICMP error quotes. */
struct packet {
	struct weir_address source;
	struct weir_address destination;
	__be16 source_port;
	/* What policy entries call the port; for ICMP requests the type. */
	__be16 destination_port;
	__u32 fragment_id;
	__u16 l3_offset;
	__u16 l4_offset;
	__u8 protocol;
	__u8 tcp_flags;
	/* enum part */
	__u8 part;
	__u8 later_fragment;
	__u8 first_fragment;
	/* An ICMP error: the flow fields are those of the quoted packet. */
	__u8 quoted;
	/* … and the quoted packet's destination is who sent the error, not a router on the way. */
	__u8 quoted_by_destination;
	/* Type of an ICMPv6 message between neighbours (RFC 4861, RFC 3810), 0 for all others. */
	__u8 neighbour;
	__u8 hop_limit;
};

enum parsed { PARSED = 0, PARSED_ARP, PARSED_OTHER_FAMILY, PARSED_SOURCE_ROUTED, PARSED_BAD };

static __always_inline void map_address(struct weir_address *to, __be32 from)
{
	to->words[0] = 0;
	to->words[1] = 0;
	to->words[2] = bpf_htonl(0xffff);
	to->words[3] = from;
}

static __always_inline void copy_address(struct weir_address *to, const struct in6_addr *from)
{
	for (int i = 0; i < 4; i++)
		to->words[i] = from->in6_u.u6_addr32[i];
}

static __always_inline int is_ipv4(const struct weir_address *address)
{
	return !address->words[0] && !address->words[1] && address->words[2] == bpf_htonl(0xffff);
}

static __always_inline int same_address(const struct weir_address *a, const struct weir_address *b)
{
	return a->words[3] == b->words[3] && a->words[2] == b->words[2] && a->words[1] == b->words[1] &&
	       a->words[0] == b->words[0];
}

/* For the verifier: clang 14 takes skb->data for the 32-bit number that the context declares and extends it after a
 * branch ("w2 = w2"), which makes a number of a packet pointer. In assembler it stays what it is. */
#define CONTEXT_POINTER(SKB, FIELD)                                                                                    \
	({                                                                                                             \
		void *pointer;                                                                                         \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                                                  \
			     : "=r"(pointer)                                                                           \
			     : "r"(SKB), "i"(__builtin_offsetof(struct __sk_buff, FIELD)));                            \
		pointer;                                                                                               \
	})

/* `bytes` of the packet at `offset`, pulled into the linear part when they sit outside; 0 when it has not as many. */
static __always_inline void *header_at(struct __sk_buff *skb, __u32 offset, __u32 bytes)
{
	void *header = CONTEXT_POINTER(skb, data) + offset;

	if (header + bytes > CONTEXT_POINTER(skb, data_end)) {
		if (bpf_skb_pull_data(skb, offset + bytes))
			return 0;
		header = CONTEXT_POINTER(skb, data) + offset;
		if (header + bytes > CONTEXT_POINTER(skb, data_end))
			return 0;
	}
	return header;
}

/* ICMP as ports: a request goes from its id to its type, the reply comes back from there. */
static __always_inline void icmp_ports(struct packet *packet, const struct icmp *icmp)
{
	__u8 request = packet->protocol == IPPROTO_ICMP ? icmp_request_of(icmp->type) : icmpv6_request_of(icmp->type);

	packet->source_port = request ? bpf_htons(request) : icmp->id;
	packet->destination_port = request ? icmp->id : bpf_htons(icmp->type);
	packet->part = request ? PART_ANSWERS : 0;
}

/* Ports of the header at `at`, which holds 8 bytes at least: all that an ICMP error must quote. */
static __always_inline void parse_ports(struct packet *packet, const void *at)
{
	const __be16 *ports = at;

	switch (packet->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		packet->source_port = ports[0];
		packet->destination_port = ports[1];
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		icmp_ports(packet, at);
		break;
	}
}

/* Functions that are not static are verified by themselves, once; all their paths in all their callers would be more
 * than the verifier has patience for. It does not let them trust their arguments: hence the checks for 0. */

/* The options of an IPv4 header: whether one names the way (RFC 791, loose and strict source route). Linux obeys
 * them where accept_source_route is set, its default, and the address that was judged is not where they lead. */
__noinline int is_source_routed(struct __sk_buff *skb, __u32 offset, __u32 bytes)
{
	__u8 option[2];

	for (int i = 0; i < 40 && bytes; i++) {
		if (bpf_skb_load_bytes(skb, offset, option, 1) || option[0] == IPV4_OPTION_END)
			return 0;
		if (option[0] == IPV4_OPTION_NOOP) {
			offset += 1;
			bytes -= 1;
			continue;
		}
		if (option[0] == IPV4_OPTION_LSRR || option[0] == IPV4_OPTION_SSRR)
			return 1;
		if (bytes < 2 || bpf_skb_load_bytes(skb, offset, option, 2) || option[1] < 2 || option[1] > bytes)
			return 1;
		offset += option[1];
		bytes -= option[1];
	}
	return 0;
}

static __always_inline enum parsed parse_ipv4(struct __sk_buff *skb, struct packet *packet, const struct iphdr *ip,
					      __u32 offset)
{
	__u32 fragment = bpf_ntohs(ip->frag_off);

	if (ip->version != 4 || ip->ihl < 5 || bpf_ntohs(ip->tot_len) - 1U < ip->ihl * 4U - 1U)
		return PARSED_BAD;
	map_address(&packet->source, ip->saddr);
	map_address(&packet->destination, ip->daddr);
	packet->protocol = ip->protocol;
	packet->fragment_id = ip->id;
	packet->hop_limit = ip->ttl;
	packet->l3_offset = offset;
	packet->l4_offset = offset + ip->ihl * 4;
	packet->later_fragment = (fragment & IPV4_FRAGMENT_OFFSET) != 0;
	packet->first_fragment = !packet->later_fragment && (fragment & IPV4_MORE_FRAGMENTS);
	/* Of another version it is not ours to read: ICMPv6 inside IPv4 names no type of a policy. */
	if (packet->protocol == IPPROTO_ICMPV6)
		return PARSED_BAD;
	if (ip->ihl > 5 && is_source_routed(skb, offset + sizeof(*ip), (ip->ihl - 5) * 4))
		return PARSED_SOURCE_ROUTED;
	return PARSED;
}

/* Goes from packet->protocol at packet->l4_offset over the extension headers (RFC 8200) to what they extend. Eight of
 * them at most; a packet that has more is malformed. Routing headers with segments left lead elsewhere than to the
 * address that is judged. */
__noinline int skip_extensions(struct __sk_buff *skb, struct packet *packet)
{
	struct ipv6_extension header;
	enum parsed found = PARSED_BAD;
	__u32 offset;
	__u8 protocol;

	if (!packet)
		return PARSED_BAD;
	offset = packet->l4_offset;
	protocol = packet->protocol;
	for (int i = 0; i < 9; i++) {
		if (protocol != NEXTHDR_HOP && protocol != NEXTHDR_ROUTING && protocol != NEXTHDR_FRAGMENT &&
		    protocol != NEXTHDR_AUTH && protocol != NEXTHDR_DEST) {
			found = PARSED;
			break;
		}
		if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
			break;
		if (protocol == NEXTHDR_FRAGMENT) {
			__u32 fragment = bpf_ntohs(header.fragment);

			packet->fragment_id = header.fragment_id;
			packet->later_fragment = (fragment & IPV6_FRAGMENT_OFFSET) != 0;
			packet->first_fragment = !packet->later_fragment && (fragment & IPV6_MORE_FRAGMENTS);
			protocol = header.next;
			offset += 8;
			/* What follows in a later fragment is no header. */
			if (packet->later_fragment) {
				found = PARSED;
				break;
			}
			continue;
		}
		if (protocol == NEXTHDR_ROUTING && header.segments_left) {
			found = PARSED_SOURCE_ROUTED;
			break;
		}
		offset += protocol == NEXTHDR_AUTH ? (header.length + 2) * 4 : (header.length + 1) * 8;
		protocol = header.next;
		if (offset > MAX_HEADER_BYTES)
			break;
	}
	packet->protocol = protocol;
	packet->l4_offset = offset;
	/* As above: ICMP inside IPv6 names no type of a policy. */
	return protocol == IPPROTO_ICMP ? PARSED_BAD : found;
}

static __always_inline enum parsed parse_ipv6(struct __sk_buff *skb, struct packet *packet,
					      const struct ipv6hdr *ip, __u32 offset)
{
	if (ip->version != 6)
		return PARSED_BAD;
	copy_address(&packet->source, &ip->saddr);
	copy_address(&packet->destination, &ip->daddr);
	/* The form under which the maps know IPv4 addresses never travels (RFC 4942 2.2). */
	if (is_ipv4(&packet->source) || is_ipv4(&packet->destination))
		return PARSED_BAD;
	packet->protocol = ip->nexthdr;
	packet->hop_limit = ip->hop_limit;
	packet->l3_offset = offset;
	packet->l4_offset = offset + sizeof(*ip);
	if (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP)
		return PARSED;
	return skip_extensions(skb, packet);
}

/* Puts the packet that an ICMP error quotes in the place of the error. An error goes to the source of what it quotes;
 * others belong to no flow. */
__noinline int parse_quoted(struct __sk_buff *skb, struct packet *packet)
{
	struct weir_address sender, receiver;
	enum parsed found = PARSED_BAD;
	__u32 offset, l3_offset;
	__be16 l4[4];

	if (!packet)
		return PARSED_BAD;
	sender = packet->source;
	receiver = packet->destination;
	offset = packet->l4_offset + sizeof(struct icmp);
	l3_offset = packet->l3_offset;
	if (packet->protocol == IPPROTO_ICMP) {
		struct iphdr ip;

		if (!bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			found = parse_ipv4(skb, packet, &ip, offset);
	} else {
		struct ipv6hdr ip;

		if (!bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			found = parse_ipv6(skb, packet, &ip, offset);
	}
	if (found != PARSED || packet->later_fragment || !same_address(&packet->source, &receiver) ||
	    bpf_skb_load_bytes(skb, packet->l4_offset, l4, sizeof(l4)))
		return PARSED_BAD;
	packet->quoted = 1;
	packet->quoted_by_destination = same_address(&packet->destination, &sender);
	packet->first_fragment = 0;
	packet->l3_offset = l3_offset;
	parse_ports(packet, l4);
	packet->part = 0;
	return PARSED;
}

static __always_inline __u8 part_of_tcp(__u8 flags)
{
	__u8 part = 0;

	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		part |= PART_OPENS;
	if ((flags & TCP_RST) || (flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		part |= PART_ANSWERS;
	if (flags & TCP_FIN)
		part |= PART_FINISHES;
	if (flags & TCP_RST)
		part |= PART_ABORTS;
	return part;
}

/* By the first chunk (RFC 9260): those that matter here are never bundled behind others. */
static __always_inline __u8 part_of_sctp(__u8 chunk)
{
	switch (chunk) {
	case SCTP_INIT:
		return PART_OPENS;
	case SCTP_INIT_ACK:
	case SCTP_COOKIE_ACK:
		return PART_ANSWERS;
	case SCTP_ABORT:
	case SCTP_SHUTDOWN_COMPLETE:
		return PART_ANSWERS | PART_ABORTS;
	}
	return 0;
}

/* The headers behind IP. In a fragment, the first one must hold them all (RFC 7112; Linux's TCP sends no other). */
static __always_inline enum parsed parse_transport(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset = packet->l4_offset;
	const __u8 *l4;

	if (offset > MAX_HEADER_BYTES)
		return PARSED_BAD;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		l4 = header_at(skb, offset, sizeof(struct tcphdr));
		if (!l4)
			return PARSED_BAD;
		packet->tcp_flags = l4[13];
		packet->part = part_of_tcp(packet->tcp_flags);
		parse_ports(packet, l4);
		return PARSED;
	case IPPROTO_SCTP:
		l4 = header_at(skb, offset, SCTP_HEADER_BYTES + 4);
		if (!l4)
			return PARSED_BAD;
		packet->part = part_of_sctp(l4[SCTP_HEADER_BYTES]);
		parse_ports(packet, l4);
		return PARSED;
	case IPPROTO_UDP:
		l4 = header_at(skb, offset, sizeof(struct udphdr));
		if (!l4)
			return PARSED_BAD;
		parse_ports(packet, l4);
		return PARSED;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		l4 = header_at(skb, offset, sizeof(struct icmp));
		if (!l4)
			return PARSED_BAD;
		if (packet->protocol == IPPROTO_ICMP ? is_icmp_error(*l4) : is_icmpv6_error(*l4))
			return parse_quoted(skb, packet);
		if (packet->protocol == IPPROTO_ICMPV6 && is_neighbour_message(*l4) && !packet->first_fragment)
			packet->neighbour = *l4;
		parse_ports(packet, l4);
		return PARSED;
	}
	return PARSED;
}

/* Fills `packet`. Anything shorter than its own headers say is PARSED_BAD. A VLAN tag, or two (IEEE 802.1Q and ad),
 * changes nothing about who may talk to whom: what carries one is judged like what carries none. */
__noinline int parse(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset = ETH_HLEN;
	enum parsed found;
	void *header;
	__be16 type;

	if (!packet)
		return PARSED_BAD;
	header = header_at(skb, 0, ETH_HLEN);
	if (!header)
		return PARSED_BAD;
	type = ((struct ethhdr *)header)->h_proto;
	for (int i = 0; i < 2; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		header = header_at(skb, offset, sizeof(struct vlan_tag));
		if (!header)
			return PARSED_BAD;
		type = ((struct vlan_tag *)header)->type;
		offset += sizeof(struct vlan_tag);
	}
	if (type == bpf_htons(ETH_P_ARP))
		return PARSED_ARP;
	if (type == bpf_htons(ETH_P_IP)) {
		header = header_at(skb, offset, sizeof(struct iphdr));
		if (!header)
			return PARSED_BAD;
		found = parse_ipv4(skb, packet, header, offset);
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		header = header_at(skb, offset, sizeof(struct ipv6hdr));
		if (!header)
			return PARSED_BAD;
		found = parse_ipv6(skb, packet, header, offset);
	} else {
		return PARSED_OTHER_FAMILY;
	}
	if (found != PARSED || packet->later_fragment)
		return found;
	return parse_transport(skb, packet);
}

static __always_inline int opens(const struct packet *packet)
{
	return packet->part & PART_OPENS;
}
