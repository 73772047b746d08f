/* SPDX-License-Identifier: Apache-2.0 */
/* Object files: open, set sizes and constants, load, take out maps and programs, describe types. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

static void close_object(struct handle *handle)
{
	bpf_object__close(handle->pointer);
}

/* openObject(path, pinRoot | null) */
FUNCTION(open_object)
{
	LIBBPF_OPTS(bpf_object_open_opts, options);
	char path[4096], root[4096];
	struct arguments arguments;
	struct bpf_object *object;

	if (!get_arguments(env, info, 2, &arguments) || !get_text(env, arguments.values[0], path, sizeof(path)))
		return NULL;
	if (!is_null(env, arguments.values[1])) {
		if (!get_text(env, arguments.values[1], root, sizeof(root)))
			return NULL;
		options.pin_root_path = root;
	}
	log_begin();
	object = bpf_object__open_file(path, &options);
	if (!object)
		return throw_errno(env, errno, "open object %s", path);
	return new_handle(env, HANDLE_OBJECT, -1, object, close_object);
}

/* objectMaps(object): names of the maps it declares */
FUNCTION(object_maps)
{
	struct arguments arguments;
	struct handle *object;
	struct bpf_map *map;
	napi_value names;
	uint32_t count = 0;

	if (!get_arguments(env, info, 1, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)))
		return NULL;
	napi_create_array(env, &names);
	bpf_object__for_each_map(map, object->pointer) {
		if (!bpf_map__is_internal(map))
			napi_set_element(env, names, count++, new_text(env, bpf_map__name(map)));
	}
	return names;
}

/* setMaxEntries(object, map, entries): before loading */
FUNCTION(set_max_entries)
{
	struct arguments arguments;
	struct handle *object;
	struct bpf_map *map;
	uint32_t entries;
	char name[128];
	int error;

	if (!get_arguments(env, info, 3, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)) ||
	    !get_text(env, arguments.values[1], name, sizeof(name)) || !get_u32(env, arguments.values[2], &entries))
		return NULL;
	log_begin();
	map = bpf_object__find_map_by_name(object->pointer, name);
	error = map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
	return error ? throw_errno(env, error, "set size of map %s to %u", name, entries) : undefined(env);
}

/* The place of a `const volatile` variable among the bytes of .rodata; -1 when there is none of that size. */
static int constant_offset(struct btf *btf, const char *name, size_t length)
{
	int section = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *type, *variable;
	const struct btf_var_secinfo *info;

	if (section < 0)
		return -1;
	type = btf__type_by_id(btf, section);
	info = btf_var_secinfos(type);
	for (int i = 0; i < btf_vlen(type); i++) {
		variable = btf__type_by_id(btf, info[i].type);
		if (!strcmp(btf__name_by_offset(btf, variable->name_off), name) && info[i].size == length)
			return info[i].offset;
	}
	return -1;
}

/* setConstant(object, name, bytes): before loading */
FUNCTION(set_constant)
{
	struct arguments arguments;
	struct handle *object;
	struct bpf_map *map, *found = NULL;
	struct bytes bytes;
	char name[128];
	size_t size = 0;
	char *data;
	int offset;

	if (!get_arguments(env, info, 3, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)) ||
	    !get_text(env, arguments.values[1], name, sizeof(name)) ||
	    !get_bytes(env, arguments.values[2], 1, &bytes))
		return NULL;
	log_begin();
	bpf_object__for_each_map(map, object->pointer) {
		const char *map_name = bpf_map__name(map);
		const char *dot = strrchr(map_name, '.');

		if (bpf_map__is_internal(map) && dot && !strcmp(dot, ".rodata"))
			found = map;
	}
	data = found ? (char *)bpf_map__initial_value(found, &size) : NULL;
	offset = constant_offset(bpf_object__btf(object->pointer), name, bytes.length);
	if (!data || offset < 0 || offset + bytes.length > size)
		return throw_errno(env, ENOENT, "set constant %s of %zu bytes", name, bytes.length);
	memcpy(data + offset, bytes.data, bytes.length);
	return undefined(env);
}

/* loadObject(object): pinned maps are used again when they are compatible */
FUNCTION(load_object)
{
	struct arguments arguments;
	struct handle *object;
	int error;

	if (!get_arguments(env, info, 1, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)))
		return NULL;
	log_begin();
	error = bpf_object__load(object->pointer);
	return error ? throw_errno(env, error, "load object %s", bpf_object__name(object->pointer)) : undefined(env);
}

static napi_value take(napi_env env, int fd, const char *what, const char *name)
{
	int copy = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? throw_errno(env, fd < 0 ? ENOENT : errno, "take %s %s", what, name) : new_fd(env, copy);
}

/* takeMap(object, name): outlives the object */
FUNCTION(take_map)
{
	struct arguments arguments;
	struct handle *object;
	char name[128];

	if (!get_arguments(env, info, 2, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)) ||
	    !get_text(env, arguments.values[1], name, sizeof(name)))
		return NULL;
	return take(env, bpf_object__find_map_fd_by_name(object->pointer, name), "map", name);
}

/* takeProgram(object, name): outlives the object */
FUNCTION(take_program)
{
	struct arguments arguments;
	struct bpf_program *program;
	struct handle *object;
	char name[128];

	if (!get_arguments(env, info, 2, &arguments) ||
	    !(object = get_handle(env, arguments.values[0], HANDLE_OBJECT)) ||
	    !get_text(env, arguments.values[1], name, sizeof(name)))
		return NULL;
	program = bpf_object__find_program_by_name(object->pointer, name);
	return take(env, program ? bpf_program__fd(program) : -1, "program", name);
}

static napi_value describe_struct(napi_env env, struct btf *btf, const struct btf_type *type)
{
	napi_value result, members, member;

	napi_create_object(env, &result);
	napi_create_array(env, &members);
	for (int i = 0; i < btf_vlen(type); i++) {
		const struct btf_member *field = &btf_members(type)[i];

		napi_create_object(env, &member);
		set_property(env, member, "name", new_text(env, btf__name_by_offset(btf, field->name_off)));
		set_property(env, member, "offset", new_u32(env, btf_member_bit_offset(type, i) / 8));
		set_property(env, member, "size", new_u32(env, btf__resolve_size(btf, field->type)));
		napi_set_element(env, members, i, member);
	}
	set_property(env, result, "size", new_u32(env, type->size));
	set_property(env, result, "members", members);
	return result;
}

static napi_value describe_enum(napi_env env, struct btf *btf, const struct btf_type *type)
{
	napi_value result, members, member;

	napi_create_object(env, &result);
	napi_create_array(env, &members);
	for (int i = 0; i < btf_vlen(type); i++) {
		const struct btf_enum *value = &btf_enum(type)[i];

		napi_create_object(env, &member);
		set_property(env, member, "name", new_text(env, btf__name_by_offset(btf, value->name_off)));
		set_property(env, member, "value", new_u32(env, value->val));
		napi_set_element(env, members, i, member);
	}
	set_property(env, result, "size", new_u32(env, type->size));
	set_property(env, result, "values", members);
	return result;
}

/* describeTypes(path): every named struct and enum in the BTF of an object file, by name */
FUNCTION(describe_types)
{
	struct arguments arguments;
	char path[4096];
	napi_value types;
	struct btf *btf;

	if (!get_arguments(env, info, 1, &arguments) || !get_text(env, arguments.values[0], path, sizeof(path)))
		return NULL;
	log_begin();
	btf = btf__parse(path, NULL);
	if (!btf)
		return throw_errno(env, errno, "read types of %s", path);
	napi_create_object(env, &types);
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);

		if (*name && btf_is_struct(type))
			set_property(env, types, name, describe_struct(env, btf, type));
		else if (*name && btf_is_enum(type))
			set_property(env, types, name, describe_enum(env, btf, type));
	}
	btf__free(btf);
	return types;
}
