/* SPDX-License-Identifier: Apache-2.0 */
/* A thin Node-API face of libbpf: numbers, buffers and handles go in; numbers, buffers and BpfErrors come out.
 * Every function either returns its value or throws and returns NULL. */
#pragma once
#define _GNU_SOURCE
#define NAPI_VERSION 9
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a JavaScript handle may stand for. */
enum handle_kind { HANDLE_OBJECT = 1, HANDLE_FD, HANDLE_POLLER };

struct handle {
	enum handle_kind kind;
	/* Closed handles stay valid values that refuse to be used. */
	bool open;
	int fd;
	void *pointer;
	void (*close)(struct handle *handle);
};

#define MAX_ARGUMENTS 6
struct arguments {
	napi_value values[MAX_ARGUMENTS];
};

#define MAX_TEXT 4096

struct bytes {
	void *data;
	size_t length;
};

/* value.c: all of these throw and give false (or NULL) when the argument is not what it must be. */
bool get_arguments(napi_env env, napi_callback_info info, size_t count, struct arguments *arguments);
/* Reads all arguments, a letter of `types` each: d a descriptor and o an object (struct handle **), u a number
 * (uint32_t *), b bytes (struct bytes *), t a text (char * of MAX_TEXT), v anything (napi_value *). */
bool read_arguments(napi_env env, napi_callback_info info, const char *types, ...);
/* `count` times `size` bytes are there. */
bool has_bytes(napi_env env, const struct bytes *bytes, size_t count, size_t size);
bool get_u32(napi_env env, napi_value value, uint32_t *number);
bool get_text(napi_env env, napi_value value, char *text, size_t capacity);
bool is_null(napi_env env, napi_value value);
/* `length` is the least that must be there; 0 is any. */
bool get_bytes(napi_env env, napi_value value, size_t length, struct bytes *bytes);
struct handle *get_handle(napi_env env, napi_value value, enum handle_kind kind);
napi_value new_handle(napi_env env, enum handle_kind kind, int fd, void *pointer, void (*close)(struct handle *));
napi_value new_fd(napi_env env, int fd);
napi_value new_u32(napi_env env, uint32_t number);
napi_value new_bool(napi_env env, bool value);
napi_value new_text(napi_env env, const char *text);
napi_value undefined(napi_env env);
void set_property(napi_env env, napi_value object, const char *name, napi_value value);
void set_number(napi_env env, napi_value object, const char *name, uint32_t number);

/* error.c */
void log_begin(void);
napi_value throw_errno(napi_env env, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
napi_value throw_type(napi_env env, const char *message);
void error_setup(napi_env env);

/* object.c: adds every field of a type, those of structures within it by their paths, to a list. */
struct btf;
void list_fields(napi_env env, struct btf *btf, uint32_t id, const char *name, uint32_t offset, napi_value list);

#define FUNCTION(NAME) napi_value NAME(napi_env env, napi_callback_info info)
FUNCTION(set_error_class);
FUNCTION(close_handle);
FUNCTION(open_object);
FUNCTION(object_maps);
FUNCTION(set_max_entries);
FUNCTION(use_map);
FUNCTION(set_constant);
FUNCTION(set_program_type);
FUNCTION(load_object);
FUNCTION(take_map);
FUNCTION(take_program);
FUNCTION(describe_types);
FUNCTION(open_pinned);
FUNCTION(open_map_by_id);
FUNCTION(pin);
FUNCTION(map_info);
FUNCTION(map_fields);
FUNCTION(map_lookup);
FUNCTION(map_update);
FUNCTION(map_delete);
FUNCTION(map_lookup_batch);
FUNCTION(map_update_batch);
FUNCTION(map_delete_batch);
FUNCTION(program_info);
FUNCTION(open_program_by_id);
FUNCTION(run_program);
FUNCTION(attach_tc);
FUNCTION(detach_tc);
FUNCTION(query_tc);
FUNCTION(interfaces);
FUNCTION(attach_cgroup);
FUNCTION(attach_netfilter);
FUNCTION(update_link);
FUNCTION(attach_map);
FUNCTION(netns_cookie);
FUNCTION(open_ring);
FUNCTION(drain_ring);
FUNCTION(watch_process);
FUNCTION(watch_links);
FUNCTION(destroy_sockets);
FUNCTION(listening_ports);
FUNCTION(probe_map_type);
FUNCTION(probe_program_type);
FUNCTION(probe_helper);
FUNCTION(probe_kfunc);
FUNCTION(probe_splice);
