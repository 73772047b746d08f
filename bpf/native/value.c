/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"
#include <stdarg.h>

bool get_arguments(napi_env env, napi_callback_info info, size_t count, struct arguments *arguments)
{
	size_t given = MAX_ARGUMENTS;

	napi_get_cb_info(env, info, &given, arguments->values, NULL, NULL);
	if (given >= count)
		return true;
	throw_type(env, "too few arguments");
	return false;
}

bool get_u32(napi_env env, napi_value value, uint32_t *number)
{
	if (napi_get_value_uint32(env, value, number) == napi_ok)
		return true;
	throw_type(env, "a number is expected");
	return false;
}

bool get_text(napi_env env, napi_value value, char *text, size_t capacity)
{
	size_t length;

	if (napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok && length < capacity &&
	    napi_get_value_string_utf8(env, value, text, capacity, &length) == napi_ok)
		return true;
	throw_type(env, "a text is expected that fits its buffer");
	return false;
}

bool is_null(napi_env env, napi_value value)
{
	napi_valuetype type;

	return napi_typeof(env, value, &type) == napi_ok && type == napi_null;
}

bool get_bytes(napi_env env, napi_value value, size_t length, struct bytes *bytes)
{
	napi_typedarray_type type;
	bool typed = false;

	if (napi_is_typedarray(env, value, &typed) == napi_ok && typed &&
	    napi_get_typedarray_info(env, value, &type, &bytes->length, &bytes->data, NULL, NULL) == napi_ok &&
	    type == napi_uint8_array && bytes->length >= length)
		return true;
	throw_type(env, "a Uint8Array is expected that is long enough");
	return false;
}

struct handle *get_handle(napi_env env, napi_value value, enum handle_kind kind)
{
	struct handle *handle = NULL;
	napi_valuetype type;

	if (napi_typeof(env, value, &type) == napi_ok && type == napi_external &&
	    napi_get_value_external(env, value, (void **)&handle) == napi_ok && handle->kind == kind && handle->open)
		return handle;
	throw_type(env, "an open handle of the right kind is expected");
	return NULL;
}

bool read_arguments(napi_env env, napi_callback_info info, const char *types, ...)
{
	struct arguments arguments;
	bool good = get_arguments(env, info, strlen(types), &arguments);
	struct handle **handle;
	va_list list;

	va_start(list, types);
	for (size_t i = 0; good && types[i]; i++) {
		napi_value value = arguments.values[i];

		switch (types[i]) {
		case 'd':
		case 'o':
			handle = va_arg(list, struct handle **);
			*handle = get_handle(env, value, types[i] == 'd' ? HANDLE_FD : HANDLE_OBJECT);
			good = *handle;
			break;
		case 'u':
			good = get_u32(env, value, va_arg(list, uint32_t *));
			break;
		case 'b':
			good = get_bytes(env, value, 0, va_arg(list, struct bytes *));
			break;
		case 't':
			good = get_text(env, value, va_arg(list, char *), MAX_TEXT);
			break;
		default:
			*va_arg(list, napi_value *) = value;
		}
	}
	va_end(list);
	return good;
}

bool has_bytes(napi_env env, const struct bytes *bytes, size_t count, size_t size)
{
	if (bytes->length >= count * size)
		return true;
	throw_type(env, "a Uint8Array is expected that is long enough");
	return false;
}

static void shut(struct handle *handle)
{
	if (!handle->open)
		return;
	handle->open = false;
	handle->close(handle);
}

static void finalize(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	shut(data);
	free(data);
}

napi_value new_handle(napi_env env, enum handle_kind kind, int fd, void *pointer, void (*close)(struct handle *))
{
	struct handle *handle = malloc(sizeof(*handle));
	napi_value value;

	*handle = (struct handle){ .kind = kind, .open = true, .fd = fd, .pointer = pointer, .close = close };
	if (napi_create_external(env, handle, finalize, NULL, &value) == napi_ok)
		return value;
	finalize(env, handle, NULL);
	return throw_type(env, "a handle cannot be made");
}

static void close_fd(struct handle *handle)
{
	close(handle->fd);
}

napi_value new_fd(napi_env env, int fd)
{
	return new_handle(env, HANDLE_FD, fd, NULL, close_fd);
}

/* close(handle): closing twice is the same as once. */
FUNCTION(close_handle)
{
	struct arguments arguments;
	struct handle *handle;

	if (!get_arguments(env, info, 1, &arguments))
		return NULL;
	if (napi_get_value_external(env, arguments.values[0], (void **)&handle) != napi_ok)
		return throw_type(env, "a handle is expected");
	shut(handle);
	return undefined(env);
}

napi_value new_u32(napi_env env, uint32_t number)
{
	napi_value value;

	napi_create_uint32(env, number, &value);
	return value;
}

napi_value new_bool(napi_env env, bool truth)
{
	napi_value value;

	napi_get_boolean(env, truth, &value);
	return value;
}

napi_value new_text(napi_env env, const char *text)
{
	napi_value value;

	napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
	return value;
}

napi_value undefined(napi_env env)
{
	napi_value value;

	napi_get_undefined(env, &value);
	return value;
}

void set_property(napi_env env, napi_value object, const char *name, napi_value value)
{
	napi_set_named_property(env, object, name, value);
}

void set_number(napi_env env, napi_value object, const char *name, uint32_t number)
{
	set_property(env, object, name, new_u32(env, number));
}
