/* SPDX-License-Identifier: Apache-2.0 */
/* Whether splice(2) reads from a socket what went around TCP: tried, for no version tells. */
#include "addon.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { MAP, PROGRAM, LISTENER, SENDER, RECEIVER, PIPE_OUT, PIPE_IN, DESCRIPTORS };

#define RECEIVER_KEY 0

/* Hands every message to the socket at RECEIVER_KEY, and lets none go by TCP. */
static int load_redirect(int map)
{
	struct bpf_insn instructions[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{},
		{ .code = BPF_ST | BPF_W | BPF_MEM, .dst_reg = 10, .off = -4, .imm = RECEIVER_KEY },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = BPF_F_INGRESS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_msg_redirect_hash },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_SK_MSG_VERDICT);

	return bpf_prog_load(BPF_PROG_TYPE_SK_MSG, "splice_probe", "Dual BSD/GPL", instructions,
			     sizeof(instructions) / sizeof(instructions[0]), &options);
}

/* Two ends of a connection over loopback. */
static bool connect_pair(int *fds)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	fds[LISTENER] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[SENDER] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[LISTENER] < 0 || fds[SENDER] < 0 || bind(fds[LISTENER], (struct sockaddr *)&address, length) ||
	    listen(fds[LISTENER], 1) || getsockname(fds[LISTENER], (struct sockaddr *)&address, &length) ||
	    connect(fds[SENDER], (struct sockaddr *)&address, length))
		return false;
	fds[RECEIVER] = accept4(fds[LISTENER], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fds[RECEIVER] >= 0;
}

/* Sends one byte around TCP and splices it. Gives 1, 0 or an error below 0. */
static int try_splice(int *fds)
{
	uint32_t sender_key = RECEIVER_KEY + 1, receiver_key = RECEIVER_KEY, sockets = 2;
	ssize_t spliced;

	fds[MAP] = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "splice_probe", sizeof(receiver_key), sizeof(int), sockets, NULL);
	if (fds[MAP] < 0)
		return -errno;
	fds[PROGRAM] = load_redirect(fds[MAP]);
	if (fds[PROGRAM] < 0 || bpf_prog_attach(fds[PROGRAM], fds[MAP], BPF_SK_MSG_VERDICT, 0) || !connect_pair(fds) ||
	    pipe2(&fds[PIPE_OUT], O_CLOEXEC) || bpf_map_update_elem(fds[MAP], &receiver_key, &fds[RECEIVER], BPF_ANY) ||
	    bpf_map_update_elem(fds[MAP], &sender_key, &fds[SENDER], BPF_ANY) || send(fds[SENDER], "", 1, 0) != 1)
		return -errno;
	spliced = splice(fds[RECEIVER], NULL, fds[PIPE_IN], NULL, 1, SPLICE_F_NONBLOCK);
	if (spliced < 0 && errno != EAGAIN)
		return -errno;
	return spliced == 1;
}

/* probeSplice() */
FUNCTION(probe_splice)
{
	int fds[DESCRIPTORS], found;

	if (!read_arguments(env, info, ""))
		return NULL;
	for (int i = 0; i < DESCRIPTORS; i++)
		fds[i] = -1;
	log_begin();
	found = try_splice(fds);
	for (int i = 0; i < DESCRIPTORS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return found < 0 ? throw_errno(env, found, "try splice(2) around TCP") : new_bool(env, found);
}
