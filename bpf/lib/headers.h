/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers of the protocols' own documents that no header of the kernel gives to a BPF build. */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "maps.h"

/* include/linux/socket.h */
#define AF_INET 2
#define AF_INET6 10

/* RFC 791 */
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OPTION_END 0
#define IPV4_OPTION_NOOP 1
#define IPV4_OPTION_LSRR 131
#define IPV4_OPTION_SSRR 137

/* RFC 8200, RFC 4302 */
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_AUTH 51
#define NEXTHDR_DEST 60
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001

/* The first 8 bytes of any extension header; `length` counts as each of them says. */
struct ipv6_extension {
	__u8 next;
	__u8 length;
	union {
		/* Of a fragment header. */
		__be16 fragment;
		/* Of a routing header. */
		struct {
			__u8 routing_type;
			__u8 segments_left;
		};
	};
	__be32 fragment_id;
};

/* What follows the addresses of Ethernet, or another tag (IEEE 802.1Q). */
struct vlan_tag {
	__be16 tag;
	__be16 type;
};

#define SCTP_HEADER_BYTES 12

/* RFC 9260 3.2 */
enum sctp_chunk {
	SCTP_INIT = 1,
	SCTP_INIT_ACK = 2,
	SCTP_ABORT = 6,
	SCTP_COOKIE_ACK = 11,
	SCTP_SHUTDOWN_COMPLETE = 14,
};

/* RFC 792 and RFC 4443; linux/icmp.h pulls in headers of the C library that a BPF build has not. */
struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

enum icmp_type {
	ICMP_ECHOREPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
	ICMP_TIMESTAMP = 13,
	ICMP_TIMESTAMPREPLY = 14,
};

enum icmpv6_type {
	ICMPV6_DEST_UNREACH = 1,
	ICMPV6_PACKET_TOO_BIG = 2,
	ICMPV6_TIME_EXCEEDED = 3,
	ICMPV6_PARAMETERPROB = 4,
	ICMPV6_ECHO_REQUEST = 128,
	ICMPV6_ECHO_REPLY = 129,
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ND_ROUTER_SOLICITATION = 133,
	ND_ROUTER_ADVERTISEMENT = 134,
	ND_NEIGHBOUR_SOLICITATION = 135,
	ND_NEIGHBOUR_ADVERTISEMENT = 136,
	ND_REDIRECT = 137,
	MLD2_REPORT = 143,
};

static __always_inline int is_icmp_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

static __always_inline int is_icmpv6_error(__u8 type)
{
	return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMETERPROB;
}

static __always_inline int is_neighbour_message(__u8 type)
{
	return (type >= MLD_QUERY && type <= ND_REDIRECT) || type == MLD2_REPORT;
}

/* The type that a message of this type answers; 0 when it answers none. */
static __always_inline __u8 icmp_request_of(__u8 type)
{
	return type == ICMP_ECHOREPLY ? ICMP_ECHO : type == ICMP_TIMESTAMPREPLY ? ICMP_TIMESTAMP : 0;
}

static __always_inline __u8 icmpv6_request_of(__u8 type)
{
	return type == ICMPV6_ECHO_REPLY ? ICMPV6_ECHO_REQUEST : 0;
}

/* What has this hop limit comes from the same link (RFC 4861 7.1.1), or goes no further (RFC 3810 5). */
static __always_inline __u8 due_hop_limit(__u8 type)
{
	return type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT ? 255 : 1;
}
