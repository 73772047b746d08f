/* A server that does next to nothing but answer, so that what a connection pays on its way weighs as much as it can:
 * one thread, `landed` for any path and 1 MiB for /v1/bulk. It takes each read for one whole request, which is what wrk
 * and Envoy send, and closes after one that asks for it. Arguments: the ports. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMALL "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nlanded\n"
#define LAST "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\nlanded\n"
#define BULK_HEAD "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n"

struct connection {
	int fd;
	int listens;
	int closes;
	const char *rest;
	size_t rest_bytes;
};

static char bulk[sizeof(BULK_HEAD) - 1 + (1 << 20)];

static void add(int epoll, int fd, int listens)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	/* Edge-triggered: written to when there is room again. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection };

	if (!connection)
		err(1, "calloc");
	connection->fd = fd;
	connection->listens = listens;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		err(1, "epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		add(epoll, fd, 0);
	}
}

/* Gives 0 when the connection is over. */
static int serve(struct connection *connection)
{
	char request[8192];
	ssize_t bytes;

	for (;;) {
		while (connection->rest_bytes) {
			bytes = send(connection->fd, connection->rest, connection->rest_bytes, MSG_NOSIGNAL);
			if (bytes < 0)
				return errno == EAGAIN;
			connection->rest += bytes;
			connection->rest_bytes -= bytes;
		}
		if (connection->closes)
			return 0;
		bytes = read(connection->fd, request, sizeof(request) - 1);
		if (bytes <= 0)
			return bytes < 0 && errno == EAGAIN;
		request[bytes] = 0;
		connection->closes = !!strstr(request, "Connection: close");
		if (!strncmp(request, "GET /v1/bulk ", strlen("GET /v1/bulk "))) {
			connection->rest = bulk;
			connection->rest_bytes = sizeof(bulk);
		} else {
			connection->rest = connection->closes ? LAST : SMALL;
			connection->rest_bytes = strlen(connection->rest);
		}
	}
}

int main(int count, char **arguments)
{
	int epoll = epoll_create1(0), one = 1;

	memset(bulk, 'x', sizeof(bulk));
	memcpy(bulk, BULK_HEAD, strlen(BULK_HEAD));
	for (int i = 1; i < count; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(arguments[i])) };
		int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1024))
			err(1, "port %s", arguments[i]);
		add(epoll, listener, 1);
	}
	for (;;) {
		struct epoll_event events[64];
		int ready = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < ready; i++) {
			struct connection *connection = events[i].data.ptr;

			if (connection->listens) {
				accept_all(epoll, connection->fd);
			} else if (!serve(connection)) {
				close(connection->fd);
				free(connection);
			}
		}
	}
}
