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

/* Sends the request and reads the answer into `reply`; gives 0 or an errno. */
static int ask_diag(int fd, struct diag_request *message, void *reply, size_t capacity)
{
	struct nlmsghdr *header = reply;

	if (send(fd, message, sizeof(*message), 0) < 0 || recv(fd, reply, capacity, 0) < 0)
		return errno;
	return header->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(header))->error : 0;
}

/* The kernel finds whoever listens when nobody is connected, and would destroy that: the cookie of a connection is
 * asked for first. Gives 0, ENOENT or another errno. */
static int destroy(int fd, const struct ends *ends)
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
	char reply[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct inet_diag_msg *found = NLMSG_DATA((struct nlmsghdr *)reply);
	int error;

	memcpy(message.request.id.idiag_src, ends->local + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(message.request.id.idiag_dst, ends->remote + (v4 ? 12 : 0), v4 ? 4 : 16);
	error = ask_diag(fd, &message, reply, sizeof(reply));
	if (error)
		return error;
	if (found->idiag_state == TCP_LISTEN)
		return ENOENT;
	memcpy(message.request.id.idiag_cookie, found->id.idiag_cookie, sizeof(found->id.idiag_cookie));
	message.header.nlmsg_type = SOCK_DESTROY;
	message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	return ask_diag(fd, &message, reply, sizeof(reply));
}

/* destroySockets(records of struct ends): how many TCP sockets there were */
FUNCTION(destroy_sockets)
{
	uint32_t destroyed = 0;
	struct bytes records;
	int fd, error = 0;

	if (!read_arguments(env, info, "b", &records))
		return NULL;
	log_begin();
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return throw_errno(env, errno, "open sock_diag");
	for (size_t i = 0; i < records.length / sizeof(struct ends); i++) {
		int failed = destroy(fd, (const struct ends *)records.data + i);

		if (!failed)
			destroyed++;
		else if (failed != ENOENT)
			error = failed;
	}
	close(fd);
	return error ? throw_errno(env, error, "destroy a socket") : new_u32(env, destroyed);
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
