/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits on a file descriptor so that the event loop need not: ring buffers, process exits and changes of
 * links. The loop is kept alive until the handle is closed. */
#include "addon.h"
#include <bpf/libbpf.h>
#include <poll.h>
#include <pthread.h>
#include <linux/rtnetlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define BATCH_BYTES (256 << 10)
/* Batches that wait for the event loop; beyond it the thread waits, the ring fills, and the programs count. */
#define QUEUED_BATCHES 16

struct poller {
	napi_threadsafe_function notify;
	pthread_t thread;
	int fd;
	int stop_fd;
	struct ring_buffer *ring;
	/* A netlink socket, whose messages say only that something has changed. */
	bool links;
	char *batch;
	size_t batch_length;
};

struct batch {
	size_t length;
	char data[];
};

/* Records follow each other, each as its length (4 bytes, then 4 of padding) and its bytes, padded to 8. */
static int collect(void *context, void *data, size_t length)
{
	struct poller *poller = context;
	size_t padded = (length + 7) & ~(size_t)7;
	uint32_t header[2] = { length, 0 };

	if (padded + sizeof(header) > BATCH_BYTES - poller->batch_length)
		return 0;
	memcpy(poller->batch + poller->batch_length, header, sizeof(header));
	memcpy(poller->batch + poller->batch_length + sizeof(header), data, length);
	poller->batch_length += sizeof(header) + padded;
	/* A negative answer ends this round after this record. */
	return BATCH_BYTES - poller->batch_length < 4096 ? -EAGAIN : 0;
}

/* Hands over what there is; false when the handle is being closed. */
static bool hand_over(struct poller *poller, bool *released)
{
	struct batch *batch = NULL;
	char message[8192];

	/* Also ENOBUFS, which says that messages were lost: something has changed. */
	while (poller->links && (recv(poller->fd, message, sizeof(message), MSG_DONTWAIT) >= 0 || errno == ENOBUFS))
		;
	do {
		if (poller->ring) {
			poller->batch_length = 0;
			ring_buffer__consume(poller->ring);
			if (!poller->batch_length)
				return true;
			batch = malloc(sizeof(*batch) + poller->batch_length);
			if (!batch)
				return true;
			batch->length = poller->batch_length;
			memcpy(batch->data, poller->batch, batch->length);
		}
		if (napi_call_threadsafe_function(poller->notify, batch, napi_tsfn_blocking) != napi_ok) {
			free(batch);
			/* The call that meets a closing function gives up this thread's share of it. */
			*released = true;
			return false;
		}
	} while (poller->ring);
	return true;
}

static void *run(void *context)
{
	struct poller *poller = context;
	struct pollfd fds[2] = { { .fd = poller->fd, .events = POLLIN }, { .fd = poller->stop_fd, .events = POLLIN } };
	bool released = false;

	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		if (!fds[0].revents)
			continue;
		if (!hand_over(poller, &released) || !(poller->ring || poller->links))
			break;
	}
	if (!released)
		napi_release_threadsafe_function(poller->notify, napi_tsfn_release);
	return NULL;
}

static void notify(napi_env env, napi_value callback, void *context, void *data)
{
	struct batch *batch = data;
	napi_value argument, receiver;

	(void)context;
	if (env && callback) {
		receiver = undefined(env);
		if (!batch || napi_create_buffer_copy(env, batch->length, batch->data, NULL, &argument) != napi_ok)
			argument = receiver;
		napi_call_function(env, receiver, callback, 1, &argument, NULL);
	}
	free(batch);
}

static void close_poller(struct handle *handle)
{
	struct poller *poller = handle->pointer;
	uint64_t one = 1;
	ssize_t written;

	/* First of all, or a thread that waits for room in the queue would never look at stop_fd. */
	napi_release_threadsafe_function(poller->notify, napi_tsfn_abort);
	written = write(poller->stop_fd, &one, sizeof(one));
	(void)written;
	pthread_join(poller->thread, NULL);
	ring_buffer__free(poller->ring);
	close(poller->stop_fd);
	close(poller->fd);
	free(poller->batch);
	free(poller);
}

/* Takes over `fd` and `ring`. */
static napi_value start(napi_env env, int fd, struct ring_buffer *ring, struct poller *poller, napi_value callback,
			const char *name)
{
	int error;

	poller->fd = fd;
	poller->ring = ring;
	poller->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (poller->stop_fd < 0)
		return throw_errno(env, errno, "make an event descriptor");
	/* Two owners: the handle and the thread. */
	if (napi_create_threadsafe_function(env, callback, NULL, new_text(env, name), QUEUED_BATCHES, 2, NULL, NULL, NULL,
					    notify, &poller->notify) != napi_ok)
		return throw_type(env, "a function is expected");
	error = pthread_create(&poller->thread, NULL, run, poller);
	if (error) {
		napi_release_threadsafe_function(poller->notify, napi_tsfn_release);
		napi_release_threadsafe_function(poller->notify, napi_tsfn_abort);
		return throw_errno(env, error, "start a thread");
	}
	return new_handle(env, HANDLE_POLLER, -1, poller, close_poller);
}

/* openRing(map, callback): callback gets a Buffer of records */
FUNCTION(open_ring)
{
	napi_value callback, result;
	struct poller *poller;
	struct handle *map;
	int fd;

	if (!read_arguments(env, info, "dv", &map, &callback))
		return NULL;
	log_begin();
	poller = calloc(1, sizeof(*poller));
	poller->batch = malloc(BATCH_BYTES);
	poller->ring = ring_buffer__new(map->fd, collect, poller, NULL);
	fd = poller->ring ? dup(ring_buffer__epoll_fd(poller->ring)) : -1;
	result = fd < 0 ? throw_errno(env, errno, "open a ring buffer")
			: start(env, fd, poller->ring, poller, callback, "weir ring buffer");
	if (!result) {
		ring_buffer__free(poller->ring);
		free(poller->batch);
		free(poller);
		if (fd >= 0)
			close(fd);
	}
	return result;
}

/* drainRing(map): what it holds now, for a ring buffer that nobody else reads */
FUNCTION(drain_ring)
{
	struct poller poller = {};
	struct handle *map;
	napi_value result;

	if (!read_arguments(env, info, "d", &map))
		return NULL;
	log_begin();
	poller.ring = ring_buffer__new(map->fd, collect, &poller, NULL);
	if (!poller.ring)
		return throw_errno(env, errno, "open a ring buffer");
	poller.batch = malloc(BATCH_BYTES);
	ring_buffer__consume(poller.ring);
	napi_create_buffer_copy(env, poller.batch_length, poller.batch, NULL, &result);
	ring_buffer__free(poller.ring);
	free(poller.batch);
	return result;
}

/* watchProcess(pid, callback): callback is called once, when the process has exited */
FUNCTION(watch_process)
{
	napi_value callback, result;
	struct poller *poller;
	uint32_t pid;
	int fd;

	if (!read_arguments(env, info, "uv", &pid, &callback))
		return NULL;
	log_begin();
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return throw_errno(env, errno, "watch process %u", pid);
	poller = calloc(1, sizeof(*poller));
	result = start(env, fd, NULL, poller, callback, "weir process watch");
	if (!result) {
		close(fd);
		free(poller);
	}
	return result;
}

/* watchLinks(callback): callback is called after links or addresses of this network namespace have changed */
FUNCTION(watch_links)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	napi_value callback, result;
	struct poller *poller;
	int fd;

	if (!read_arguments(env, info, "v", &callback))
		return NULL;
	log_begin();
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		result = throw_errno(env, errno, "watch links");
		if (fd >= 0)
			close(fd);
		return result;
	}
	poller = calloc(1, sizeof(*poller));
	poller->links = true;
	result = start(env, fd, NULL, poller, callback, "weir link watch");
	if (!result) {
		close(fd);
		free(poller);
	}
	return result;
}
