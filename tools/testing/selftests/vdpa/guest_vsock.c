// SPDX-License-Identifier: GPL-2.0
/*
 * guest_vsock PORT: runs in the guest. Accepts one connection of the host's, and sends back what
 * comes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>

int main(int argc, char **argv)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	char buf[4096];
	ssize_t n;
	int s, c;

	if (argc != 2)
		return 2;
	addr.svm_port = atoi(argv[1]);
	s = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) || listen(s, 1)) {
		perror("guest_vsock");
		return 1;
	}
	puts("guest: vsock listens");
	fflush(stdout);
	c = accept(s, NULL, NULL);
	if (c < 0) {
		perror("guest_vsock: accept");
		return 1;
	}
	while ((n = read(c, buf, sizeof(buf))) > 0)
		if (write(c, buf, n) != n)
			return 1;
	return n < 0;
}
