/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine can do, and the one thing done to sockets from outside. */
#include "addon.h"
#include <arpa/inet.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static napi_value answer(napi_env env, int result, const char *what, uint32_t number)
{
	return result < 0 ? throw_errno(env, result, "probe %s %u", what, number) : new_bool(env, result);
}

/* probeMapType(enum bpf_map_type) */
FUNCTION(probe_map_type)
{
	uint32_t type;

	if (!read_arguments(env, info, "u", &type))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_map_type(type, NULL), "map type", type);
}

/* probeProgramType(enum bpf_prog_type) */
FUNCTION(probe_program_type)
{
	uint32_t type;

	if (!read_arguments(env, info, "u", &type))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_prog_type(type, NULL), "program type", type);
}

/* probeHelper(enum bpf_prog_type, enum bpf_func_id) */
FUNCTION(probe_helper)
{
	uint32_t type, helper;

	if (!read_arguments(env, info, "uu", &type, &helper))
		return NULL;
	log_begin();
	return answer(env, libbpf_probe_bpf_helper(type, helper, NULL), "helper", helper);
}

/* probeKfunc(name, module): a function of the kernel that programs may call, which may stand in that module */
FUNCTION(probe_kfunc)
{
	char name[MAX_TEXT], module[MAX_TEXT];
	struct btf *kernel, *own;
	bool found;

	if (!read_arguments(env, info, "tt", name, module))
		return NULL;
	log_begin();
	kernel = btf__load_vmlinux_btf();
	if (!kernel)
		return throw_errno(env, errno, "read the types of the kernel");
	found = btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;
	own = found ? NULL : btf__load_module_btf(module, kernel);
	if (own)
		found = btf__find_by_name_kind(own, name, BTF_KIND_FUNC) > 0;
	btf__free(own);
	btf__free(kernel);
	return new_bool(env, found);
}

static bool is_mapped(const uint8_t *address)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(address, prefix, sizeof(prefix));
}

/* What a socket is asked for by: 16 bytes and a port in network order of either end. */
struct ends {
	uint8_t local[16];
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
};

struct diag_request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

/* What the kernel says to one of them. */
struct diag_answer {
	int error;
	uint8_t state;
	uint32_t cookie[2];
};

/* Requests that are under way at once: their answers must fit the socket's buffer. */
#define DIAG_BATCH 64

static int open_diag(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

/* Sends all requests, each of which has one answer, and reads those. Gives 0 or an errno. */
static int ask_diag(int fd, struct diag_request *requests, struct diag_answer *answers, size_t count)
{
	char reply[4096] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (size_t i = 0; i < count; i++)
		requests[i].header.nlmsg_seq = i;
	if (count && send(fd, requests, count * sizeof(*requests), 0) < 0)
		return errno;
	for (size_t answered = 0; answered < count; answered++) {
		struct nlmsghdr *header = (struct nlmsghdr *)reply;
		struct diag_answer answer = {};

		if (recv(fd, reply, sizeof(reply), 0) < 0)
			return errno;
		if (header->nlmsg_type == NLMSG_ERROR) {
			answer.error = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
		} else {
			struct inet_diag_msg *found = NLMSG_DATA(header);

			answer.state = found->idiag_state;
			memcpy(answer.cookie, found->id.idiag_cookie, sizeof(answer.cookie));
		}
		if (header->nlmsg_seq < count)
			answers[header->nlmsg_seq] = answer;
	}
	return 0;
}

static struct diag_request request_for(const struct ends *ends)
{
	bool v4 = is_mapped(ends->local);
	struct diag_request message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST },
		.request = { .sdiag_family = v4 ? AF_INET : AF_INET6,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = ~0u,
			     .id.idiag_sport = ends->local_port,
			     .id.idiag_dport = ends->remote_port,
			     .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};

	memcpy(message.request.id.idiag_src, ends->local + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(message.request.id.idiag_dst, ends->remote + (v4 ? 12 : 0), v4 ? 4 : 16);
	return message;
}

/* The kernel finds whoever listens when nobody is connected, and would destroy that: the cookies of connections are asked
 * for first. Gives 0 or an errno of the last that failed, other than ENOENT; adds to `destroyed`. */
static int destroy(int fd, const struct ends *ends, size_t count, uint32_t *destroyed)
{
	struct diag_request requests[DIAG_BATCH];
	struct diag_answer answers[DIAG_BATCH];
	size_t found = 0;
	int error, failed;

	for (size_t i = 0; i < count; i++)
		requests[i] = request_for(ends + i);
	error = ask_diag(fd, requests, answers, count);
	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error && answers[i].error != ENOENT)
			error = answers[i].error;
		if (answers[i].error || answers[i].state == TCP_LISTEN)
			continue;
		requests[found] = requests[i];
		requests[found].header.nlmsg_type = SOCK_DESTROY;
		requests[found].header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
		memcpy(requests[found].request.id.idiag_cookie, answers[i].cookie, sizeof(answers[i].cookie));
		found++;
	}
	failed = ask_diag(fd, requests, answers, found);
	if (failed)
		return failed;
	for (size_t i = 0; i < found; i++) {
		if (!answers[i].error)
			*destroyed += 1;
		else if (answers[i].error != ENOENT)
			error = answers[i].error;
	}
	return error;
}

/* destroySockets(records of struct ends): how many TCP sockets there were */
FUNCTION(destroy_sockets)
{
	uint32_t destroyed = 0;
	struct bytes records;
	size_t count;
	int fd, error = 0;

	if (!read_arguments(env, info, "b", &records))
		return NULL;
	log_begin();
	fd = open_diag();
	if (fd < 0)
		return throw_errno(env, errno, "open sock_diag");
	count = records.length / sizeof(struct ends);
	for (size_t at = 0; at < count; at += DIAG_BATCH) {
		size_t batch = count - at < DIAG_BATCH ? count - at : DIAG_BATCH;
		int failed = destroy(fd, (const struct ends *)records.data + at, batch, &destroyed);

		if (failed)
			error = failed;
	}
	close(fd);
	return error ? throw_errno(env, error, "destroy a socket") : new_u32(env, destroyed);
}

/* listeningPorts(4 | 6): TCP ports that somebody listens on in this network namespace, with sockets of that family */
FUNCTION(listening_ports)
{
	char reply[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct diag_request message = {
		.header = { .nlmsg_len = sizeof(message),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_LISTEN },
	};
	uint32_t family, count = 0;
	bool done = false;
	napi_value ports;
	int fd;

	if (!read_arguments(env, info, "u", &family))
		return NULL;
	message.request.sdiag_family = family == 4 ? AF_INET : AF_INET6;
	log_begin();
	fd = open_diag();
	if (fd < 0)
		return throw_errno(env, errno, "open sock_diag");
	napi_create_array(env, &ports);
	if (send(fd, &message, sizeof(message), 0) < 0)
		goto failed;
	while (!done) {
		ssize_t length = recv(fd, reply, sizeof(reply), 0);

		if (length < 0)
			goto failed;
		for (struct nlmsghdr *header = (struct nlmsghdr *)reply; NLMSG_OK(header, length);
		     header = NLMSG_NEXT(header, length)) {
			if (header->nlmsg_type == NLMSG_ERROR) {
				errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
				goto failed;
			}
			done = header->nlmsg_type == NLMSG_DONE;
			if (done)
				break;
			napi_set_element(env, ports, count++,
					 new_u32(env, ntohs(((struct inet_diag_msg *)NLMSG_DATA(header))->id.idiag_sport)));
		}
	}
	close(fd);
	return ports;
failed:
	close(fd);
	return throw_errno(env, errno, "list who listens");
}

/* netnsCookie(): 8 bytes that name the network namespace of this process (SO_NETNS_COOKIE, Linux 5.14) */
FUNCTION(netns_cookie)
{
	struct bytes cookie;
	socklen_t length = sizeof(uint64_t);
	int fd, error;

	if (!read_arguments(env, info, "b", &cookie) || !has_bytes(env, &cookie, 1, sizeof(uint64_t)))
		return NULL;
	log_begin();
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return throw_errno(env, errno, "open a socket");
	error = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie.data, &length) ? errno : 0;
	close(fd);
	return error ? throw_errno(env, error, "ask for the name of the network namespace") : undefined(env);
}
