/* SPDX-License-Identifier: Apache-2.0 */
/* Object files: open, set sizes, maps and constants, load, take out maps and programs, describe types. */
#include "addon.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>

static void close_object(struct handle *handle)
{
	bpf_object__close(handle->pointer);
}

/* openObject(path, pinRoot | null) */
FUNCTION(open_object)
{
	LIBBPF_OPTS(bpf_object_open_opts, options);
	char path[MAX_TEXT], root[MAX_TEXT];
	struct bpf_object *object;
	napi_value pin_root;

	if (!read_arguments(env, info, "tv", path, &pin_root))
		return NULL;
	if (!is_null(env, pin_root)) {
		if (!get_text(env, pin_root, root, sizeof(root)))
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
	struct handle *object;
	struct bpf_map *map;
	napi_value names;
	uint32_t count = 0;

	if (!read_arguments(env, info, "o", &object))
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
	struct handle *object;
	struct bpf_map *map;
	char name[MAX_TEXT];
	uint32_t entries;
	int error;

	if (!read_arguments(env, info, "otu", &object, name, &entries))
		return NULL;
	log_begin();
	map = bpf_object__find_map_by_name(object->pointer, name);
	error = map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
	return error ? throw_errno(env, error, "set size of map %s to %u", name, entries) : undefined(env);
}

/* useMap(object, name, map | null): before loading; null makes a map of its own. Neither way is it pinned. */
FUNCTION(use_map)
{
	struct handle *object, *used = NULL;
	struct bpf_map *map;
	char name[MAX_TEXT];
	napi_value given;
	int error;

	if (!read_arguments(env, info, "otv", &object, name, &given) ||
	    (!is_null(env, given) && !(used = get_handle(env, given, HANDLE_FD))))
		return NULL;
	log_begin();
	map = bpf_object__find_map_by_name(object->pointer, name);
	error = map ? bpf_map__set_pin_path(map, NULL) : -ENOENT;
	if (!error && used)
		error = bpf_map__reuse_fd(map, used->fd);
	return error ? throw_errno(env, error, "use a map as %s", name) : undefined(env);
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
	struct bpf_map *map, *found = NULL;
	struct handle *object;
	char name[MAX_TEXT];
	struct bytes bytes;
	size_t size = 0;
	char *data;
	int offset;

	if (!read_arguments(env, info, "otb", &object, name, &bytes))
		return NULL;
	log_begin();
	bpf_object__for_each_map(map, object->pointer) {
		const char *dot = strrchr(bpf_map__name(map), '.');

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

/* setProgramType(object, program, enum bpf_prog_type, enum bpf_attach_type): before loading, for sections that libbpf does
 * not know */
FUNCTION(set_program_type)
{
	struct bpf_program *program;
	struct handle *object;
	char name[MAX_TEXT];
	uint32_t type, attach_type;
	int error;

	if (!read_arguments(env, info, "otuu", &object, name, &type, &attach_type))
		return NULL;
	log_begin();
	program = bpf_object__find_program_by_name(object->pointer, name);
	error = program ? bpf_program__set_type(program, type) : -ENOENT;
	if (!error)
		error = bpf_program__set_expected_attach_type(program, attach_type);
	return error ? throw_errno(env, error, "set type of program %s", name) : undefined(env);
}

/* loadObject(object): pinned maps are used again when they are compatible */
FUNCTION(load_object)
{
	struct handle *object;
	int error;

	if (!read_arguments(env, info, "o", &object))
		return NULL;
	log_begin();
	error = bpf_object__load(object->pointer);
	return error ? throw_errno(env, error, "load object %s", bpf_object__name(object->pointer)) : undefined(env);
}

/* A descriptor of its own, which outlives the object. */
static napi_value take(napi_env env, int fd, const char *what, const char *name)
{
	int copy = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? throw_errno(env, fd < 0 ? ENOENT : errno, "take %s %s", what, name) : new_fd(env, copy);
}

/* takeMap(object, name) */
FUNCTION(take_map)
{
	struct handle *object;
	char name[MAX_TEXT];

	if (!read_arguments(env, info, "ot", &object, name))
		return NULL;
	return take(env, bpf_object__find_map_fd_by_name(object->pointer, name), "map", name);
}

/* takeProgram(object, name) */
FUNCTION(take_program)
{
	struct bpf_program *program;
	struct handle *object;
	char name[MAX_TEXT];

	if (!read_arguments(env, info, "ot", &object, name))
		return NULL;
	program = bpf_object__find_program_by_name(object->pointer, name);
	return take(env, program ? bpf_program__fd(program) : -1, "program", name);
}

static napi_value member(napi_env env, struct btf *btf, uint32_t name)
{
	napi_value result;

	napi_create_object(env, &result);
	set_property(env, result, "name", new_text(env, btf__name_by_offset(btf, name)));
	return result;
}

void list_fields(napi_env env, struct btf *btf, uint32_t id, const char *name, uint32_t offset, napi_value list)
{
	const struct btf_type *type = btf__type_by_id(btf, btf__resolve_type(btf, id));
	uint32_t count = 0;
	napi_value item;
	char path[256];

	if (type && btf_is_struct(type)) {
		for (int i = 0; i < btf_vlen(type); i++) {
			const struct btf_member *field = &btf_members(type)[i];

			snprintf(path, sizeof(path), "%s%s%s", name, *name ? "." : "",
				 btf__name_by_offset(btf, field->name_off));
			list_fields(env, btf, field->type, path, offset + btf_member_bit_offset(type, i) / 8, list);
		}
		return;
	}
	napi_create_object(env, &item);
	set_property(env, item, "name", new_text(env, name));
	set_number(env, item, "offset", offset);
	set_number(env, item, "size", btf__resolve_size(btf, id));
	napi_get_array_length(env, list, &count);
	napi_set_element(env, list, count, item);
}

static napi_value describe_type(napi_env env, struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);
	bool structure = type && btf_is_struct(type);
	napi_value result, list, item;

	if (!structure && !(type && btf_is_enum(type)))
		return undefined(env);
	napi_create_object(env, &result);
	napi_create_array(env, &list);
	for (int i = 0; i < btf_vlen(type); i++) {
		if (structure) {
			item = member(env, btf, btf_members(type)[i].name_off);
			set_number(env, item, "offset", btf_member_bit_offset(type, i) / 8);
			set_number(env, item, "size", btf__resolve_size(btf, btf_members(type)[i].type));
		} else {
			item = member(env, btf, btf_enum(type)[i].name_off);
			set_number(env, item, "value", btf_enum(type)[i].val);
		}
		napi_set_element(env, list, i, item);
	}
	set_number(env, result, "size", type->size);
	set_property(env, result, structure ? "members" : "values", list);
	return result;
}

/* describeTypes(path): every named struct and enum in the BTF of an object file, by name */
FUNCTION(describe_types)
{
	char path[MAX_TEXT];
	napi_value types;
	struct btf *btf;

	if (!read_arguments(env, info, "t", path))
		return NULL;
	log_begin();
	btf = btf__parse(path, NULL);
	if (!btf)
		return throw_errno(env, errno, "read types of %s", path);
	napi_create_object(env, &types);
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);

		if (*name && (btf_is_struct(type) || btf_is_enum(type)))
			set_property(env, types, name, describe_type(env, btf, id));
	}
	btf__free(btf);
	return types;
}
