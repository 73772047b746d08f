// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* On every send of a socket in the sockhash: straight to the peer, or by TCP. */
#include "../lib/acceleration.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define MAX_SEARCHES 8
/* How long a permission is good without a look at the tracked connection: 0.1 to 1 s, as the kernel is built. */
#define GOOD_FOR_JIFFIES 100

/* The system calls that carry flags (x86-64), and the flag that says "urgent". */
#define NR_SENDTO 44
#define NR_SENDMSG 46
#define NR_SENDMMSG 307
#define MSG_OOB 1

/* Whether the caller sends urgent data, which has no place around TCP. The message does not tell; the call does. */
static __always_inline int is_urgent(void)
{
	const struct pt_regs *call = (const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	switch (call->orig_ax) {
	case NR_SENDTO:
	case NR_SENDMMSG:
		return call->r10 & MSG_OOB;
	case NR_SENDMSG:
		return call->dx & MSG_OOB;
	}
	return 0;
}

static __always_inline int find_peer(struct accelerated *accelerated)
{
	struct end *peer;

	if (accelerated->peer.cookie)
		return 1;
	if (accelerated->searches == MAX_SEARCHES)
		return 0;
	peer = bpf_map_lookup_elem(&meeting_ends, &accelerated->peer_key);
	if (!peer) {
		accelerated->searches += 1;
		return 0;
	}
	accelerated->peer = *peer;
	return 1;
}

/* The tracked connection is permitted; judges it anew under a newer policy, which keeps its entry young too. */
static __noinline int ask_permission(struct accelerated *accelerated)
{
	struct standing standing = {};
	struct packet packet = { .protocol = IPPROTO_TCP };
	struct decision decision = {};
	struct permission permission = {};
	struct weir_flow *flow;

	if (!accelerated)
		return 0;
	packet.source = accelerated->flow.low;
	packet.destination = accelerated->flow.high;
	packet.source_port = accelerated->flow.low_port;
	packet.destination_port = accelerated->flow.high_port;
	find_flow(&packet, &standing);
	flow = standing.flow;
	if (!flow || (flow->flags & WEIR_CUT) || !is_proxied(flow))
		return 0;
	if (!is_current(flow) && rejudge(0, &packet, &standing, &decision, WEIR_FROM_NETWORK))
		return 0;
	touch_for(&standing, &packet, 1);
	permission.seen = bpf_jiffies64();
	permission.source_subject = flow->source.subject;
	permission.source_generation = flow->source.generation;
	permission.destination_subject = flow->destination.subject;
	permission.destination_generation = flow->destination.generation;
	permission.ipcache_epoch = flow->ipcache_epoch;
	accelerated->permission = permission;
	return 1;
}

/* What was permitted a moment ago under what is in force now needs no look at the tracked connection. */
static __always_inline int has_permission(struct accelerated *accelerated)
{
	const struct permission *seen = &accelerated->permission;

	if (bpf_jiffies64() - seen->seen < GOOD_FOR_JIFFIES &&
	    generation_of(seen->source_subject, WEIR_EGRESS) == seen->source_generation &&
	    generation_of(seen->destination_subject, WEIR_INGRESS) == seen->destination_generation &&
	    ipcache_epoch() == seen->ipcache_epoch)
		return 1;
	return ask_permission(accelerated);
}

static __always_inline int is_under_pressure(const struct sock *sock)
{
	return KERNEL(struct hlist_head, sock->__sk_common.skc_prot->memory_pressure)->first != 0;
}

/* Whether these bytes may go around TCP: WEIR_ACCELERATED or why not. In this order:
 *   1. acceleration is off, the socket has sent urgent data, or has options that would not work: TCP;
 *   2. the connection is not permitted (any more), or not remembered: TCP, where it is reset;
 *   3. the peer has options that would not work: TCP;
 *   4. the workload reads blocking: TCP, and its socket leaves the sockhash with the next segment for it;
 *   5. bytes sent by TCP have not been read yet: TCP, or these would overtake them;
 *   6. the peer has more unread than its receive buffer should hold, or TCP is short of memory: TCP, which waits. */
static __always_inline __u32 judge_message(const struct sk_msg_md *message, const struct tcp_sock *own,
					   struct accelerated *accelerated, const struct sock *peer)
{
	const struct tcp_sock *theirs = KERNEL(struct tcp_sock, accelerated->peer.sock);
	const struct sock *sock = &own->inet_conn.icsk_inet.sk;
	const struct sock *workload = accelerated->peer_is_proxy ? sock : peer;

	/* The proxy sends none. */
	if (accelerated->peer_is_proxy && is_urgent())
		accelerated->urgent = 1;
	if (!acceleration_is_on() || accelerated->urgent || own->inet_conn.icsk_ulp_ops || sock->sk_tsflags)
		return WEIR_ACCELERATION_UNFIT;
	if (!has_permission(accelerated))
		return WEIR_ACCELERATION_STALE;
	if (theirs->inet_conn.icsk_ulp_ops || peer->sk_rcvlowat > 1)
		return WEIR_ACCELERATION_UNFIT;
	if (workload->sk_socket && !is_nonblocking(workload))
		return WEIR_ACCELERATION_BLOCKING;
	if (own->write_seq != theirs->copied_seq)
		return WEIR_ACCELERATION_BEHIND_TCP;
	if ((__u64)unread(peer) + message->size > (__u32)peer->sk_rcvbuf || is_under_pressure(sock))
		return WEIR_ACCELERATION_FULL;
	return WEIR_ACCELERATED;
}

SEC("sk_msg")
int accelerate(struct sk_msg_md *message)
{
	struct bpf_sock *socket = message->sk;
	struct accelerated *accelerated;
	struct tcp_sock *own;
	struct sock *peer;
	__u32 verdict;

	if (!socket)
		return SK_PASS;
	accelerated = bpf_sk_storage_get(&accelerated_ends, socket, 0, 0);
	own = bpf_skc_to_tcp_sock(socket);
	if (!accelerated || !own || !find_peer(accelerated)) {
		count_acceleration(WEIR_ACCELERATION_ALONE);
		return SK_PASS;
	}
	peer = sock_of(&accelerated->peer);
	if (!peer || !psock_of(peer)) {
		count_acceleration(WEIR_ACCELERATION_ALONE);
		return SK_PASS;
	}
	verdict = judge_message(message, own, accelerated, peer);
	if (verdict == WEIR_ACCELERATED &&
	    bpf_msg_redirect_hash(message, &accelerated_sockets, &accelerated->peer.cookie, BPF_F_INGRESS) != SK_PASS)
		verdict = WEIR_ACCELERATION_ALONE;
	count_acceleration(verdict);
	return SK_PASS;
}
