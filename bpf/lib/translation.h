/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What netfilter knows of a connection whose addresses the node translates (kube-proxy's DNAT, MASQUERADE). The stack
 * itself translates; these programs stand before and after it, and must find the connection under its other name. */
#pragma once
#include "proxy-socket.h"

#define CT_ORIGINAL 0
#define CT_REPLY 1

/* The fields that are read, found in the running kernel by their names (CO-RE). */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
union nf_inet_addr {
	__u32 all[4];
};
struct nf_conntrack_tuple {
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
};
struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};
struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
};
#pragma clang attribute pop

/* net/netfilter/nf_conntrack_bpf.c, since 5.18; 12 bytes are taken by all versions. */
struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

/* Weak: without netfilter's connection tracking nothing is translated. */
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_bytes,
					 struct bpf_ct_opts *opts, __u32 opts_bytes) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

static __always_inline void from_netfilter(struct weir_address *to, const union nf_inet_addr *from, int v4)
{
	if (v4) {
		map_address(to, from->all[0]);
		return;
	}
	for (int i = 0; i < 4; i++)
		to->words[i] = from->all[i];
}

/* The TCP connection that netfilter knows under a packet's addresses, which must be those of its answers: fills
 * `original` with the addresses of the packet that opened it. Gives 1 when there is one. */
static __noinline int find_original(struct __sk_buff *skb, const struct packet *answer, struct packet *original)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_TCP };
	int v4 = is_ipv4(&answer->source), found = 0;
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *ct;

	if (!bpf_skb_ct_lookup)
		return 0;
	tuple_of(answer, &tuple);
	ct = v4 ? bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts))
		: bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	if (!ct)
		return 0;
	if (opts.dir == CT_REPLY) {
		from_netfilter(&original->source, &ct->tuplehash[CT_ORIGINAL].tuple.src.u3, v4);
		from_netfilter(&original->destination, &ct->tuplehash[CT_ORIGINAL].tuple.dst.u3, v4);
		original->source_port = ct->tuplehash[CT_ORIGINAL].tuple.src.u.all;
		original->destination_port = ct->tuplehash[CT_ORIGINAL].tuple.dst.u.all;
		found = 1;
	}
	bpf_ct_release(ct);
	return found;
}

static __always_inline void turn(struct packet *to, const struct packet *from)
{
	to->source = from->destination;
	to->destination = from->source;
	to->source_port = from->destination_port;
	to->destination_port = from->source_port;
}
