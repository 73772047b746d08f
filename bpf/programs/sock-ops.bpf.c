// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* On the root of cgroup v2: picks the sockets that are the two local ends of a connection of the proxy. */
#include "../lib/acceleration.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
/* Longer than a SYN waits for its answer; it is remembered anew when it is repeated. */
#define OPENING_NS (2 * NANOSECONDS)

static __always_inline void addresses_of(struct bpf_sock_ops *ops, struct end_key *key)
{
	if (ops->family == AF_INET) {
		map_address(&key->local, ops->local_ip4);
		map_address(&key->remote, ops->remote_ip4);
	} else {
		key->local.words[0] = ops->local_ip6[0];
		barrier();
		key->local.words[1] = ops->local_ip6[1];
		barrier();
		key->local.words[2] = ops->local_ip6[2];
		barrier();
		key->local.words[3] = ops->local_ip6[3];
		barrier();
		key->remote.words[0] = ops->remote_ip6[0];
		barrier();
		key->remote.words[1] = ops->remote_ip6[1];
		barrier();
		key->remote.words[2] = ops->remote_ip6[2];
		barrier();
		key->remote.words[3] = ops->remote_ip6[3];
	}
	key->local_port = ops->local_port;
	key->remote_port = bpf_ntohl(ops->remote_port);
	key->sent_from = ops->snd_una;
	key->received_from = ops->rcv_nxt;
}

static __always_inline struct end_key turned(const struct end_key *key)
{
	return (struct end_key){
		.local = key->remote,
		.remote = key->local,
		.local_port = key->remote_port,
		.remote_port = key->local_port,
		.sent_from = key->received_from,
		.received_from = key->sent_from,
	};
}

/* Options that the way around TCP knows nothing of. */
static __always_inline int is_plain(const struct tcp_sock *tcp)
{
	const struct sock *sock = &tcp->inet_conn.icsk_inet.sk;

	return !tcp->inet_conn.icsk_ulp_ops && sock->sk_rcvlowat <= 1 && !sock->sk_tsflags &&
	       !(sock->__sk_common.skc_flags & (1UL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY)));
}

/* The segment that the callback is for carries bytes. */
static __always_inline int has_bytes(struct bpf_sock_ops *ops)
{
	return ops->skb_len > (__u64)ops->skb_data_end - (__u64)ops->skb_data;
}

/* Takes a socket whose connection is just established into the sockhash. Not, in this order:
 *   1. when acceleration is off;
 *   2. when its connection is not tracked as one of the proxy's, or has lost its permission;
 *   3. when the other end is no workload of this node;
 *   4. when the socket is not who it must be: the workload opens its own connection, the proxy the leg;
 *   5. when its connection was not opened a moment ago: it is another one, of equal addresses in another namespace
 *      (what was accepted is told by 7);
 *   6. when it has options that would not work, or bytes already;
 *   7. when it was opened by an end that is not in the sockhash;
 *   8. when it is a workload's that reads blocking, which the sockhash would change; what a workload accepts is
 *      judged by what it did with an earlier one, and watched when there was none, or when that blocked. */
static __always_inline void join(struct bpf_sock_ops *ops, int active)
{
	struct bpf_sock *socket = ops->sk;
	struct standing standing = {};
	struct packet packet = { .protocol = IPPROTO_TCP };
	struct accelerated *accelerated;
	struct end_key own = {}, other;
	struct reader_key reader = {};
	struct weir_flow *flow;
	struct end end, *peer;
	struct tcp_sock *tcp;
	__u32 *nonblocking;
	int leg, proxy;

	if (!socket || !acceleration_is_on())
		return;
	addresses_of(ops, &own);
	packet.source = own.local;
	packet.destination = own.remote;
	packet.source_port = bpf_htons(own.local_port);
	packet.destination_port = bpf_htons(own.remote_port);
	find_flow(&packet, &standing);
	flow = standing.flow;
	if (!flow || !is_proxied(flow) || (flow->flags & WEIR_CUT))
		return;
	leg = !!(flow->flags & WEIR_LEG);
	if (!(leg ? flow->destination.ifindex : flow->source.ifindex))
		return;
	proxy = (socket->mark & mark_mask) == mark_proxy && bpf_get_netns_cookie(ops) == proxy_netns;
	if (active != (proxy == leg) || !!standing.forward != active)
		return;
	if (active && bpf_ktime_get_coarse_ns() > flow->last_seen_ns + OPENING_NS)
		return;
	tcp = bpf_skc_to_tcp_sock(socket);
	if (!tcp || !is_plain(tcp) || has_bytes(ops))
		return;
	if (active && !proxy && !is_nonblocking(&tcp->inet_conn.icsk_inet.sk)) {
		count_acceleration(WEIR_ACCELERATION_BLOCKING);
		return;
	}
	other = turned(&own);
	peer = active ? 0 : bpf_map_lookup_elem(&meeting_ends, &other);
	if (!active && !peer)
		return;

	accelerated = bpf_sk_storage_get(&accelerated_ends, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!accelerated)
		return;
	accelerated->flow = standing.key;
	accelerated->place = place_of(&standing.key, standing.sender_is_low);
	accelerated->peer_key = other;
	if (peer)
		accelerated->peer = *peer;
	accelerated->peer_is_proxy = !proxy;
	end.cookie = bpf_get_socket_cookie(ops);
	end.sock = (__u64)tcp;
	accelerated->own = end;
	bpf_map_update_elem(&meeting_ends, &own, &end, BPF_ANY);
	if (!proxy)
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (!proxy && bpf_map_update_elem(&workload_ends, &accelerated->place, &end, BPF_ANY))
		return;
	if (!active && !proxy) {
		reader.address = own.local;
		reader.port = own.local_port;
		nonblocking = bpf_map_lookup_elem(&readers, &reader);
		if (!nonblocking || !*nonblocking) {
			count_acceleration(WEIR_ACCELERATION_BLOCKING);
			return;
		}
	}
	if (!bpf_sock_hash_update(ops, &accelerated_sockets, &end.cookie, BPF_NOEXIST))
		count_acceleration(WEIR_ACCELERATION_JOINED);
}

/* A workload's socket is about to change its state: one that closes is forgotten. */
static __always_inline void part(struct bpf_sock_ops *ops)
{
	struct bpf_sock *socket = ops->sk;
	struct accelerated *accelerated;
	struct end *end;

	if (!socket || ops->args[1] != BPF_TCP_CLOSE)
		return;
	accelerated = bpf_sk_storage_get(&accelerated_ends, socket, 0, 0);
	if (!accelerated)
		return;
	end = bpf_map_lookup_elem(&workload_ends, &accelerated->place);
	if (end && end->cookie == accelerated->own.cookie)
		bpf_map_delete_elem(&workload_ends, &accelerated->place);
}

SEC("sockops")
int pick_sockets(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		join(ops, 1);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		join(ops, 0);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		part(ops);
		break;
	}
	return 1;
}
