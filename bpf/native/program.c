/* SPDX-License-Identifier: Apache-2.0 */
/* Programs: facts, test runs, and the places they attach to. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/syscall.h>

#define MAX_MAPS 64
/* Room for what a program adds to a packet. */
#define MAX_GROWTH 256

/* programInfo(program) */
FUNCTION(program_info)
{
	uint32_t maps[MAX_MAPS], length = sizeof(struct bpf_prog_info);
	struct bpf_prog_info facts = { .nr_map_ids = MAX_MAPS, .map_ids = (uintptr_t)maps };
	napi_value result, map_ids;
	struct handle *program;
	char tag[17];

	if (!read_arguments(env, info, "d", &program))
		return NULL;
	log_begin();
	if (bpf_obj_get_info_by_fd(program->fd, &facts, &length))
		return throw_errno(env, errno, "read facts of a program");
	for (int i = 0; i < 8; i++)
		snprintf(tag + 2 * i, 3, "%02x", facts.tag[i]);
	napi_create_array(env, &map_ids);
	for (uint32_t i = 0; i < facts.nr_map_ids && i < MAX_MAPS; i++)
		napi_set_element(env, map_ids, i, new_u32(env, maps[i]));
	napi_create_object(env, &result);
	set_number(env, result, "id", facts.id);
	set_property(env, result, "name", new_text(env, facts.name));
	set_property(env, result, "tag", new_text(env, tag));
	set_property(env, result, "mapIds", map_ids);
	return result;
}

/* openProgramById(id) */
FUNCTION(open_program_by_id)
{
	uint32_t id;
	int fd;

	if (!read_arguments(env, info, "u", &id))
		return NULL;
	log_begin();
	fd = bpf_prog_get_fd_by_id(id);
	return fd < 0 ? throw_errno(env, fd, "open program %u", id) : new_fd(env, fd);
}

static napi_value copy(napi_env env, const void *data, size_t length)
{
	napi_value result = NULL;

	napi_create_buffer_copy(env, length, data, NULL, &result);
	return result;
}

/* runProgram(program, packet, context, repeat): BPF_PROG_RUN; an empty context is none */
FUNCTION(run_program)
{
	struct bytes packet, context;
	struct __sk_buff after = {};
	struct handle *program;
	napi_value result;
	uint32_t repeat;
	char *out;

	if (!read_arguments(env, info, "dbbu", &program, &packet, &context, &repeat))
		return NULL;
	out = malloc(packet.length + MAX_GROWTH);
	log_begin();

	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data, .data_size_in = packet.length, .data_out = out,
		    .data_size_out = packet.length + MAX_GROWTH, .repeat = repeat);
	if (context.length) {
		options.ctx_in = context.data;
		options.ctx_size_in = context.length;
		options.ctx_out = &after;
		options.ctx_size_out = sizeof(after);
	}
	if (bpf_prog_test_run_opts(program->fd, &options)) {
		free(out);
		return throw_errno(env, errno, "run a program on a packet of %zu bytes", packet.length);
	}
	napi_create_object(env, &result);
	set_number(env, result, "returned", options.retval);
	set_number(env, result, "durationNs", options.duration);
	set_property(env, result, "packet", copy(env, out, options.data_size_out));
	set_property(env, result, "context", copy(env, &after, context.length ? options.ctx_size_out : 0));
	free(out);
	return result;
}

struct place {
	uint32_t ifindex, hook, handle, priority;
};

static const char *hook_name(const struct place *place)
{
	return place->hook == BPF_TC_INGRESS ? "ingress" : "egress";
}

/* attachTc(ifindex, hook, handle, priority, program): replaces what stands at that handle and priority in one step */
FUNCTION(attach_tc)
{
	struct handle *program;
	struct place place;
	int error;

	if (!read_arguments(env, info, "uuuud", &place.ifindex, &place.hook, &place.handle, &place.priority, &program))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority,
		    .prog_fd = program->fd, .flags = BPF_TC_F_REPLACE);

	error = bpf_tc_hook_create(&hook);
	if (error && error != -EEXIST)
		return throw_errno(env, error, "add clsact to interface %u", place.ifindex);
	log_begin();
	hook.attach_point = place.hook;
	error = bpf_tc_attach(&hook, &options);
	return error ? throw_errno(env, error, "attach to %s of interface %u", hook_name(&place), place.ifindex)
		     : undefined(env);
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -EINVAL || error == -ENODEV;
}

/* Detaches from a place, or asks for the program there, whose id it gives; 0 when nothing stands there. */
static napi_value at_place(napi_env env, napi_callback_info info, bool detach)
{
	struct place place;
	int error;

	if (!read_arguments(env, info, "uuuu", &place.ifindex, &place.hook, &place.handle, &place.priority))
		return NULL;
	log_begin();

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = place.hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = place.handle, .priority = place.priority);

	error = detach ? bpf_tc_detach(&hook, &options) : bpf_tc_query(&hook, &options);
	if (error && !is_absent(error))
		return throw_errno(env, error, "%s %s of interface %u", detach ? "detach from" : "ask for",
				   hook_name(&place), place.ifindex);
	return detach ? new_bool(env, !error) : new_u32(env, error ? 0 : options.prog_id);
}

/* detachTc(ifindex, hook, handle, priority): false when nothing stood there */
FUNCTION(detach_tc)
{
	return at_place(env, info, true);
}

/* queryTc(ifindex, hook, handle, priority): the program's id, 0 when nothing stands there */
FUNCTION(query_tc)
{
	return at_place(env, info, false);
}

/* interfaces(): numbers of all interfaces of this network namespace */
FUNCTION(interfaces)
{
	struct if_nameindex *list = if_nameindex();
	napi_value numbers;

	(void)info;
	if (!list)
		return throw_errno(env, errno, "list interfaces");
	napi_create_array(env, &numbers);
	for (uint32_t i = 0; list[i].if_index; i++)
		napi_set_element(env, numbers, i, new_u32(env, list[i].if_index));
	if_freenameindex(list);
	return numbers;
}

/* attachCgroup(program, cgroup path, enum bpf_attach_type): a link, detached when its last handle and pin go */
FUNCTION(attach_cgroup)
{
	struct handle *program;
	uint32_t attach_type;
	char path[MAX_TEXT];
	int cgroup, link;

	if (!read_arguments(env, info, "dtu", &program, path, &attach_type))
		return NULL;
	log_begin();
	cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return throw_errno(env, errno, "open cgroup %s", path);
	link = bpf_link_create(program->fd, cgroup, attach_type, NULL);
	close(cgroup);
	return link < 0 ? throw_errno(env, link, "attach to cgroup %s", path) : new_fd(env, link);
}

/* Of union bpf_attr, since 6.4; libbpf 1.1 does not know it. */
struct netfilter_link {
	uint32_t program, target, attach_type, flags;
	uint32_t family, hook;
	int32_t priority;
	uint32_t netfilter_flags;
};
#define ATTACH_NETFILTER 45

/* attachNetfilter(program, NFPROTO_*, enum nf_inet_hooks, place): a link in this network namespace, detached when its last
 * handle and pin go. Its priority is -place; false when that is taken. */
FUNCTION(attach_netfilter)
{
	struct netfilter_link link = { .attach_type = ATTACH_NETFILTER };
	struct handle *program;
	uint32_t place;
	int fd;

	if (!read_arguments(env, info, "duuu", &program, &link.family, &link.hook, &place))
		return NULL;
	link.program = program->fd;
	link.priority = -(int32_t)place;
	log_begin();
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	if (fd < 0 && errno == EBUSY)
		return new_bool(env, false);
	return fd < 0 ? throw_errno(env, errno, "attach to hook %u of netfilter", link.hook) : new_fd(env, fd);
}

/* updateLink(link, program): puts another program in the place of the link's, in one step */
FUNCTION(update_link)
{
	struct handle *link, *program;
	int error;

	if (!read_arguments(env, info, "dd", &link, &program))
		return NULL;
	log_begin();
	error = bpf_link_update(link->fd, program->fd, NULL);
	return error ? throw_errno(env, error, "replace the program of a link") : undefined(env);
}

/* attachMap(program, map, enum bpf_attach_type): for sockets that come into the map from now on; it stays with the map */
FUNCTION(attach_map)
{
	struct handle *program, *map;
	uint32_t attach_type;
	int error;

	if (!read_arguments(env, info, "ddu", &program, &map, &attach_type))
		return NULL;
	log_begin();
	error = bpf_prog_attach(program->fd, map->fd, attach_type, 0);
	return error ? throw_errno(env, error, "attach to a map of sockets") : undefined(env);
}
