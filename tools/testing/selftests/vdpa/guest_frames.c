// SPDX-License-Identifier: GPL-2.0
/*
 * guest_frames IFACE COUNT MAC...: runs in the guest of main_job.sh. Sends COUNT frames to each
 * address, and prints how many of them come back from the device.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define PROTO	0x88b5
#define QUIET_MS 1500

static int count_back(int fd, const uint8_t *dst, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t frame[2048];
	int n = 0;

	while (poll(&pfd, 1, ms) > 0) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t size = recvfrom(fd, frame, sizeof(frame), 0, (void *)&from, &len);

		if (size >= ETH_HLEN && from.sll_pkttype != PACKET_OUTGOING &&
		    !memcmp(frame, dst, ETH_ALEN))
			n++;
	}

	return n;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTO) };
	uint8_t frame[ETH_HLEN + 100] = { 0 };
	int fd, i, k, count;

	if (argc < 4)
		return 2;
	fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));
	sll.sll_ifindex = if_nametoindex(argv[1]);
	if (fd < 0 || bind(fd, (void *)&sll, sizeof(sll))) {
		perror("guest_frames");
		return 1;
	}
	count = atoi(argv[2]);
	for (i = 3; i < argc; i++) {
		int sent = 0;

		if (sscanf(argv[i], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &frame[0], &frame[1],
			   &frame[2], &frame[3], &frame[4], &frame[5]) != 6)
			return 2;
		frame[6] = 2;
		frame[12] = PROTO >> 8;
		frame[13] = PROTO & 0xff;
		for (k = 0; k < count; k++)
			sent += send(fd, frame, sizeof(frame), 0) == sizeof(frame);
		printf("frames to=%s sent=%d back=%d\n", argv[i], sent,
		       count_back(fd, frame, QUIET_MS));
		fflush(stdout);
	}

	return 0;
}
