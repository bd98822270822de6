/* sendmsg.c - a yardstick: the least that answering batches out of a mapping costs.
 * A thread a connection; each request is answered with the head of an HTTP answer and
 * pieces of the mapped file, gathered by sendmsg() alone: for each example one place at
 * random, and there so many pieces one behind the other. What a larger file costs here,
 * memory and caches cost, and no program can avoid it.
 *
 *   sendmsg FILE EXAMPLES EXAMPLE_BYTES     prints its port, serves until it is killed
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PIECES = 6,              /* of an example: ids, prompt, chosen, rejected, numbers */
	EXAMPLES_AT_MOST = 160,  /* 160 * 6 + 1 pieces are less than IOV_MAX */
	REQUEST_BYTES = 8192,
};

static struct {
	char *bytes;
	size_t len;
	size_t examples;      /* of one answer */
	size_t example_bytes;
} file;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Reads up to the empty line behind a request's head; 0: the client has gone. */
static int take_request(int fd)
{
	char head[REQUEST_BYTES];
	size_t n = 0;

	while (n < sizeof head) {
		ssize_t got = recv(fd, head + n, sizeof head - n, 0);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			return 1;
	}
	return 0;
}

/* Sends all pieces, however many calls it takes; moves v. */
static int send_all(int fd, struct iovec *v, size_t n)
{
	while (n > 0) {
		struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
		ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		while (n > 0 && (size_t)sent >= v->iov_len) {
			sent -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + sent;
			v->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

static int answer(int fd, const char *head, uint64_t *random)
{
	struct iovec v[EXAMPLES_AT_MOST * PIECES + 1];
	size_t piece = file.example_bytes / PIECES, n = 0;

	v[n++] = (struct iovec){(char *)(uintptr_t)head, strlen(head)};
	for (size_t i = 0; i < file.examples; i++) {
		char *at = file.bytes + next_random(random) % (file.len - file.example_bytes);

		for (size_t k = 0; k < PIECES; k++)
			v[n++] = (struct iovec){at + k * piece, piece};
	}
	return send_all(fd, v, n);
}

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	uint64_t random = 0x9E3779B97F4A7C15u * (uint64_t)(fd + 1);
	char head[128];

	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
	         file.examples * (file.example_bytes / PIECES) * PIECES);
	while (take_request(fd) && answer(fd, head, &random) == 0)
		;
	close(fd);
	return NULL;
}

static void map(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	file.len = (size_t)st.st_size;
	file.bytes = mmap(NULL, file.len, PROT_READ, MAP_SHARED, fd, 0);
	if (file.bytes == MAP_FAILED)
		die("mmap");
	close(fd);
}

static int listen_anywhere(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 256) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		die("listen");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "sendmsg FILE EXAMPLES EXAMPLE_BYTES\n");
		return 2;
	}
	map(argv[1]);
	file.examples = strtoul(argv[2], NULL, 10);
	file.example_bytes = strtoul(argv[3], NULL, 10);
	if (file.examples == 0 || file.examples > EXAMPLES_AT_MOST || file.example_bytes < PIECES ||
	    file.example_bytes >= file.len) {
		fprintf(stderr, "sendmsg: 1 to %d examples, each of %d bytes or more and less than the file\n",
		        EXAMPLES_AT_MOST, PIECES);
		return 2;
	}
	for (int listener = listen_anywhere();;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
			die("accept");
		pthread_detach(thread);
	}
}
